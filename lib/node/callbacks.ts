// Calls of the program's functions, from where an exception would lose what waits behind them.
import type { AsyncResource } from 'node:async_hooks';
import { nextTick } from './clock.js';

/** Lets `thrown` surface as an uncaught exception after the present batch is done. */
export function rethrowLater(thrown: unknown): void {
  nextTick(() => {
    throw thrown;
  });
}

/**
 * Calls `callback` in the async context of `resource`, or in the present one where there is none. An exception of its is the process's
 * 'uncaughtException', as it is in Node, and comes once the present batch is done.
 */
export function runInContext<This, Args extends unknown[]>(
  resource: AsyncResource | undefined,
  callback: (this: This, ...args: Args) => unknown,
  receiver: This,
  ...args: Args
): void {
  try {
    if (resource === undefined) callback.apply(receiver, args);
    else resource.runInAsyncScope(callback, receiver, ...args);
  } catch (thrown) {
    rethrowLater(thrown);
  }
}
