// Looks at every write that goes to the addon.
import { loadNative, type Native } from '../../lib/native/binding';

const WRITES = ['writeOne', 'writeAnswer', 'writeMany'] as const;

/** The highest that `measure` was behind a write while `body` ran: that is when most is pinned. */
export async function highestOfWrites(
  measure: () => number,
  body: () => Promise<void>,
): Promise<number> {
  let most = 0;
  const { native } = loadNative() as { native: Native };
  const real = WRITES.map((name) => [name, native[name]] as const);
  for (const [name, write] of real) {
    const looking = (...args: unknown[]): number => {
      const status = Reflect.apply(write, native, args) as number;
      most = Math.max(most, measure());
      return status;
    };
    Object.assign(native, { [name]: looking });
  }
  try {
    await body();
  } finally {
    Object.assign(native, Object.fromEntries(real));
  }
  return most;
}
