// One message to many sockets in one turn of the event loop: what it costs a process per message and socket.
import path from 'node:path';

import { costOf, trialOf, type Cost } from '../cost';
import { formatSize, nodeOnly, type BenchOptions, type Contestant } from '../options';
import type { Place, Places } from '../place';
import type { BroadcastOrder } from '../protocol';
import { runCase, type CaseReport, type Measured, type Plan, type Report } from '../trials';
import { sendIntoSink } from './stream';

const kib = 1024;
const everyMs = 20;
const targets = { write: { most: 0.7 }, ws: { most: 0.85 } } as const;

/** Larger messages go to fewer, or the receiver's CPU would be the limit. */
const defaultCases = [
  { size: 512, connections: 400 },
  { size: 16 * kib, connections: 400 },
  { size: 64 * kib, connections: 100 },
];
const ways = ['write', 'ws'] as const;

export async function broadcast(options: BenchOptions, places: Places): Promise<Report> {
  const place = places.preferred();
  const warmup = options.warmup ?? 1.5;
  const plan: Plan = {
    workload: 'broadcast',
    title: 'CPU of one message to many sockets, per socket',
    facts: { place: place.name, warmup, everyMs },
    figures: [
      { key: 'proc', heading: 'proc µs/message', digits: 2 },
      { key: 'user', heading: 'user', digits: 2 },
      { key: 'rate', heading: 'messages/s', digits: 0 },
    ],
    main: 'proc',
    alsoCompared: ['user'],
    compare: 'ratio',
    contestants: nodeOnly(options.contestants),
    rounds: options.rounds,
  };
  const cases: CaseReport[] = [];
  for (const by of ways) {
    for (const { size, connections } of casesOf(options)) {
      const one = {
        label: formatSize(size),
        panel: by === 'ws' ? `to ${connections}, by ws` : `to ${connections}`,
        bytes: size,
        ...(place.name === 'rig' && { target: targets[by] }),
      };
      const setting = { size, connections, everyMs, warmup, seconds: options.seconds, by };
      cases.push(await runCase(plan, one, (contestant) => runTrial(place, contestant, setting)));
    }
  }
  return { plan, cases };
}

function casesOf({ sizes, connections }: BenchOptions): typeof defaultCases {
  if (sizes === undefined && connections === undefined) return defaultCases;
  return (sizes ?? [512]).flatMap((size) =>
    (connections ?? [400]).map((count) => ({ size, connections: count })),
  );
}

async function runTrial(
  place: Place,
  contestant: Contestant,
  setting: Pick<BroadcastOrder, 'size' | 'connections' | 'everyMs' | 'warmup' | 'seconds' | 'by'>,
): Promise<Measured> {
  const { connections, warmup, seconds } = setting;
  const windowMs = (warmup + seconds) * 1000;
  const script = path.join(__dirname, '../children/broadcast-sender.js');
  const result = await sendIntoSink(
    { place, connections, receiver: 'reads', windowMs },
    `${contestant.name} to ${connections}`,
    (address, port) => {
      const { kernelThreads } = place;
      const order: BroadcastOrder = { contestant, address, port, kernelThreads, ...setting };
      return [process.execPath, script, JSON.stringify(order)];
    },
  );
  return trialOf(result, perMessage(costOf(result)));
}

function perMessage(cost: Cost): Record<string, number> {
  return {
    proc: (cost.proc / cost.writes) * 1e6,
    user: (cost.user / cost.writes) * 1e6,
    rate: cost.writes / cost.seconds,
  };
}
