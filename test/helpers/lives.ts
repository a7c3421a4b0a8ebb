// Property tests: the same lives in every run, and others as long as time allows when asked for. fast-check
// looks for the shortest life that fails, and says what repeats it.
import fc from 'fast-check';
import type { Random } from '../../scripts/random';

const LIVES = 150;
/** Milliseconds for each property test, on top of it. */
const MORE_MS = Number(process.env['MSG_ZEROCOPY_FUZZ_SECONDS'] ?? 0) * 1000;
const RESOLUTION = 2 ** 31;

const unit = (): fc.Arbitrary<number> =>
  fc.noBias(fc.integer({ min: 0, max: RESOLUTION - 1 }).map((step) => step / RESOLUTION));

function check(live: (random: Random) => void, parameters: fc.Parameters<unknown>): void {
  const property = fc.property(fc.gen(), (generate) => live(() => generate(unit)));
  fc.assert(property, parameters as fc.Parameters<[fc.GeneratorValue]>);
}

/** Calls `live` with random numbers, one life after the other. Throws: what `live` throws, of a short one. */
export function eachLife(live: (random: Random) => void): void {
  check(live, { seed: 1, numRuns: LIVES, interruptAfterTimeLimit: 30_000 });
  if (MORE_MS === 0) return;
  check(live, { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: MORE_MS });
}

/** For mocha: longer than eachLife() takes. */
export const LIVES_TIMEOUT_MS = 60_000 + 2 * MORE_MS;
