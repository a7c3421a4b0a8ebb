// A keep-alive http server under a load generator: what one request costs the server's process.
import { spawnSync } from 'node:child_process';
import path from 'node:path';

import type { Child } from '../child';
import { costOf, trialOf, type Cost } from '../cost';
import { formatSize, type BenchOptions, type Contestant } from '../options';
import type { Place, Places } from '../place';
import type { Result, ServerOrder } from '../protocol';
import { runCase, type Case, type Plan, type Report, type Target, type Trial } from '../trials';
import { nodeOnly } from './tcp';

const kib = 1024;
const startMs = 15_000;
const slackMs = 20_000;
const endMs = 7_000;

const targets: Readonly<Record<number, Target>> = {
  [16 * kib]: { most: 1.03 },
  [64 * kib]: { most: 1.1 },
  [256 * kib]: { most: 0.9 },
  [1024 * kib]: { most: 0.7 },
};

/** Asks for the same URL again and again over keep-alive connections. */
interface LoadGenerator {
  name: string;
  command(url: string, seconds: number, connections: number): string[];
  /** Milliseconds of the 99th percentile, over the whole run, warm-up included. */
  tail(output: string): number;
}

const wrk: LoadGenerator = {
  name: 'wrk',
  command: (url, seconds, connections) => [
    'wrk',
    ...['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', url],
  ],
  tail: (output) => {
    const match = /99%\s+([\d.]+)(us|ms|s)\b/.exec(output);
    const unit = match?.[2] === 'us' ? 0.001 : match?.[2] === 's' ? 1000 : 1;
    return Number(match?.[1]) * unit;
  },
};

const autocannon: LoadGenerator = {
  name: 'autocannon',
  command: (url, seconds, connections) => [
    process.execPath,
    require.resolve('autocannon'),
    ...['--json', '-c', String(connections), '-d', String(seconds), url],
  ],
  tail: (output) => {
    const summary = JSON.parse(output) as { latency?: { p99?: number } };
    return summary.latency?.p99 ?? NaN;
  },
};

export async function http(options: BenchOptions, places: Places): Promise<Report> {
  const place = places.preferred();
  const generator = spawnSync('wrk', ['--version']).error ? autocannon : wrk;
  const connections = options.connections ?? 8;
  // Shorter, and the compiler's threads, which share the server's CPU, are measured as well.
  const warmup = options.warmup ?? 1.5;
  const plan: Plan = {
    workload: 'http',
    title: 'CPU of the server process per request',
    facts: {
      place: place.name,
      load: generator.name,
      connections,
      warmup,
      p99: 'warm-up-included',
    },
    figures: [
      { key: 'proc', heading: 'proc µs/request', digits: 1 },
      { key: 'user', heading: 'user', digits: 1 },
      { key: 'softirq', heading: 'softirq', digits: 1 },
      { key: 'sys', heading: 'sys', digits: 1 },
      { key: 'rate', heading: 'requests/s', digits: 0 },
      { key: 'gbit', heading: 'Gbit/s', digits: 1 },
      { key: 'p99', heading: 'p99 ms', digits: 2 },
    ],
    main: 'proc',
    alsoCompared: ['sys', 'rate'],
    compare: 'ratio',
    contestants: nodeOnly(options.contestants),
    rounds: options.rounds,
  };
  const sizes = options.sizes ?? [16 * kib, 64 * kib, 256 * kib, 1024 * kib];
  const cases = [];
  for (const bytes of sizes) {
    const target = place.name === 'rig' ? targets[bytes] : undefined;
    const one = { label: formatSize(bytes), bytes, ...(target && { target }) };
    const setting = { place, generator, connections, warmup, seconds: options.seconds };
    cases.push(await runCase(plan, one, (contestant) => runTrial(setting, one, contestant)));
  }
  return { plan, cases };
}

interface Setting {
  place: Place;
  generator: LoadGenerator;
  connections: number;
  warmup: number;
  seconds: number;
}

async function runTrial(
  setting: Setting,
  one: Case,
  contestant: Contestant,
): Promise<Omit<Trial, 'contestant' | 'round'>> {
  const { place, warmup, seconds } = setting;
  const address = place.address('sender');
  const order: ServerOrder = {
    contestant,
    address,
    size: one.bytes,
    warmup,
    seconds,
    kernelThreads: place.kernelThreads,
  };
  const script = path.join(__dirname, '../children/http-server.js');
  const argv = [process.execPath, script, JSON.stringify(order)];
  const server = place.start('sender', `http server ${contestant.name}`, argv);
  try {
    const port = Number((await server.next('ready', startMs))['port']);
    const host = address.includes(':') ? `[${address}]` : address;
    const load = startLoad(setting, `http://${host}:${port}/`);
    try {
      const result = await Promise.race([
        server.next('result', (warmup + seconds) * 1000 + slackMs),
        // The generator outlives the window; an early end of it is a failure.
        load.output((warmup + seconds) * 1000 + 2 * slackMs).then(() => server.next('result', 0)),
      ]);
      const output = await load.output(slackMs);
      if (!(await server.endedWithin(endMs))) {
        console.error(`${contestant.name} ${one.label}: the server did not end by itself`);
      }
      const measured = result as unknown as Result;
      const p99 = setting.generator.tail(output);
      return trialOf(measured, { ...perRequest(costOf(measured)), p99 });
    } finally {
      await load.end();
    }
  } finally {
    await server.end();
  }
}

function startLoad(setting: Setting, url: string): Child {
  const { place, generator, warmup, seconds, connections } = setting;
  // Whole seconds, and a little more than the server's window.
  const duration = Math.ceil(warmup + seconds + 0.05);
  return place.start('receiver', generator.name, generator.command(url, duration, connections));
}

function perRequest(cost: Cost): Record<string, number> {
  const each = (seconds: number): number => (seconds / cost.writes) * 1e6;
  return {
    proc: each(cost.proc),
    user: each(cost.user),
    system: each(cost.system),
    softirq: each(cost.softirq),
    sys: each(cost.proc + cost.softirq),
    rate: cost.writes / cost.seconds,
    gbit: (cost.bytes * 8) / 1e9 / cost.seconds,
  };
}
