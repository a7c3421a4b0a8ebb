// The most that the kernel sends of one socket in a second: SO_MAX_PACING_RATE, set as soon as there is a
// descriptor, and read back from the kernel.
import { errnoName } from '../errors.js';
import { loadNative, type Native } from '../native/binding.js';
import { warnOnce } from '../observe/diagnostics.js';

/** Sets it: 0 or -errno. */
type SetRate = (native: Native) => number;

/** Where it cannot be set the socket works without, and a process warning says so once. */
export function limitRate(set: SetRate): void {
  const loaded = loadNative();
  const why = loaded.native === undefined ? loaded.why : refusalOf(set(loaded.native));
  if (why === undefined) return;
  warnOnce(
    'ZC_PACING',
    `The option maxPacingRate has no effect, so nothing limits the rate: ${why}`,
  );
}

function refusalOf(errno: number): string | undefined {
  if (errno >= 0) return undefined;
  return `setsockopt(SO_MAX_PACING_RATE) failed with ${errnoName(errno)} (a sandbox may refuse it)`;
}

/** The limit; Infinity: none. Undefined where it is unknown. @param get the rate or -errno */
export function rateLimit(get: (native: Native) => number): number | undefined {
  const { native } = loadNative();
  const rate = native === undefined ? -1 : get(native);
  return rate < 0 ? undefined : rate;
}
