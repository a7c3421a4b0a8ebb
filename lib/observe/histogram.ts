// How long the kernel held memory: a histogram with fixed buckets. Pure: no socket, no clock.

/** One bucket, cumulative as in Prometheus: it includes the smaller ones. */
export interface HistogramBucket {
  /** Seconds, inclusive; Infinity in the last bucket. */
  readonly le: number;
  /** Observations of at most `le`. */
  readonly count: number;
}

export interface Histogram {
  /** Ascending; the last one holds every observation. */
  readonly buckets: readonly HistogramBucket[];
  readonly count: number;
  /** Seconds, of all observations. */
  readonly sum: number;
}

/** Three steps in each factor of ten, from 10 µs (the fastest over loopback take some 30) to 10 s (half
 * of a minute is the longest that a destroyed socket waits without progress). */
const UPPER_BOUNDS_SECONDS = [
  10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25,
  0.5, 1, 2.5, 5, 10,
] as const;

/** The addon writes to the same words (native/kernel/stream_sender.h:LatencyWords). */
export class LatencyHistogram {
  /** The bounds in milliseconds, a count for each and one more (not cumulative), and the sum. */
  readonly words: Float64Array;
  readonly #bounds = UPPER_BOUNDS_SECONDS.length;

  constructor() {
    this.words = new Float64Array(2 * this.#bounds + 2);
    this.words.set(UPPER_BOUNDS_SECONDS.map((seconds) => seconds * 1_000));
  }

  /** @param times how often */
  observe(milliseconds: number, times = 1): void {
    const { words } = this;
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds && milliseconds > (words[bucket] as number)) bucket++;
    (words[bounds + bucket] as number) += times;
    (words[2 * bounds + 1] as number) += times * milliseconds;
  }

  snapshot(): Histogram {
    const bounds = this.#bounds;
    let count = 0;
    const buckets = Array.from(this.words.subarray(bounds, 2 * bounds + 1), (added, bucket) => {
      count += added;
      return Object.freeze({ le: UPPER_BOUNDS_SECONDS[bucket] ?? Infinity, count });
    });
    const sum = (this.words[2 * bounds + 1] as number) / 1_000;
    return Object.freeze({ buckets: Object.freeze(buckets), count, sum });
  }
}
