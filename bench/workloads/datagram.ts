// Datagrams, packets or frames sent without pause into a sink: udp-send, raw and packet are settings
// of this one.
import path from 'node:path';

import { costOf, trialOf, type Cost } from '../cost';
import type { BenchOptions, Contestant, DatagramRow } from '../options';
import type { SinkPlace } from '../place';
import type { Result } from '../protocol';
import {
  runCase,
  type Case,
  type CaseReport,
  type Figure,
  type Plan,
  type Target,
  type Measured,
} from '../trials';

export type Row = Contestant & { name: DatagramRow };

/** Buffers every sender uses in turn, so that footprints are equal. */
export const sourceBuffers = 64;
export const defaultWarmup = 0.8;

const slackMs = 20_000;
const endMs = 5_000;

/** What one contestant is started with. */
export type Command = (contestant: Contestant) => string[];

export function nodeCommand(child: string, order: object): string[] {
  const script = path.join(__dirname, `../children/${child}.js`);
  return [process.execPath, script, JSON.stringify(order)];
}

/** Those of the workload's rows that --contestants names; all where it names none of them. */
export function chosenRows(options: BenchOptions, rows: readonly Row[]): Row[] {
  const chosen = rows.filter(({ name }) => options.rows?.includes(name));
  return chosen.length > 0 ? chosen : [...rows];
}

/** Bounds that were set for the pure cost of sending, in relation to the workload's first row. */
export function targetsOn(
  place: SinkPlace,
  plan: Plan,
  baseline: DatagramRow,
  targets: Partial<Record<DatagramRow, Target>>,
): { targets?: Record<string, Target> } {
  const comparable = place.name === 'ifb' && plan.contestants[0]?.name === baseline;
  return comparable ? { targets } : {};
}

/** Figures per decimal GB and per datagram or frame. */
export function perDatagram(each: string): readonly Figure[] {
  return [
    { key: 'proc', heading: 'proc s/GB', digits: 3 },
    { key: 'user', heading: 'user', digits: 3 },
    { key: 'softirq', heading: 'softirq', digits: 3 },
    { key: 'sys', heading: 'sys s/GB', digits: 3 },
    { key: 'ns', heading: `ns/${each}`, digits: 0 },
    { key: 'rate', heading: 'k/s', digits: 0 },
  ];
}

function figuresOf(cost: Cost): Record<string, number> {
  const gigabytes = cost.bytes / 1e9;
  return {
    proc: cost.proc / gigabytes,
    user: cost.user / gigabytes,
    system: cost.system / gigabytes,
    softirq: cost.softirq / gigabytes,
    sys: (cost.proc + cost.softirq) / gigabytes,
    ns: (cost.proc / cost.writes) * 1e9,
    rate: cost.writes / cost.seconds / 1000,
  };
}

export function runSenders(
  plan: Plan,
  one: Case,
  options: BenchOptions,
  place: SinkPlace,
  command: Command,
): Promise<CaseReport> {
  return runCase(plan, one, (contestant) => runTrial(one, options, place, contestant, command));
}

async function runTrial(
  one: Case,
  options: BenchOptions,
  place: SinkPlace,
  contestant: Contestant,
  command: Command,
): Promise<Measured> {
  const before = place.sentBytes();
  const sender = place.start('sender', `sender ${contestant.name}`, command(contestant));
  try {
    const patience = ((options.warmup ?? defaultWarmup) + options.seconds) * 1000 + slackMs;
    const result = (await sender.next('result', patience)) as unknown as Result;
    if (!(await sender.endedWithin(endMs))) {
      console.error(`${contestant.name} ${one.label}: the sender did not end by itself`);
    }
    await sender.end();
    // What is counted as sent must have gone through the device, or the figures lie. Bytes before
    // the window count too: a sender that drops much of its warm-up would not be noticed.
    const left = place.sentBytes() - before;
    if (left < result.end.bytes) {
      throw new Error(`${contestant.name} claims ${result.end.bytes} bytes, ${left} left`);
    }
    return trialOf(result, figuresOf(costOf(result)));
  } finally {
    await sender.end();
  }
}
