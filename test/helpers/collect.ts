// The garbage collector, when a test wants it.
import v8 from 'node:v8';
import vm from 'node:vm';
import { until } from '../../scripts/until';

const TIMES = 5;

v8.setFlagsFromString('--expose-gc');
export const collect = vm.runInNewContext('gc') as () => void;

/** In turns of their own: a WeakRef's target survives the turn in which it was made or read. */
export async function collectRepeatedly(): Promise<void> {
  for (let i = 0; i < TIMES; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
  }
}

/** Settles when the condition holds after a collection. */
export async function untilCollected(
  what: string,
  condition: () => boolean,
  withinMs?: number,
): Promise<void> {
  const looked = async (): Promise<boolean> => {
    await collectRepeatedly();
    return condition();
  };
  await until(what, looked, withinMs);
}
