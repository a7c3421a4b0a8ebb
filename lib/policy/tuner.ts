// From which size on writes go zero-copy. Sizes fall into classes of powers of two; each goes one way, and an
// experiment may show that the other costs less. A class that had none follows its neighbours: zero copy pays
// from a size on. Pure.
import type { Verdict } from './experiment.js';

/** Writes that follow each other, or the first one after data of the peer. */
export type Situation = 'stream' | 'response';
export type Way = 'copy' | 'zerocopy';

/** The smallest size that is ever worth trying: below it pinning a page costs more than copying it. */
export const SMALLEST_TUNED_BYTES = 8 * 1024;
const SMALLEST_CLASS = Math.log2(SMALLEST_TUNED_BYTES);
/** 2 MiB and more. */
const LARGEST_CLASS = 21;
const CLASSES = LARGEST_CLASS - SMALLEST_CLASS + 1;

/** Between two experiments with one class: first, and after many that changed nothing. */
const FIRST_INTERVAL_MS = 500;
const LONGEST_INTERVAL_MS = 60_000;
/** What the interval grows by: a way that costs more is not tried again soon, one that costs the same may be. */
const GROWTH: Readonly<Record<Exclude<Verdict, 'cheaper'>, number>> = {
  dearer: 8,
  'no difference': 2,
};
/** A class that took less of the bytes than this is not worth an experiment. */
const LEAST_SHARE = 0.02;

/** One size class of one situation. */
export class SizeClass {
  way: Way;
  /** An experiment said so. */
  judged = false;
  /** KiB written since classes were last compared. */
  kibibytes = 0;
  dueMs = -Infinity;
  #intervalMs = FIRST_INTERVAL_MS;

  constructor(start: Way) {
    this.way = start;
  }

  get otherWay(): Way {
    return this.way === 'copy' ? 'zerocopy' : 'copy';
  }

  /** A write of this class is asked about. */
  count(bytes: number): void {
    this.kibibytes += Math.floor(bytes / 1024);
  }

  /** An experiment ended. True: the class goes the other way from now on. */
  settle(verdict: Verdict, nowMs: number): boolean {
    this.judged ||= verdict !== 'no difference';
    const changed = verdict === 'cheaper';
    if (changed) this.way = this.otherWay;
    this.#intervalMs =
      verdict === 'cheaper'
        ? FIRST_INTERVAL_MS
        : Math.min(LONGEST_INTERVAL_MS, this.#intervalMs * GROWTH[verdict]);
    this.dueMs = nowMs + this.#intervalMs;
    return changed;
  }
}

/** Where a threshold stands before anything was observed, in bytes. */
export type Starts = Readonly<Record<Situation, number>>;

export class Tuner {
  /** Times that a class went over to the other way. */
  changes = 0;
  readonly #classes: Readonly<Record<Situation, readonly SizeClass[]>>;

  constructor(starts: Starts) {
    const from = (threshold: number): SizeClass[] =>
      Array.from(
        { length: CLASSES },
        (_, index) => new SizeClass(boundOf(index) >= threshold ? 'zerocopy' : 'copy'),
      );
    this.#classes = { stream: from(starts.stream), response: from(starts.response) };
  }

  /** @param bytes at least SMALLEST_TUNED_BYTES */
  classFor(situation: Situation, bytes: number): SizeClass {
    const exponent = 31 - Math.clz32(Math.min(bytes, 2 ** LARGEST_CLASS));
    return this.#classes[situation][exponent - SMALLEST_CLASS] as SizeClass;
  }

  /** Bytes from which every write goes zero-copy; undefined where none does. */
  threshold(situation: Situation): number | undefined {
    const classes = this.#classes[situation];
    let index = classes.length;
    while (index > 0 && classes[index - 1]?.way === 'zerocopy') index--;
    return index === classes.length ? undefined : boundOf(index);
  }

  /** The class with most bytes that an experiment is due for. Bytes are counted anew from here. */
  mostDue(nowMs: number): SizeClass | undefined {
    const classes = [...this.#classes.response, ...this.#classes.stream];
    const whole = classes.reduce((sum, { kibibytes }) => sum + kibibytes, 0);
    let due: SizeClass | undefined;
    for (const one of classes) {
      const heavy = one.kibibytes > whole * LEAST_SHARE && one.kibibytes > (due?.kibibytes ?? 0);
      if (heavy && nowMs >= one.dueMs) due = one;
    }
    for (const one of classes) one.kibibytes = 0;
    return due;
  }

  /** An experiment with one of its classes ended. */
  settle(subject: SizeClass, verdict: Verdict, nowMs: number): void {
    if (!subject.settle(verdict, nowMs)) return;
    this.changes++;
    for (const classes of Object.values(this.#classes)) spread(classes, subject);
  }
}

// Zero copy that pays here pays for more, and copying that is cheaper than it here is so for less.
function spread(classes: readonly SizeClass[], changed: SizeClass): void {
  const at = classes.indexOf(changed);
  if (at < 0) return;
  const step = changed.way === 'zerocopy' ? 1 : -1;
  for (let index = at + step; ; index += step) {
    const neighbour = classes[index];
    if (neighbour === undefined || neighbour.judged) return;
    neighbour.way = changed.way;
  }
}

/** Bytes of the smallest write of a class. */
function boundOf(index: number): number {
  return 2 ** (index + SMALLEST_CLASS);
}
