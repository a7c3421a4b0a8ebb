// Against the least that a send from Node can cost: floor-stream and floor-http. When in the life of the
// process, and with receivers that read or discard, are what the other workloads leave out.
import {
  formatSize,
  nodeOnly,
  type BenchOptions,
  type Contestant,
  type Phase,
  type Receiver,
} from '../options';
import type { Places } from '../place';
import { runCase, type CaseReport, type Plan, type Report, type Target } from '../trials';
import { runUnderLoad, underLoadFigures } from './http';
import { oneSize } from './http-load';
import { defaultFootprint, perGigabyte, runStreams, sizeCases } from './stream';

const kib = 1024;

/** Seconds before and of the measurement. A server's clock starts with its first request. */
const windows: Readonly<Record<Phase, { warmup: number; seconds: number }>> = {
  cold: { warmup: 0, seconds: 0.9 },
  early: { warmup: 1, seconds: 1 },
  warm: { warmup: 8, seconds: 1.5 },
};

interface Panel {
  phase: Phase;
  receiver: Receiver;
  name: string;
}

function panelsOf({ phases, receivers }: BenchOptions): Panel[] {
  return receivers.flatMap((receiver) =>
    phases.map((phase) => ({ phase, receiver, name: `${phase}, receiver ${receiver}` })),
  );
}

export async function floorStream(options: BenchOptions, places: Places): Promise<Report> {
  const place = places.preferred();
  const sizes = options.sizes ?? [16, 64, 256, 1024].map((size) => size * kib);
  const plan: Plan = {
    workload: 'floor-stream',
    title: 'CPU seconds per GB of one socket, against the least that Node needs',
    facts: { place: place.name, footprint: formatSize(options.footprint ?? defaultFootprint) },
    figures: perGigabyte.figures,
    main: 'proc',
    alsoCompared: ['user'],
    compare: 'ratio',
    contestants: options.contestants,
    rounds: options.rounds,
  };
  const cases: CaseReport[] = [];
  for (const { phase, receiver, name } of panelsOf(options)) {
    const { warmup, seconds } = windows[phase];
    const ofPhase = sizeCases(sizes, 'burst', {}).map((one) => ({
      ...one,
      panel: name,
      ...(place.name === 'rig' && { targets: streamTargets(phase, one.bytes, plan.contestants) }),
    }));
    const setting = { plan, place, options, warmup, seconds, receiver, cases: ofPhase };
    cases.push(...(await runStreams({ ...setting, figuresOf: perGigabyte.figuresOf })).cases);
  }
  return { plan, cases };
}

// Of the floor's CPU. Memory that is registered with the ring is not pinned for every send.
function streamTargets(
  phase: Phase,
  bytes: number,
  contestants: readonly Contestant[],
): Record<string, Target> {
  if (contestants[0]?.kind !== 'floor' || bytes < 64 * kib) return {};
  const mostOf = ({ pool, settings }: Contestant): number | undefined => {
    if (pool) return settings?.engine === 'io_uring' && phase === 'warm' ? 0.9 : undefined;
    if (settings?.engine !== 'auto' && settings?.engine !== 'msg_zerocopy') return undefined;
    return { cold: 1.25, early: undefined, warm: 1.15 }[phase];
  };
  return targetsBy(contestants, mostOf);
}

/** Of plain Node's CPU: by connections, then by the size of the body in KiB. */
const earlyTargets: Readonly<Record<number, Readonly<Record<number, number>>>> = {
  8: { 1: 0.65, 16: 0.72, 64: 0.76, 256: 0.85, 1024: 1.05 },
  100: { 1: 0.55, 16: 0.6, 64: 0.65, 256: 0.6, 1024: 0.5 },
};
const warmTargets: typeof earlyTargets = { 8: { 1024: 0.6 } };

export async function floorHttp(options: BenchOptions, places: Places): Promise<Report> {
  const place = places.preferred();
  const sizes = options.sizes ?? [1, 4, 16, 64, 256, 1024].map((size) => size * kib);
  const plan: Plan = {
    workload: 'floor-http',
    title: 'CPU of the server process per request, against the least that Node needs',
    facts: { place: place.name, bodies: 'one' },
    figures: underLoadFigures,
    main: 'proc',
    alsoCompared: ['user', 'rate'],
    compare: 'ratio',
    contestants: nodeOnly(options.contestants),
    rounds: options.rounds,
  };
  const cases: CaseReport[] = [];
  for (const { phase, receiver, name } of panelsOf(options)) {
    for (const connections of options.connections ?? [8, 100]) {
      for (const bytes of sizes) {
        const targets =
          place.name === 'rig' ? httpTargets(phase, connections, bytes, plan.contestants) : {};
        const label = formatSize(bytes);
        const one = { label, panel: `${connections} connections, ${name}`, bytes, targets };
        const parts = oneSize(options, bytes);
        const setting = { place, label, parts, connections, requestRate: 0, receiver };
        const trial = { ...setting, ...windows[phase] };
        cases.push(await runCase(plan, one, (contestant) => runUnderLoad(trial, contestant)));
      }
    }
  }
  return { plan, cases };
}

export function httpTargets(
  phase: Phase,
  connections: number,
  bytes: number,
  contestants: readonly Contestant[],
): Record<string, Target> {
  if (contestants[0]?.kind !== 'plain') return {};
  const of = phase === 'early' ? earlyTargets : phase === 'warm' ? warmTargets : {};
  const byDefault = of[connections]?.[bytes / kib];
  return targetsBy(contestants, ({ pool, settings }) => {
    if (!pool && settings?.engine === 'auto') return byDefault;
    if (settings?.engine !== 'msg_zerocopy' || connections !== 8) return undefined;
    if (phase === 'warm') return bytes === 1024 * kib ? 0.9 : undefined;
    return phase === 'early' ? 1.02 : undefined;
  });
}

function targetsBy(
  contestants: readonly Contestant[],
  mostOf: (contestant: Contestant) => number | undefined,
): Record<string, Target> {
  const entries = contestants.flatMap((contestant): [string, Target][] => {
    const most = contestant.kind === 'upgraded' ? mostOf(contestant) : undefined;
    return most === undefined ? [] : [[contestant.name, { most }]];
  });
  return Object.fromEntries(entries);
}
