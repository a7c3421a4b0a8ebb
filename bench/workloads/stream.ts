// One connection written without pause: the three tcp workloads are settings of this one.
import path from 'node:path';

import { costOf, trialOf, type Cost } from '../cost';
import { nativeProgram } from '../native';
import {
  formatSize,
  type BenchOptions,
  type Contestant,
  type Pattern,
  type Receiver,
} from '../options';
import { withDescriptors, type Place } from '../place';
import type { Result, StreamOrder } from '../protocol';
import { runCase, type Case, type Measured, type Plan, type Report, type Target } from '../trials';

export interface StreamCase extends Case {
  pattern: Pattern;
}

export interface StreamSettings {
  plan: Plan;
  place: Place;
  options: BenchOptions;
  cases: StreamCase[];
  warmup: number;
  /** Measured; absent: as the options say. */
  seconds?: number;
  /** Absent: discards. */
  receiver?: Receiver;
  figuresOf: (cost: Cost) => Record<string, number>;
}

/** Of the buffers of a stream, where --footprint says nothing. */
export const defaultFootprint = 4 * 1_048_576;

const startMs = 15_000;
const slackMs = 20_000;
const endMs = 5_000;

export const perGigabyte = {
  figures: [
    { key: 'proc', heading: 'proc s/GB', digits: 3 },
    { key: 'user', heading: 'user', digits: 3 },
    { key: 'softirq', heading: 'softirq', digits: 3 },
    { key: 'sys', heading: 'sys s/GB', digits: 3 },
    { key: 'gbit', heading: 'Gbit/s', digits: 1 },
  ],
  figuresOf: (cost: Cost): Record<string, number> => {
    const gigabytes = cost.bytes / 1e9;
    return {
      proc: cost.proc / gigabytes,
      user: cost.user / gigabytes,
      system: cost.system / gigabytes,
      softirq: cost.softirq / gigabytes,
      sys: (cost.proc + cost.softirq) / gigabytes,
      gbit: (cost.bytes * 8) / 1e9 / cost.seconds,
    };
  },
};

export function sizeCases(
  sizes: readonly number[],
  pattern: Pattern,
  targets: Readonly<Record<number, Target>>,
): StreamCase[] {
  return sizes.map((bytes) => {
    const target = targets[bytes];
    return { label: formatSize(bytes), bytes, pattern, ...(target && { target }) };
  });
}

export async function runStreams(settings: StreamSettings): Promise<Report> {
  const cases = [];
  for (const one of settings.cases) {
    cases.push(
      await runCase(settings.plan, one, (contestant) => runTrial(settings, one, contestant)),
    );
  }
  return { plan: settings.plan, cases };
}

async function runTrial(
  settings: StreamSettings,
  one: StreamCase,
  contestant: Contestant,
): Promise<Measured> {
  const { place, options, warmup, seconds = options.seconds } = settings;
  const { footprint = defaultFootprint } = options;
  const { bytes: size, pattern } = one;
  const order = { contestant, size, footprint, pattern, warmup, seconds };
  const result = await streamResult(place, settings.receiver ?? 'discards', order);
  return trialOf(result, settings.figuresOf(costOf(result)));
}

/** What one stream comes to. */
export function streamResult(
  place: Place,
  receiver: Receiver,
  order: Omit<StreamOrder, 'address' | 'port' | 'kernelThreads'>,
): Promise<Result> {
  const { contestant, size, warmup, seconds } = order;
  const windowMs = (warmup + seconds) * 1000;
  const { kernelThreads } = place;
  return sendIntoSink(
    { place, connections: 1, receiver, windowMs },
    `${contestant.name} ${formatSize(size)}`,
    (address, port) => senderCommand({ ...order, address, port, kernelThreads }),
  );
}

/** Where a sender's bytes go, and for how long at the most. */
export interface SinkSetting {
  place: Place;
  connections: number;
  receiver: Receiver;
  windowMs: number;
}

/** One sender and the sink of its connections; fails if what it claims to have sent did not arrive. */
export async function sendIntoSink(
  { place, connections, receiver, windowMs }: SinkSetting,
  what: string,
  command: (address: string, port: number) => readonly string[],
): Promise<Result> {
  const address = place.address('receiver');
  const argv = [nativeProgram('sink'), address, String(connections), receiver];
  const sink = place.start('receiver', 'sink', withDescriptors(argv));
  try {
    const port = Number((await sink.next('ready', startMs))['port']);
    const sender = place.start('sender', `sender ${what}`, withDescriptors(command(address, port)));
    try {
      const result = (await sender.next('result', windowMs + slackMs)) as unknown as Result;
      if (!(await sender.endedWithin(endMs))) {
        console.error(`${what}: the sender did not end by itself`);
      }
      await sender.end();
      const received = Number((await sink.next('received', endMs))['bytes']);
      // What is counted as sent before the window's end must have arrived, or the figures lie.
      const claimed = result.end.bytes - result.start.bytes;
      if (received < claimed) {
        throw new Error(`${what} claims ${claimed} bytes, ${received} arrived`);
      }
      return result;
    } finally {
      await sender.end();
    }
  } finally {
    await sink.end();
  }
}

function senderCommand(order: StreamOrder): string[] {
  const { kind } = order.contestant;
  if (!kind.startsWith('c-')) {
    const script = path.join(__dirname, '../children/stream-sender.js');
    return [process.execPath, script, JSON.stringify(order)];
  }
  return [
    nativeProgram('csend'),
    kind === 'c-zerocopy' ? 'zerocopy' : 'copy',
    order.address,
    ...[order.port, order.size, order.footprint, order.warmup, order.seconds].map(String),
    ...order.kernelThreads,
  ];
}
