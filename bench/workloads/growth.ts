// Resident memory over time: a slope is a leak.
import path from 'node:path';

import type { Child } from '../child';
import { trialOf } from '../cost';
import { nodeOnly, type BenchOptions, type Contestant } from '../options';
import type { Place, Places } from '../place';
import type { GrowthClientsOrder, GrowthServerOrder, Result } from '../protocol';
import { slope } from '../stats';
import { runCase, type Plan, type Report, type Series, type Measured } from '../trials';

const mib = 1_048_576;
const startMs = 15_000;
const slackMs = 30_000;
const clientConnections = 32;
const samplesPerRun = 120;

export async function memoryGrowth(options: BenchOptions, places: Places): Promise<Report> {
  const place = places.preferred();
  const plan: Plan = {
    workload: 'memory-growth',
    title: 'growth of the server under a mixed load, slope over the second half',
    facts: { place: place.name, minutes: options.minutes, connections: clientConnections },
    figures: [
      { key: 'rssSlope', heading: 'rss MiB/min', digits: 3 },
      { key: 'heapSlope', heading: 'heap MiB/min', digits: 3 },
      { key: 'externalSlope', heading: 'external MiB/min', digits: 3 },
      { key: 'rss', heading: 'rss MiB', digits: 1 },
      { key: 'heap', heading: 'heap MiB', digits: 2 },
      { key: 'connections', heading: 'connections', digits: 0 },
      { key: 'gigabytes', heading: 'GB', digits: 1 },
    ],
    main: 'rssSlope',
    alsoCompared: ['heapSlope'],
    compare: 'difference',
    contestants: nodeOnly(options.contestants),
    // Minutes are its repetition.
    rounds: 1,
  };
  const series: Series[] = [];
  const one = { label: 'mixed', bytes: 0 };
  const report = await runCase(plan, one, (contestant) =>
    runTrial(place, contestant, options.minutes * 60, series),
  );
  return { plan, cases: [report], series };
}

interface Sample {
  minutes: number;
  rss: number;
  heap: number;
  external: number;
  connections: number;
}

async function runTrial(
  place: Place,
  contestant: Contestant,
  seconds: number,
  series: Series[],
): Promise<Measured> {
  const address = place.address('sender');
  const sampleSeconds = Math.max(0.25, seconds / samplesPerRun);
  const order: GrowthServerOrder = { contestant, address, seconds, sampleSeconds };
  const server = startNode(place, 'sender', 'growth-server', order);
  try {
    const port = Number((await server.next('ready', startMs))['port']);
    const load: GrowthClientsOrder = { address, port, connections: clientConnections };
    const clients = startNode(place, 'receiver', 'growth-clients', load);
    try {
      const result = (await server.next('result', seconds * 1000 + slackMs)) as unknown as Result;
      const samples = server.all('sample') as unknown as Sample[];
      series.push({
        name: contestant.name,
        points: samples.map(({ minutes, rss }) => [minutes, rss / mib]),
      });
      return trialOf(result, figuresOf(samples, result));
    } finally {
      await clients.end();
    }
  } finally {
    await server.end();
  }
}

function figuresOf(samples: readonly Sample[], result: Result): Record<string, number> {
  const settled = samples.slice(samples.length >> 1);
  const perMinute = (key: 'rss' | 'heap' | 'external'): number =>
    slope(settled.map((sample) => [sample.minutes, sample[key] / mib]));
  const last = samples.at(-1);
  return {
    rssSlope: perMinute('rss'),
    heapSlope: perMinute('heap'),
    externalSlope: perMinute('external'),
    rss: (last?.rss ?? NaN) / mib,
    heap: (last?.heap ?? NaN) / mib,
    connections: result.end.writes - result.start.writes,
    gigabytes: (result.end.bytes - result.start.bytes) / 1e9,
  };
}

function startNode(place: Place, side: 'sender' | 'receiver', name: string, order: object): Child {
  const script = path.join(__dirname, `../children/${name}.js`);
  return place.start(side, name, [process.execPath, '--expose-gc', script, JSON.stringify(order)]);
}
