// The tcp workloads: tcp-stream, tcp-small, tcp-loopback.
import type { Cost } from '../cost';
import { formatSize, nodeOnly, type BenchOptions, type Contestant } from '../options';
import type { Places } from '../place';
import type { Plan, Report, Target } from '../trials';
import { streamConnections } from './connections';
import { defaultFootprint, perGigabyte, runStreams, sizeCases } from './stream';

const kib = 1024;

/** Shares of plain Node's CPU per byte, for a real device's path. */
const streamTargets: Readonly<Record<number, { pool: Target; own: Target }>> = {
  [64 * kib]: { own: { most: 0.35 }, pool: { most: 0.24 } },
  [256 * kib]: { own: { most: 0.35 }, pool: { most: 0.19 } },
  [1024 * kib]: { own: { most: 0.35 }, pool: { most: 0.19 } },
};

export function tcpStream(options: BenchOptions, places: Places): Promise<Report> {
  if (options.connections) return streamConnections(options, options.connections, places);
  const place = places.preferred();
  const warmup = options.warmup ?? 0.8;
  const sizes = options.sizes ?? [4 * kib, 16 * kib, 64 * kib, 256 * kib, 1024 * kib];
  const footprint = options.footprint ?? defaultFootprint;
  const plan: Plan = {
    workload: 'tcp-stream',
    title: 'CPU seconds per GB of one socket written without pause',
    facts: { place: place.name, warmup, footprint: formatSize(footprint) },
    figures: perGigabyte.figures,
    main: 'proc',
    alsoCompared: ['sys'],
    compare: 'ratio',
    contestants: options.contestants,
    rounds: options.rounds,
  };
  return runStreams({
    plan,
    place,
    options,
    warmup,
    cases: sizeCases(sizes, 'burst', {}).map((one) => ({
      ...one,
      // Only the rig shows what zero copy saves.
      ...(place.name === 'rig' && { targets: streamTargetsOf(one.bytes, options.contestants) }),
    })),
    figuresOf: perGigabyte.figuresOf,
  });
}

function streamTargetsOf(
  bytes: number,
  contestants: readonly Contestant[],
): Record<string, Target> {
  const bounds = streamTargets[bytes];
  if (!bounds) return {};
  const judged = contestants.filter(
    ({ kind, settings }) => kind === 'upgraded' && settings?.engine !== 'copy',
  );
  return Object.fromEntries(
    judged.map(({ name, pool }) => [name, pool ? bounds.pool : bounds.own]),
  );
}

export function tcpSmall(options: BenchOptions, places: Places): Promise<Report> {
  // Small writes are copied anywhere; on loopback the figure repeats within 2 %, on the rig, where
  // Nagle's algorithm plays with the ACKs' thread, only within 30 %.
  const place = options.place === 'rig' ? places.preferred() : places.loopback();
  const warmup = options.warmup ?? 0.8;
  const sizes = options.sizes ?? [64, 256, 1 * kib, 4 * kib];
  const plan: Plan = {
    workload: 'tcp-small',
    title: 'small writes per CPU second of the sending process',
    facts: { place: place.name, warmup, patterns: options.patterns.join(',') },
    figures: [
      { key: 'rate', heading: 'k-writes/CPU-s', digits: 0 },
      { key: 'ns', heading: 'ns/write', digits: 0 },
      { key: 'gbit', heading: 'Gbit/s', digits: 2 },
    ],
    main: 'rate',
    alsoCompared: [],
    compare: 'ratio',
    contestants: nodeOnly(options.contestants),
    rounds: options.rounds,
  };
  const least = { least: 0.97 };
  const targets = Object.fromEntries(sizes.map((size) => [size, least]));
  const cases = options.patterns.flatMap((pattern) =>
    sizeCases(sizes, pattern, targets).map((one) => ({ ...one, label: `${one.label} ${pattern}` })),
  );
  return runStreams({ plan, place, options, warmup, cases, figuresOf: perWrite });
}

export function tcpLoopback(options: BenchOptions, places: Places): Promise<Report> {
  const place = places.loopback();
  // The library may need a second to see that loopback always copies.
  const warmup = options.warmup ?? 1;
  const plan: Plan = {
    workload: 'tcp-loopback',
    title: `CPU seconds per GB on loopback, after ${warmup} s`,
    facts: {
      place: place.name,
      warmup,
      footprint: formatSize(options.footprint ?? defaultFootprint),
    },
    // Nothing runs in kernel threads there: the receiver's softirq is part of the sender's time.
    figures: perGigabyte.figures.filter(({ key }) => key !== 'softirq' && key !== 'sys'),
    main: 'proc',
    alsoCompared: [],
    compare: 'ratio',
    contestants: options.contestants,
    rounds: options.rounds,
  };
  const sizes = options.sizes ?? [64 * kib];
  return runStreams({
    plan,
    place,
    options,
    warmup,
    cases: sizeCases(sizes, 'burst', Object.fromEntries(sizes.map((s) => [s, { most: 1.05 }]))),
    figuresOf: perGigabyte.figuresOf,
  });
}

function perWrite(cost: Cost): Record<string, number> {
  return {
    rate: cost.writes / cost.proc / 1000,
    ns: (cost.proc / cost.writes) * 1e9,
    gbit: (cost.bytes * 8) / 1e9 / cost.seconds,
  };
}
