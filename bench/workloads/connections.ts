// tcp-stream with many sockets: what a byte costs a process that writes to all of them in turn,
// against the same process with the first number of sockets.
import path from 'node:path';

import { costOf, trialOf } from '../cost';
import { formatSize, nodeOnly, type BenchOptions, type Contestant } from '../options';
import { UsageError } from '../../scripts/command-line';
import type { Place, Places } from '../place';
import type { ConnectionsOrder } from '../protocol';
import { runCases, type Case, type Measured, type Plan, type Report, type Target } from '../trials';
import { defaultFootprint, perGigabyte, sendIntoSink } from './stream';

const target: Target = { most: 1.15 };
/** Beyond the high-water mark of a socket on any Node: every write that waits is waited for. */
const smallest = 64 * 1024;

/** The contestants are the cases here, and numbers of connections contend within each. */
interface ConnectionsCase extends Case {
  who: Contestant;
}

export async function streamConnections(
  options: BenchOptions,
  connections: readonly number[],
  places: Places,
): Promise<Report> {
  const place = places.preferred();
  const warmup = options.warmup ?? 0.8;
  const footprint = options.footprint ?? defaultFootprint;
  const counts = new Map(connections.map((count) => [nameOfCount(count), count]));
  const sizes = options.sizes ?? [smallest];
  if (sizes.some((size) => size < smallest)) {
    throw new UsageError('tcp-stream with --connections needs a --size of 64K or more');
  }
  const plan: Plan = {
    workload: 'tcp-stream-connections',
    title: 'CPU seconds per GB of sockets that write in turn',
    facts: { place: place.name, warmup, footprint: formatSize(footprint) },
    figures: perGigabyte.figures,
    main: 'proc',
    alsoCompared: ['sys'],
    compare: 'ratio',
    contestants: [...counts.keys()].map((name) => ({ name, kind: 'plain' })),
    rounds: options.rounds,
  };
  const others = [...counts.keys()].slice(1);
  const cases = sizes.flatMap((bytes) =>
    nodeOnly(options.contestants).map((who): ConnectionsCase => {
      const judged = who.kind === 'upgraded' && who.settings?.engine !== 'copy';
      const targets = judged ? Object.fromEntries(others.map((name) => [name, target])) : {};
      return { label: who.name, panel: formatSize(bytes), bytes, targets, who };
    }),
  );
  const reports = await runCases(plan, cases, (one, { name }) =>
    runTrial(place, one.who, {
      size: one.bytes,
      connections: counts.get(name) ?? 1,
      footprint,
      warmup,
      seconds: options.seconds,
    }),
  );
  return { plan, cases: reports };
}

function nameOfCount(count: number): string {
  return count === 1 ? '1 connection' : `${count} connections`;
}

async function runTrial(
  place: Place,
  contestant: Contestant,
  setting: Pick<ConnectionsOrder, 'size' | 'connections' | 'footprint' | 'warmup' | 'seconds'>,
): Promise<Measured> {
  const { connections, warmup, seconds } = setting;
  const what = `${contestant.name}, ${nameOfCount(connections)}`;
  const windowMs = (warmup + seconds) * 1000;
  const script = path.join(__dirname, '../children/connections-sender.js');
  const result = await sendIntoSink(
    { place, connections, receiver: 'discards', windowMs },
    what,
    (address, port) => {
      const { kernelThreads } = place;
      const order: ConnectionsOrder = { contestant, address, port, kernelThreads, ...setting };
      return [process.execPath, script, JSON.stringify(order)];
    },
  );
  return trialOf(result, perGigabyte.figuresOf(costOf(result)));
}
