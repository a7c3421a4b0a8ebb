// A keep-alive http server of one file in the page cache: what one request costs the server's process.
import { formatSize, type BenchOptions, type Contestant } from '../options';
import type { Places } from '../place';
import { runCase, type Case, type Plan, type Report, type Target } from '../trials';
import { runUnderLoad, underLoadFigures } from './http';

const kib = 1024;
const mib = 1024 * kib;
const defaultSizes = [4 * kib, 64 * kib, mib, 16 * mib];
const defaultConnections = [8, 100];

const settings = { engine: 'auto' } as const;
const contestants: readonly Contestant[] = [
  { name: 'plain', kind: 'plain', file: 'pipe' },
  { name: 'pipe', kind: 'upgraded', settings, file: 'pipe' },
  { name: 'sendFile', kind: 'upgraded', settings, file: 'sendFile' },
];

/** Shares of the CPU that plain Node takes for `createReadStream().pipe(response)`. */
const targets: Readonly<Record<number, { pipe: number; sendFile: number }>> = {
  [4 * kib]: { pipe: 0.85, sendFile: 0.5 },
  [64 * kib]: { pipe: 0.8, sendFile: 0.48 },
  [mib]: { pipe: 0.33, sendFile: 0.25 },
  [16 * mib]: { pipe: 0.16, sendFile: 0.15 },
};

export async function files(options: BenchOptions, places: Places): Promise<Report> {
  const place = places.preferred();
  const warmup = options.warmup ?? 1.5;
  const plan: Plan = {
    workload: 'files',
    title: 'CPU of the server process per file',
    facts: { place: place.name, warmup, files: 'in the page cache' },
    figures: underLoadFigures,
    main: 'proc',
    alsoCompared: ['sys', 'rate'],
    compare: 'ratio',
    contestants: [...contestants],
    rounds: options.rounds,
  };
  const cases = [];
  for (const connections of options.connections ?? defaultConnections) {
    for (const bytes of options.sizes ?? defaultSizes) {
      const one: Case = {
        label: formatSize(bytes),
        panel: `${connections} connections`,
        bytes,
        targets: targetsOf(bytes),
      };
      const setting = {
        ...{ place, label: one.label, connections, requestRate: 0, warmup },
        parts: [{ bytes, bodies: 1, weight: 1 }],
        seconds: options.seconds,
        // As a client: pages that nobody reads cost no copy.
        receiver: 'reads' as const,
      };
      cases.push(await runCase(plan, one, (contestant) => runUnderLoad(setting, contestant)));
    }
  }
  return { plan, cases };
}

function targetsOf(bytes: number): Record<string, Target> {
  const bounds = targets[bytes];
  if (bounds === undefined) return {};
  return { pipe: { most: bounds.pipe }, sendFile: { most: bounds.sendFile } };
}
