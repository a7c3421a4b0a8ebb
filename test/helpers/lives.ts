// Property tests: the same few seeds in every run, and as many as time allows when asked for.
import { seededRandom } from './prng';

/** How many seeds each property test tries at least. */
const SEEDS = 150;
/** Milliseconds for each property test, on top of it. */
const MORE_MS = Number(process.env['MSG_ZEROCOPY_FUZZ_SECONDS'] ?? 0) * 1000;
/** Of a longer run: no seed is tried twice. */
const MOST_SEEDS = 2 ** 31;

/**
 * Calls `live` with random numbers of one seed after the other. Throws: what `live` throws, with the
 * seed that it came from, which repeats it.
 */
export function eachLife(live: (random: () => number) => void): void {
  const until = performance.now() + MORE_MS;
  for (let seed = 1; seed <= MOST_SEEDS; seed++) {
    if (seed > SEEDS && performance.now() >= until) return;
    try {
      live(seededRandom(seed));
    } catch (error) {
      throw new Error(`with seed ${seed}`, { cause: error });
    }
  }
}

/** For mocha: longer than eachLife() takes. */
export const LIVES_TIMEOUT_MS = 60_000 + 2 * MORE_MS;

/** `length` random bytes. */
export function randomBytes(random: () => number, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
}
