// Uncaught exceptions, which would end a program.
import { setImmediate as nextTurn } from 'node:timers/promises';

/**
 * Runs `body` and gathers the exceptions that stayed uncaught until a turn of the event loop after it
 * settled. The test runner's own listeners are put aside meanwhile.
 */
export async function uncaughtDuring(body: () => void | Promise<void>): Promise<unknown[]> {
  const others = process.listeners('uncaughtException');
  const caught: unknown[] = [];
  const listener = (error: unknown): void => void caught.push(error);
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', listener);
  try {
    await body();
    await nextTurn();
  } finally {
    process.off('uncaughtException', listener);
    for (const other of others) process.on('uncaughtException', other);
  }
  return caught;
}
