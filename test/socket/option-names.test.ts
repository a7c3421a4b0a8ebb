// Every option of everything that takes options, with a wrong type and out of its range: the error says which
// one it was, nothing is opened and nothing is sent.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { inspect } from 'node:util';
import {
  BufferPool,
  connect,
  createPacketSocket,
  createRawSocket,
  createServer,
  createUdpSocket,
  enableZeroCopy,
  ZeroCopySocket,
} from '../../lib/index';
import { missing } from '../../lib/native/loader';
import { FallbackUdpSocket } from '../../lib/udp/fallback';
import { openSockets } from '../helpers/dgram-behaviours-open';
import { countDescriptors } from '../helpers/remains';

const TYPE = 'ERR_INVALID_ARG_TYPE';
const RANGE = 'ERR_OUT_OF_RANGE';

/** Values of a wrong type, and of the right one out of range. */
type Wrong = readonly [types: readonly unknown[], ranges: readonly unknown[]];
type Table = Readonly<Record<string, Wrong>>;

const FLAG: Wrong = [[1, 'yes', null], []];
const BYTES: Wrong = [
  ['1', null, {}, 1n],
  [-1, 1.5, NaN, Infinity],
];
const SIGNAL: Wrong = [[null, {}, 'now', new AbortController()], []];

const ZERO_COPY: Table = {
  threshold: BYTES,
  source: [
    [5, null, {}],
    ['heap', ''],
  ],
  maxPendingBytes: BYTES,
  maxPacingRate: [BYTES[0], [0, -1, 1.5, NaN]],
  detectMutation: [
    [1, null],
    ['log', ''],
  ],
};
const TCP: Table = {
  ...ZERO_COPY,
  engine: [
    [5, null, true],
    ['warp', ''],
  ],
  callbackAt: [[true, null], ['finish']],
  lingerTimeoutMs: [BYTES[0], [...BYTES[1], 2 ** 31]],
  maxStagedBytes: BYTES,
  pool: [[{}, null, 'pool'], []],
};

function within(prefix: string, table: Table): Table {
  return Object.fromEntries(Object.entries(table).map(([name, of]) => [`${prefix}.${name}`, of]));
}

const DATAGRAM: Table = {
  ...within('zeroCopy', ZERO_COPY),
  'zeroCopy.engine': [
    [5, null],
    ['warp', 'io_uring', 'tx_ring'],
  ],
  zeroCopy: [[5, null, 'auto'], []],
  maxQueuedBytes: BYTES,
  whenQueueFull: [
    [true, null, 1],
    ['drop', ''],
  ],
  signal: SIGNAL,
  recvBufferSize: [
    ['large', {}],
    [-1, 1.5, 2 ** 32],
  ],
  sendBufferSize: [
    ['large', {}],
    [-1, 1.5, 2 ** 32],
  ],
};
const PROGRAM: Wrong = [['udp', {}, null], []];
const FILTER: Table = {
  filter: [[5, 'udp', null], []],
  'filter.program': PROGRAM,
  'filter.program.length': [[], []],
};
const IP_SEND: Table = {
  tos: [
    ['8', null],
    [-1, 256, 1.5, NaN],
  ],
  source: [
    [5, null],
    ['no address', ''],
  ],
  interface: [
    [{}, null],
    [0, -1, 1.5],
  ],
  signal: SIGNAL,
};

interface Taker {
  readonly table: Table;
  readonly make: (options: never) => unknown;
  /** What surrounds the option. */
  readonly base?: object;
  readonly needsRoot?: true;
}

const noRoot = process.geteuid?.() !== 0;

const TAKERS: Readonly<Record<string, Taker>> = {
  'enableZeroCopy(socket)': { table: TCP, make: (o) => enableZeroCopy(new net.Socket(), o) },
  'enableZeroCopy(server)': { table: TCP, make: (o) => enableZeroCopy(net.createServer(), o) },
  'new ZeroCopySocket()': {
    table: { ...within('zeroCopy', TCP), zeroCopy: [[5, null], []] },
    make: (o) => new ZeroCopySocket(o),
  },
  // Nothing connects to port 9: a wrong option throws before.
  'connect()': {
    table: { ...within('zeroCopy', TCP), zeroCopy: [[5, null], []] },
    base: { port: 9, host: '127.0.0.1' },
    make: (o) => connect(o),
  },
  'createServer()': {
    table: { ...within('zeroCopy', TCP), zeroCopy: [[5, null], []] },
    make: (o) => createServer(o),
  },
  'new BufferPool()': {
    table: {
      bytes: [
        ['1', null],
        [0, 4095, 2 ** 30 + 1, 4096.5, NaN],
      ],
      hugePages: [
        [1, null],
        ['yes', ''],
      ],
    },
    make: (o) => new BufferPool(o),
  },
  'createUdpSocket()': {
    table: {
      ...DATAGRAM,
      gro: [[5, 'half', null], []],
      packetInfo: FLAG,
      receiveTos: FLAG,
      receiveBlockList: [[{}, [], null], []],
      sendBlockList: [[{}, [], null], []],
    },
    base: { type: 'udp4' },
    make: (o) => createUdpSocket(o),
  },
  'createUdpSocket() without the addon': {
    table: { ...DATAGRAM, gro: [[5, 'half', null], []], packetInfo: FLAG, receiveTos: FLAG },
    base: { type: 'udp4' },
    make: (o) => new FallbackUdpSocket(o, missing('for this test')),
  },
  'createRawSocket()': {
    table: {
      ...DATAGRAM,
      ...FILTER,
      family: [
        ['4', null, undefined],
        [5, 0, NaN],
      ],
      protocol: [
        [{}, null, undefined],
        [-1, 256, 1.5, 'sctp', ''],
      ],
      headerIncluded: FLAG,
      checksumOffset: [
        ['2', null],
        [-1, 1.5, 65_535, 2],
      ],
      'filter.icmpTypes': [
        ['echo', {}, null, ['8']],
        [[32], [-1], [1.5]],
      ],
      interface: [[5, {}, null], []],
      packetInfo: FLAG,
      receiveTos: FLAG,
    },
    base: { family: 4, protocol: 253 },
    make: (o) => createRawSocket(o),
    needsRoot: true,
  },
  'createPacketSocket()': {
    table: {
      ...DATAGRAM,
      ...FILTER,
      interface: [[{}, null, undefined, true], []],
      type: [
        [5, null, true],
        ['stream', ''],
      ],
      protocol: [
        ['ip', null, {}],
        [-1, 65_536, 1.5],
      ],
      ring: [['yes', 8, null], []],
      'ring.frames': [
        ['8', null],
        [0, -8, 1.5, 65_537],
      ],
      'ring.frameSize': [
        ['2048', null],
        [0, 127, 1.5, 131_073],
      ],
      virtioHeader: FLAG,
      qdiscBypass: FLAG,
      ignoreOutgoing: FLAG,
      promiscuous: FLAG,
    },
    base: { interface: 'lo' },
    make: (o) => createPacketSocket(o),
    needsRoot: true,
  },
};

/** `{ ring: { frames: 0 } }` for 'ring.frames'. */
function given(base: object, name: string, value: unknown): object {
  const [first = '', ...rest] = name.split('.');
  return { ...base, [first]: rest.length === 0 ? value : given({}, rest.join('.'), value) };
}

function assertNamed(call: () => unknown, name: string, code: string, value: unknown): void {
  const what = `${name}: ${inspect(value, { depth: 0 })}`;
  let error: NodeJS.ErrnoException | undefined;
  try {
    call();
  } catch (thrown) {
    error = thrown as NodeJS.ErrnoException;
  }
  assert.equal(error?.code, code, what);
  assert.ok(error.message.includes(`"options.${name}"`), `${what}: ${error.message}`);
}

function assertTable(table: Table, call: (name: string, value: unknown) => unknown): void {
  for (const [name, [types, ranges]] of Object.entries(table)) {
    for (const value of types) assertNamed(() => call(name, value), name, TYPE, value);
    for (const value of ranges) assertNamed(() => call(name, value), name, RANGE, value);
  }
}

describe('a wrong option', () => {
  for (const [title, { table, make, base = {}, needsRoot }] of Object.entries(TAKERS)) {
    if (needsRoot && noRoot) {
      it(`skipped: ${title} needs root (remedy: run as root, for instance with sudo)`);
      continue;
    }
    it(`of ${title} is named, and nothing is opened`, () => {
      createUdpSocket('udp4').close(); // what every socket shares is there from now on
      const before = countDescriptors();
      assertTable(table, (name, value) => make(given(base, name, value) as never));
      assert.equal(countDescriptors(), before);
    });
  }

  describe('of one send', () => {
    const sockets = openSockets();

    it('by UDP is named, and nothing is sent', async () => {
      const sink = await sockets.sink();
      const socket = await sockets.bound();
      const table: Table = {
        ...IP_SEND,
        segmentSize: [
          ['100', null],
          [0, -1, 1.5, 65_508],
        ],
        address: [[5, null, {}], []],
      };
      assertTable(table, (name, value) => {
        const options = given(sink.to, name, value);
        return socket.send(Buffer.from('nothing'), options);
      });
      const { signal, ...own } = table;
      assert.ok(signal);
      assertTable(own, (name, value) =>
        socket.sendMany(
          [Buffer.from('nothing'), { data: Buffer.from('nothing'), ...given({}, name, value) }],
          sink.to,
        ),
      );
      assert.deepEqual(await sink.rest(), []);
      assert.equal(socket.zeroCopy.stats.copiedBytes, 0);
    });

    if (noRoot) {
      it('skipped: raw and packet sockets need root (remedy: run as root, for instance with sudo)');
      return;
    }

    it('by a raw socket is named, and nothing is sent', async () => {
      const socket = createRawSocket({ family: 4, protocol: 253 });
      const to = { address: '127.0.0.1' };
      assertTable({ ...IP_SEND }, (name, value) =>
        socket.send(Buffer.from('nothing'), given(to, name, value)),
      );
      assert.deepEqual([socket.zeroCopy.stats.copiedBytes, socket.getSendQueueCount()], [0, 0]);
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    });

    it('by a packet socket is named, and nothing is sent', async () => {
      const socket = createPacketSocket({ interface: 'lo', virtioHeader: true });
      const whole = {
        gso: 'none',
        segmentSize: 0,
        headerLength: 0,
        checksumStart: 0,
        checksumOffset: 0,
      };
      const field: Wrong = [
        ['0', null],
        [-1, 1.5, 65_536],
      ];
      const table: Table = {
        protocol: [
          ['ip', null],
          [-1, 65_536, 1.5],
        ],
        address: [[], ['00:00:00:00:00:00']],
        offload: [[5, null, 'tcp4'], []],
        signal: SIGNAL,
      };
      const frame = Buffer.alloc(64);
      assertTable(table, (name, value) => socket.send(frame, given({}, name, value)));
      const offload: Table = {
        gso: [[5, null], ['tcp']],
        segmentSize: field,
        headerLength: field,
        checksumStart: field,
        checksumOffset: field,
      };
      assertTable(within('offload', offload), (name, value) =>
        socket.send(frame, {
          offload: given(whole, name.slice('offload.'.length), value),
        } as never),
      );
      assert.deepEqual([socket.zeroCopy.stats.copiedBytes, socket.getSendQueueCount()], [0, 0]);
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    });
  });
});
