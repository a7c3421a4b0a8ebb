// The tcp workloads: tcp-stream, tcp-small, tcp-loopback.
import type { Cost } from '../cost';
import { formatSize, type BenchOptions, type Contestant } from '../options';
import type { Places } from '../place';
import type { Plan, Report } from '../trials';
import { perGigabyte, runStreams, sizeCases } from './stream';

const kib = 1024;

export function tcpStream(options: BenchOptions, places: Places): Promise<Report> {
  const place = places.preferred();
  const warmup = options.warmup ?? 0.8;
  const sizes = options.sizes ?? [4 * kib, 16 * kib, 64 * kib, 256 * kib, 1024 * kib];
  // Only the rig shows what zero copy saves.
  const target = { most: 0.35 };
  const targets =
    place.name === 'rig' ? { [64 * kib]: target, [256 * kib]: target, [1024 * kib]: target } : {};
  const plan: Plan = {
    workload: 'tcp-stream',
    title: 'CPU seconds per GB of one socket written without pause',
    facts: { place: place.name, warmup, footprint: formatSize(options.footprint) },
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
    cases: sizeCases(sizes, 'burst', targets),
    figuresOf: perGigabyte.figuresOf,
  });
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
    facts: { place: place.name, warmup, footprint: formatSize(options.footprint) },
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

/** The C programs exist for streams only. */
export function nodeOnly(contestants: readonly Contestant[]): Contestant[] {
  return contestants.filter(({ kind }) => kind === 'plain' || kind === 'upgraded');
}

function perWrite(cost: Cost): Record<string, number> {
  return {
    rate: cost.writes / cost.proc / 1000,
    ns: (cost.proc / cost.writes) * 1e9,
    gbit: (cost.bytes * 8) / 1e9 / cost.seconds,
  };
}
