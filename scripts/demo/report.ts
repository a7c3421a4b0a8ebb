// What the demo prints: a table, and what it means in words.
import type { Reason } from '../../lib/index.js';
import { max, median, min } from 'simple-statistics';
import type { Place } from '../place.js';
import type { ClientTotals } from './client.js';
import type { ServerTotals } from './server.js';

/** One period of one server. */
export interface Trial extends ServerTotals, ClientTotals {}

/** Periods of both servers, one right after the other. */
export interface Pair {
  readonly plain: Trial;
  readonly upgraded: Trial;
}

/** CPU per byte of the upgraded server as a share of the plain one's. */
export interface Comparison {
  /** Median over all pairs. */
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

const MIB = 2 ** 20;

export function compare(pairs: readonly Pair[]): Comparison {
  const cost = (trial: Trial): number => trial.cpuSeconds / trial.bytes;
  const ratios = pairs.map((pair) => cost(pair.upgraded) / cost(pair.plain));
  return { median: median(ratios), least: min(ratios), most: max(ratios) };
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

function checked(trials: readonly Trial[]): string {
  const wrong = trials.reduce((sum, trial) => sum + trial.wrong, 0);
  return wrong === 0 ? 'all right' : `${wrong} WRONG`;
}

/** The rows of the table: what it is, the plain server's, the upgraded server's. */
export function rows(pairs: readonly Pair[]): [string, string, string][] {
  const plain = pairs.map((pair) => pair.plain);
  const upgraded = pairs.map((pair) => pair.upgraded);
  const total = (trials: readonly Trial[], pick: (trial: Trial) => number): number =>
    trials.reduce((sum, trial) => sum + pick(trial), 0);
  const sends = total(upgraded, (trial) => trial.zeroCopySends);
  const copied = total(upgraded, (trial) => trial.kernelCopiedSends);
  const unknown = total(upgraded, (trial) => trial.unknownSends);
  const responses = (trial: Trial): number => trial.responses;
  const mebibytes = total(upgraded, (trial) => trial.copiedBytes) / MIB;
  const { median: share } = compare(pairs);
  return [
    ['responses', String(total(plain, responses)), String(total(upgraded, responses))],
    ['compared byte for byte', checked(plain), checked(upgraded)],
    ['sends without a copy', '-', String(sends - copied - unknown)],
    ['sends that the kernel copied after all', '-', String(copied)],
    ['sends of which the kernel did not say', '-', String(unknown)],
    ['copied as plain Node does', 'all', `${mebibytes.toFixed(0)} MiB`],
    [`server CPU per byte (median of ${pairs.length} pairs)`, '100 %', percent(share)],
  ];
}

const LEVEL = 0.03;

/** Whether pairs agree on which server is the cheaper one. */
function verdict({ median: share, least, most }: Comparison): string {
  const range = `(from ${percent(least)} to ${percent(most)} in single pairs)`;
  const difference = percent(Math.abs(1 - share));
  if (Math.abs(1 - share) < LEVEL) {
    return `Both servers used about the same CPU per byte ${range}.`;
  }
  if (share < 1) {
    return `To send the same bytes, the upgraded server used ${difference} less CPU ${range}.`;
  }
  return `To send the same bytes, the upgraded server used ${difference} more CPU ${range}.`;
}

const RIG_CAUSE =
  'Plain Node copies every response into the kernel. The upgraded server saves that copy: the kernel sends\n' +
  "from the server's own memory.";
const DEARER_CAUSE =
  "The kernel did send from the server's own memory, but here the bookkeeping for that costs more than the\n" +
  'copy it saves. Either something else kept this machine busy, or its memory is fast for its processor.';
const LOOPBACK_CAUSE =
  'This ran on loopback, where Linux always copies. The package noticed, paused zero copy and\n' +
  'writes as plain Node does, so there is nothing to gain here. As root, the demo runs on a virtual link\n' +
  'where zero copy is real.';

/** What switches zero copy off wherever it is sent to, loopback or not. */
const OFF: ReadonlySet<Reason> = new Set<Reason>([
  'addon-unavailable',
  'disabled',
  'kernel-unsupported',
  'runtime-unsupported',
]);

function offCause(reason: Reason): string {
  return `Zero copy is off on this machine: reason '${reason}'. \`npx msg-zerocopy doctor\` says what to do.`;
}

function cause(place: Place, reason: Reason | undefined, comparison: Comparison): string {
  if (reason !== undefined && OFF.has(reason)) return offCause(reason);
  if (place.rig === undefined) return LOOPBACK_CAUSE;
  if (reason === 'kernel-copied') {
    return (
      'The kernel copied after all, although it was asked not to (a packet capture does that, for example).\n' +
      'The package noticed and paused zero copy.'
    );
  }
  if (reason !== undefined) {
    return offCause(reason);
  }
  return comparison.median < 1 + LEVEL ? RIG_CAUSE : DEARER_CAUSE;
}

export function explain(place: Place, pairs: readonly Pair[]): string {
  const reason = pairs.map((pair) => pair.upgraded.reason).find((found) => found !== undefined);
  const comparison = compare(pairs);
  return `${verdict(comparison)}\n${cause(place, reason, comparison)}`;
}
