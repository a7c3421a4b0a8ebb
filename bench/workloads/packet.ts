// Ethernet frames through a packet socket that bypasses the queueing discipline: copied from buffers
// of the program, and produced in the ring. Every sender produces what it sends, and all produce the
// same: see --produce.
import { nativeProgram } from '../native';
import { formatSize, type BenchOptions, type Contestant } from '../options';
import type { Places, SinkPlace } from '../place';
import type { FrameOrder } from '../protocol';
import type { Case, Plan, Report, Target } from '../trials';
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

const rows: readonly Row[] = [
  { name: 'send', kind: 'upgraded' },
  { name: 'send-many', kind: 'upgraded' },
  { name: 'ring', kind: 'upgraded' },
  { name: 'c-sendto', kind: 'c-copy' },
  { name: 'c-sendmmsg', kind: 'c-copy' },
  { name: 'c-ring', kind: 'c-zerocopy' },
];

interface FrameCase extends Case {
  mtu: number;
  segment: number;
  batch: number;
  ringFrames: number;
  most: number;
}

const ipAndUdpBytes = 28;
const segment = 1472;
const segments = 44;

const ordinary = { segment: 0, batch: 64, ringFrames: 256 };
const frameCases: readonly FrameCase[] = [
  { label: '1500', bytes: 1500, mtu: 1500, most: 0.6, ...ordinary },
  { label: '9000', bytes: 9000, mtu: 9000, most: 0.35, ...ordinary },
  {
    label: '64K GSO',
    bytes: ipAndUdpBytes + segments * segment,
    mtu: 1500,
    most: 0.25,
    segment,
    batch: 16,
    ringFrames: 64,
  },
];

export async function packet(options: BenchOptions, places: Places): Promise<Report> {
  if (options.sizes) throw new Error('packet has sizes of its own: 1500, 9000 and 64K GSO');
  const warmup = options.warmup ?? defaultWarmup;
  const plan: Plan = {
    workload: 'packet',
    title: 'CPU seconds per GB (from the IP header on) of frames produced and sent',
    facts: {
      place: options.sink,
      warmup,
      produce: options.produce,
      batch: frameCases.map(({ batch }) => batch).join(','),
      buffers: sourceBuffers,
      footprint: frameCases.map(({ bytes }) => formatSize(sourceBuffers * bytes)).join(','),
      'ring-frames': frameCases.map(({ ringFrames }) => ringFrames).join(','),
      'footprint-ring': frameCases.map((one) => formatSize(one.ringFrames * one.bytes)).join(','),
      segment,
    },
    figures: perDatagram('frame'),
    main: 'proc',
    alsoCompared: ['sys'],
    compare: 'ratio',
    contestants: chosenRows(options, rows),
    rounds: options.rounds,
  };
  const cases = [];
  for (const one of frameCases) {
    const place = places.sink(one.mtu);
    const ring: Target = { most: one.most };
    const judged = {
      ...one,
      ...(options.produce === 'counter' && targetsOn(place, plan, 'send', { ring })),
    };
    cases.push(
      await runSenders(plan, judged, options, place, (contestant) =>
        senderCommand(options, place, contestant, one, warmup),
      ),
    );
  }
  return { plan, cases };
}

function senderCommand(
  { seconds, produce }: BenchOptions,
  place: SinkPlace,
  contestant: Contestant,
  one: FrameCase,
  warmup: number,
): string[] {
  const { name, kind } = contestant;
  const order: FrameOrder = {
    contestant,
    device: place.device,
    size: one.bytes,
    segment: one.segment,
    buffers: name.endsWith('ring') ? one.ringFrames : sourceBuffers,
    batch: one.batch,
    produce,
    warmup,
    seconds,
    kernelThreads: place.kernelThreads,
  };
  if (kind === 'upgraded') return nodeCommand('packet-sender', order);
  const numbers = [order.size, order.segment, order.buffers, order.batch, warmup, seconds];
  const program = [nativeProgram('cpacket'), name.replace(/^c-/, ''), produce, place.device];
  return [...program, ...numbers.map(String), ...place.kernelThreads];
}
