// A keep-alive http server under full load whose bodies are of many sizes: whether what is chosen for each of
// them holds where they alternate.
import { formatSize, nodeOnly, type BenchOptions, type Contestant } from '../options';
import type { Places } from '../place';
import type { BodyPart } from '../protocol';
import { runCase, type Case, type Plan, type Report, type Target } from '../trials';
import { runUnderLoad, underLoadFigures } from './http';

const kib = 1024;
const sizes = [1, 4, 16, 64, 256, 1024].map((size) => size * kib);
const largest = Math.max(...sizes);
const defaultConnections = [8, 100];
/** More than any cache holds. */
const defaultFootprint = 512 * 1024 * kib;
/** Experiments of the library need about a second to find what is cheaper. */
const defaultWarmup = 2;

interface Mixture {
  name: string;
  /** How often a size is sent. */
  weightOf: (bytes: number) => number;
}

const weightByBytes = (bytes: number): number => largest / bytes;

const mixtures: readonly Mixture[] = [
  { name: 'even by count', weightOf: () => 1 },
  { name: 'even by bytes', weightOf: weightByBytes },
];

/** Bodies of which each size has as many bytes as any other, one of each. */
export function evenByBytes(): BodyPart[] {
  return partsOf(weightByBytes);
}

/** Shares of plain Node's CPU per request where more than half of the bytes are in large bodies. */
const targetsOfLarge: Readonly<Record<string, number>> = {
  auto: 0.75,
  io_uring: 0.75,
  msg_zerocopy: 0.85,
};
const targetOfOthers = 1;
const largeFrom = 64 * kib;

interface MixCase extends Case {
  parts: readonly BodyPart[];
  connections: number;
}

export async function mix(options: BenchOptions, places: Places): Promise<Report> {
  const place = places.preferred();
  const { seconds, footprint = defaultFootprint, warmup = defaultWarmup } = options;
  const plan: Plan = {
    workload: 'mix',
    title: 'CPU of the server process per request, bodies of many sizes',
    facts: {
      place: place.name,
      warmup,
      mix: sizes.map(formatSize).join(','),
      bodies: `hot:one-of-each-size,cold:${formatSize(footprint)}`,
      ...factsOfBytes(),
    },
    figures: underLoadFigures,
    main: 'proc',
    alsoCompared: ['sys', 'rate'],
    compare: 'ratio',
    contestants: nodeOnly(options.contestants),
    rounds: options.rounds,
  };
  const cases = [];
  for (const one of casesOf(options, footprint)) {
    const { parts, connections } = one;
    const targets = targetsOf(parts, place.name === 'rig', plan.contestants);
    const label = one.label;
    const setting = { place, label, parts, connections, requestRate: 0, warmup, seconds };
    const report = await runCase(plan, { ...one, targets }, (contestant) =>
      runUnderLoad(setting, contestant),
    );
    cases.push(report);
  }
  return { plan, cases };
}

function casesOf(options: BenchOptions, footprint: number): MixCase[] {
  const { connections = defaultConnections, sizes: singles = sizes } = options;
  return connections.flatMap((count) => {
    const caseOf = (label: string, kind: string, parts: readonly BodyPart[]): MixCase => ({
      label,
      panel: `${count} connections, ${kind}`,
      bytes: Math.round(bytesOf(parts) / requestsOf(parts)),
      parts,
      connections: count,
    });
    const mixed = mixtures.flatMap(({ name, weightOf }) => [
      caseOf(`${name}, hot`, 'mixes', partsOf(weightOf)),
      caseOf(`${name}, cold`, 'mixes', spreadOver(partsOf(weightOf), footprint)),
    ]);
    const single = singles.map((bytes) =>
      caseOf(formatSize(bytes), 'single sizes', [{ bytes, bodies: 1, weight: 1 }]),
    );
    return [...mixed, ...single];
  });
}

function partsOf(weightOf: Mixture['weightOf']): BodyPart[] {
  return sizes.map((bytes) => ({ bytes, bodies: 1, weight: weightOf(bytes) }));
}

/** Every size covers as much of the footprint as it has of the bytes that are sent. */
function spreadOver(parts: readonly BodyPart[], footprint: number): BodyPart[] {
  const whole = bytesOf(parts);
  return parts.map((part) => ({
    ...part,
    bodies: Math.max(1, Math.round((footprint * part.weight) / whole)),
  }));
}

// They were set for the rig; on loopback, where the kernel always copies, nothing may cost more.
function targetsOf(
  parts: readonly BodyPart[],
  judgedByBytes: boolean,
  contestants: readonly Contestant[],
): Record<string, Target> {
  const large = judgedByBytes && parts.length > 1 && shareOfLarge(parts) > 0.5;
  const upgraded = contestants.filter(
    ({ kind, settings }) => kind === 'upgraded' && settings?.engine !== 'copy',
  );
  return Object.fromEntries(
    upgraded.map(({ name, settings }) => {
      const most = large ? targetsOfLarge[settings?.engine ?? 'auto'] : undefined;
      return [name, { most: most ?? targetOfOthers }];
    }),
  );
}

function factsOfBytes(): Record<string, string> {
  return Object.fromEntries(
    mixtures.map(({ name, weightOf }) => [
      `bytes-in-${formatSize(largeFrom)}+ ${name}`.replaceAll(' ', '-'),
      `${(shareOfLarge(partsOf(weightOf)) * 100).toFixed(1)}%`,
    ]),
  );
}

function shareOfLarge(parts: readonly BodyPart[]): number {
  return bytesOf(parts.filter(({ bytes }) => bytes >= largeFrom)) / bytesOf(parts);
}

function bytesOf(parts: readonly BodyPart[]): number {
  return parts.reduce((sum, { bytes, weight }) => sum + bytes * weight, 0);
}

function requestsOf(parts: readonly BodyPart[]): number {
  return parts.reduce((sum, { weight }) => sum + weight, 0);
}
