// The choices of a soak: all of one actor follow from the run's seed.
import { between, seededRandom } from '../random';

export class Chance {
  readonly #random: () => number;

  constructor(readonly seed: number) {
    this.#random = seededRandom(seed);
  }

  /** Choices of their own, which do not depend on how many of these are made. */
  static for(seed: number, ...numbers: readonly number[]): Chance {
    return new Chance(numbers.reduce((mixed, n) => Math.imul(mixed ^ n, 0x9e3779b1) >>> 0, seed));
  }

  /** Whether something of this probability happens. */
  odds(probability: number): boolean {
    return this.#random() < probability;
  }

  /** An integer in [low, high]. */
  between(low: number, high: number): number {
    return between(this.#random, low, high);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.between(0, list.length - 1)] as T;
  }

  /** A size in [low, high]; one of 1 to 2 KiB is as likely as one of 1 to 2 MiB. */
  size(low: number, high: number): number {
    const power = Math.log(low) + this.#random() * (Math.log(high) - Math.log(low));
    return Math.min(high, Math.max(low, Math.round(Math.exp(power))));
  }
}
