// Which test files `npm test` leaves out, and which cannot run beside others. A file that is not named here is
// part of `npm test` and shares the machine.

/** Files below test/, without `.test.ts`, and why. */
export type Reasons = Readonly<Record<string, string>>;

/** Left to `npm run test:rest`: what takes long, while shorter files cover most of the same code. */
export const REST: Reasons = {
  'integration/package-install': 'compiles the addon twice and installs the package many times',
  'integration/package-lock': 'installs the package by three package managers',
  'integration/package': 'compiles the addon for publishing',
  'integration/package-bundles': 'traces and bundles the package by every bundler',
  'integration/package-faults': 'installs the package once for each fault',
  'integration/servers': 'every framework, route and engine in both places',
  'integration/uploads': 'every client and engine in both places',
  'integration/websockets': 'messages of 1 MiB, both ways, by every engine in both places',
  'integration/static-files': 'every framework and request, plain and upgraded, by every Node',
  'integration/register': 'every framework and database client in both places',
  'integration/examples': 'runs every example with the addon and without',
  'integration/telemetry': 'starts programs with and without OpenTelemetry',
  'fuzz/replay': 'compiles the fuzz targets with sanitizers',
  'process/io-uring-exit':
    'starts a process or five workers for each test, and three hundred workers',
  'process/worker': 'starts many workers for each test',
  'process/cold-files': 'writes 1 GiB of files, and reads them three times from the disk',
  'process/exit': 'waits for processes that wait for stalled peers',
  'process/unref': 'writes 30 MiB in a process of its own for each test',
  'process/sharing': 'starts a parent and a child for each test',
  'process/selftest': 'the self-test in every mode',
  'process/io-uring-refused': 'refuses io_uring to a process of its own for each test',
  'process/gc': 'fills and collects the heap again and again',
  'rig/packet-ring': 'every way to give back frames unsent',
  'rig/packet-offload': 'every offload of frames in both places',
  'rig/packet-refused': 'every frame that cannot be sent',
  'rig/udp-modes': 'every way to send datagrams, with loss and without',
  'rig/udp-mixed': 'a random mixture of everything',
  'rig/io-uring-latency': 'streams 4 GiB',
  'rig/routes': 'waits until what a route told is asked for again',
  'rig/soak': 'a short soak',
  'rig/diagnose': 'spoils a device in every way, and asks the doctor each time',
  'rig/rig': 'builds rigs and ends their owners in every way',
  'rig/udp-ends': 'starts a process or a worker for each test',
  'socket/files-stalled': 'two thousand stalled readers',
  'socket/huge-writes': 'writes 25 GiB',
  'socket/conformance-families': 'the contract once more for IPv6 and IPv4-mapped addresses',
  'socket/io-uring-http': 'a thousand responses for each test',
  'socket/io-uring-load': 'two thousand stalled connections',
  'socket/io-uring-ends': 'teardown, linger, churn and budget once more, by the ring',
  'socket/io-uring-mixed': 'random mixtures of engines',
  'socket/io-uring-staging': 'every engine, size and manner in both places',
  'socket/own-writes': 'every engine and manner in both places',
  'socket/udp-parity': 'every behaviour of node:dgram, in four kinds of process',
  'socket/churn': 'two hundred connections that end at random',
  'socket/budget': 'ten thousand sends',
  'socket/descriptors': 'opens as many descriptors as there are',
  'socket/routes': 'waits until what a route told is asked for again',
  'socket/at-once': 'starts a server for each test, and ends it',
  'socket/mutation': 'starts a process for each test; datagrams show the same',
};

/** Run after all others, one at a time. */
export const ALONE: Reasons = {
  'process/cold-files': 'compares how late timers are',
  'process/loop': 'measures the CPU that an idle event loop uses',
  'rig/capture': 'zero copy pauses and resumes within seconds',
  'rig/io-uring-latency': 'bounds what a stream has pinned at any moment',
  'rig/soak': 'loads the machine by itself',
  'rig/waiting-writers': 'tells writers from streams by the time between their writes',
  'socket/descriptors': 'uses up descriptors',
  'socket/files-stalled': 'holds thousands of descriptors, and gigabytes in sockets',
  'socket/huge-writes': 'maps gigabytes',
  'socket/io-uring-load': 'holds thousands of connections',
  'socket/linger': 'a reader that is starved looks like one that stalls',
};
