// How long the kernel held memory: a histogram with fixed buckets. Pure: no socket, no clock.

/** One bucket, as Prometheus counts: it holds the smaller ones, too. */
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

export class LatencyHistogram {
  readonly #boundsMs = Float64Array.from(UPPER_BOUNDS_SECONDS, (seconds) => seconds * 1_000);
  /** Not cumulative; one more than there are bounds. */
  readonly #counts = new Float64Array(UPPER_BOUNDS_SECONDS.length + 1);
  #sumMs = 0;

  observe(milliseconds: number): void {
    const bounds = this.#boundsMs;
    let bucket = 0;
    while (bucket < bounds.length && milliseconds > (bounds[bucket] as number)) bucket++;
    (this.#counts[bucket] as number)++;
    this.#sumMs += milliseconds;
  }

  snapshot(): Histogram {
    let count = 0;
    const buckets = Array.from(this.#counts, (added, bucket) => {
      count += added;
      return Object.freeze({ le: UPPER_BOUNDS_SECONDS[bucket] ?? Infinity, count });
    });
    return Object.freeze({ buckets: Object.freeze(buckets), count, sum: this.#sumMs / 1_000 });
  }
}
