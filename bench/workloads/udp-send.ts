// Datagrams of 1400 bytes over a connected UDP socket, sent one by one, by sendmmsg, and as GSO sends
// that the device is to cut into 46.
import { nativeProgram } from '../native';
import { formatSize, type BenchOptions, type Contestant } from '../options';
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

const payload = 1400;
const segments = 46;
const mtu = 1500;
const discardPort = 9;

const rows: readonly Row[] = [
  { name: 'plain', kind: 'plain' },
  { name: 'send', kind: 'upgraded' },
  { name: 'send-many', kind: 'upgraded' },
  { name: 'gso', kind: 'upgraded', settings: { engine: 'copy' } },
  { name: 'gso-zerocopy', kind: 'upgraded', settings: { engine: 'msg_zerocopy' } },
  { name: 'c-send', kind: 'c-copy' },
  { name: 'c-sendmmsg', kind: 'c-copy' },
  { name: 'c-gso', kind: 'c-copy' },
  { name: 'c-gso-zerocopy', kind: 'c-zerocopy' },
];

export async function udpSend(options: BenchOptions, places: Places): Promise<Report> {
  const place = places.sink(mtu);
  const warmup = options.warmup ?? defaultWarmup;
  const plan: Plan = {
    workload: 'udp-send',
    title: `CPU seconds per GB of ${payload}-byte datagrams`,
    facts: {
      place: place.name,
      warmup,
      gso: `${segments}x${payload}`,
      buffers: sourceBuffers,
      footprint: formatSize(sourceBuffers * payload),
      'footprint-gso': formatSize(sourceBuffers * segments * payload),
    },
    figures: perDatagram('datagram'),
    main: 'proc',
    alsoCompared: ['sys'],
    compare: 'ratio',
    contestants: chosenRows(options, rows),
    rounds: options.rounds,
  };
  const sizes = options.sizes ?? [payload];
  const cases = [];
  for (const bytes of sizes) {
    const targets = targetsOn(place, plan, 'plain', {
      send: { most: 0.72 },
      'send-many': { most: 0.58 },
      gso: { most: 0.05 },
      'gso-zerocopy': { most: 0.035 },
    });
    const one = { label: `${bytes} B`, bytes, ...(bytes === payload && targets) };
    cases.push(
      await runSenders(plan, one, options, place, (contestant) =>
        senderCommand(options, place, contestant, bytes, warmup),
      ),
    );
  }
  return { plan, cases };
}

function senderCommand(
  { seconds }: BenchOptions,
  place: SinkPlace,
  contestant: Contestant,
  segment: number,
  warmup: number,
): string[] {
  const { name, kind } = contestant;
  const order: DatagramOrder = {
    contestant,
    address: place.address('receiver'),
    port: discardPort,
    size: name.includes('gso') ? segments * segment : segment,
    segment,
    buffers: sourceBuffers,
    warmup,
    seconds,
    kernelThreads: place.kernelThreads,
  };
  if (kind === 'plain' || kind === 'upgraded') return nodeCommand('udp-sender', order);
  return cCommand(name.replace(/^c-/, 'udp-'), order);
}

/** The C sender of the same order. */
export function cCommand(mode: string, order: DatagramOrder): string[] {
  const { address, port, size, segment, buffers, warmup, seconds, kernelThreads } = order;
  const numbers = [port, size, segment, buffers, warmup, seconds].map(String);
  return [nativeProgram('cdatagram'), mode, address, ...numbers, ...kernelThreads];
}
