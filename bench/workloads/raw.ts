// IPv4 packets of 1500 bytes that bring their own header (IP_HDRINCL), copied from buffers of the program and produced
// in the ring, beside the npm package raw-socket where it is installed.
import type { BenchOptions, Contestant } from '../options';
import { formatSize } from '../options';
import type { Places, SinkPlace } from '../place';
import type { DatagramOrder } from '../protocol';
import type { Plan, Report } from '../trials';
import {
  chosenRows,
  defaultWarmup,
  nodeCommand,
  perDatagram,
  runSenders,
  sourceBuffers,
  targetsOn,
  type Row,
} from './datagram';
import { cCommand } from './udp-send';

const packetBytes = 1500;
const ringFrames = 256;

const rows: readonly Row[] = [
  { name: 'raw-socket', kind: 'plain' },
  { name: 'c-sendto', kind: 'c-copy' },
  { name: 'send', kind: 'upgraded' },
  { name: 'send-many', kind: 'upgraded' },
  { name: 'ring', kind: 'upgraded' },
  { name: 'c-sendmmsg', kind: 'c-copy' },
];

export async function raw(options: BenchOptions, places: Places): Promise<Report> {
  if (options.family === 6) throw new Error('raw is measured over IPv4 only');
  const sizes = options.sizes ?? [packetBytes];
  const place = places.sink(Math.max(packetBytes, ...sizes));
  const warmup = options.warmup ?? defaultWarmup;
  const plan: Plan = {
    workload: 'raw',
    title: 'CPU seconds per GB of raw IPv4 packets with a header of their own',
    facts: {
      place: place.name,
      warmup,
      buffers: sourceBuffers,
      footprint: sizes.map((size) => formatSize(sourceBuffers * size)).join(','),
      'ring-frames': ringFrames,
    },
    figures: perDatagram('packet'),
    main: 'proc',
    alsoCompared: ['sys'],
    compare: 'ratio',
    contestants: chosenRows(options, rows).map((row) => withPackage(row)),
    rounds: options.rounds,
  };
  const targets = {
    ...targetsOn(place, plan, 'raw-socket', { send: { most: 0.8 }, 'send-many': { most: 0.6 } }),
    // Without the package sendto(2) is the first row.
    ...targetsOn(place, plan, 'c-sendto', { ring: { most: 0.3 } }),
  };
  const cases = [];
  for (const bytes of sizes) {
    const one = { label: `${bytes} B`, bytes, ...(bytes === packetBytes && targets) };
    cases.push(
      await runSenders(plan, one, options, place, (contestant) =>
        senderCommand(options, place, contestant, bytes, warmup),
      ),
    );
  }
  return { plan, cases };
}

/** The package is no dependency of ours, not even of the bench: it needs a compiler to install. */
function withPackage(row: Row): Row {
  if (row.name !== 'raw-socket') return row;
  try {
    require.resolve('raw-socket');
    return row;
  } catch {
    return { ...row, missing: 'not installed: npm install --no-save raw-socket' };
  }
}

function senderCommand(
  { seconds }: BenchOptions,
  place: SinkPlace,
  contestant: Contestant,
  size: number,
  warmup: number,
): string[] {
  const order: DatagramOrder = {
    contestant,
    address: place.address('receiver'),
    port: 0,
    size,
    segment: size,
    buffers: contestant.name === 'ring' ? ringFrames : sourceBuffers,
    warmup,
    seconds,
    kernelThreads: place.kernelThreads,
  };
  const { name, kind } = contestant;
  if (kind === 'plain' || kind === 'upgraded') return nodeCommand('raw-sender', order);
  return cCommand(name.replace(/^c-/, 'raw-'), order);
}
