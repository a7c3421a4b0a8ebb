// A keep-alive http server under full load: what one request costs the server's process.
import { costOf, trialOf, type Cost } from '../cost';
import { formatSize, nodeOnly, type BenchOptions, type Contestant } from '../options';
import type { Places } from '../place';
import {
  runCase,
  type Case,
  type Figure,
  type Measured,
  type Plan,
  type Report,
  type Target,
} from '../trials';
import { bodiesFact, oneSize, serveLoad, type LoadSetting } from './http-load';

const kib = 1024;
const defaultSizes = [1, 4, 16, 64, 256, 1024].map((size) => size * kib);
const defaultConnections = [8, 100];

/** Shares of plain Node's CPU, of one body for all requests; `many`: from 100 connections on. */
const targets: Readonly<Record<number, { own: number; pool: number; many?: number }>> = {
  [1 * kib]: { own: 1, pool: 0.85 },
  [4 * kib]: { own: 0.9, pool: 0.8 },
  [16 * kib]: { own: 0.9, pool: 0.8 },
  [64 * kib]: { own: 0.8, pool: 0.8, many: 0.7 },
  [256 * kib]: { own: 0.8, pool: 0.8 },
  [1024 * kib]: { own: 0.6, pool: 0.4 },
};
const manyFrom = 100;

// With less of its CPU used, the server was not what limited the rate.
const saturatedFrom = 0.9;
// A lost packet, for which TCP waits 200 ms, has nothing to do with what is measured.
const stalledFromMs = 150;

/** Of `runUnderLoad`. */
export const underLoadFigures: readonly Figure[] = [
  { key: 'proc', heading: 'proc µs/request', digits: 1 },
  { key: 'user', heading: 'user', digits: 1 },
  { key: 'softirq', heading: 'softirq', digits: 1 },
  { key: 'sys', heading: 'sys', digits: 1 },
  { key: 'rate', heading: 'requests/s', digits: 0 },
  { key: 'gbit', heading: 'Gbit/s', digits: 1 },
  { key: 'p99', heading: 'p99 ms', digits: 2 },
  { key: 'busy', heading: 'CPU %', digits: 0 },
  { key: 'load', heading: 'load %', digits: 0 },
];

export async function http(options: BenchOptions, places: Places): Promise<Report> {
  const place = places.preferred();
  // Shorter, and the compiler's threads, which share the server's CPU, are measured as well.
  const warmup = options.warmup ?? 1.5;
  const plan: Plan = {
    workload: 'http',
    title: 'CPU of the server process per request',
    facts: { place: place.name, warmup, bodies: bodiesFact(options) },
    figures: underLoadFigures,
    main: 'proc',
    alsoCompared: ['sys', 'rate'],
    compare: 'ratio',
    contestants: nodeOnly(options.contestants),
    rounds: options.rounds,
  };
  const judged = place.name === 'rig' && options.footprint === undefined;
  const cases = [];
  for (const connections of options.connections ?? defaultConnections) {
    for (const bytes of options.sizes ?? defaultSizes) {
      const one: Case = {
        label: formatSize(bytes),
        panel: `${connections} connections`,
        bytes,
        targets: judged ? targetsOf(bytes, connections, plan.contestants) : {},
      };
      const parts = oneSize(options, bytes);
      const { seconds } = options;
      const setting = {
        place,
        label: one.label,
        parts,
        connections,
        requestRate: 0,
        warmup,
        seconds,
      };
      cases.push(await runCase(plan, one, (contestant) => runUnderLoad(setting, contestant)));
    }
  }
  return { plan, cases };
}

// They were set for the library's choice; engines that were asked for by name are shown for comparison.
function targetsOf(
  bytes: number,
  connections: number,
  contestants: readonly Contestant[],
): Record<string, Target> {
  const bounds = targets[bytes];
  if (!bounds) return {};
  const { own, pool, many } = bounds;
  const boundOf = (contestant: Contestant): number =>
    connections >= manyFrom && many !== undefined ? many : contestant.pool ? pool : own;
  return Object.fromEntries(
    contestants
      .filter(({ settings }) => settings?.engine === 'auto' || settings?.engine === 'io_uring')
      .map((contestant) => [contestant.name, { most: boundOf(contestant) }]),
  );
}

/** One trial of a server that a saturated load generator asks. */
export async function runUnderLoad(
  setting: LoadSetting,
  contestant: Contestant,
): Promise<Measured> {
  const { result, load } = await serveLoad(setting, contestant);
  const figures = perRequest(costOf(result));
  const trial = trialOf(result, { ...figures, p99: load.p99 / 1000, load: load.busy * 100 });
  if (load.requests === 0 || load.p99 / 1000 >= stalledFromMs) {
    return { ...trial, remark: 'stalled' };
  }
  const idle = (figures['busy'] ?? 0) < saturatedFrom * 100;
  return idle ? { ...trial, remark: 'server not saturated' } : trial;
}

export function perRequest(cost: Cost): Record<string, number> {
  const each = (seconds: number): number => (seconds / cost.writes) * 1e6;
  return {
    proc: each(cost.proc),
    user: each(cost.user),
    system: each(cost.system),
    softirq: each(cost.softirq),
    sys: each(cost.proc + cost.softirq),
    rate: cost.writes / cost.seconds,
    gbit: (cost.bytes * 8) / 1e9 / cost.seconds,
    busy: ((cost.proc + cost.softirq) / cost.seconds) * 100,
  };
}
