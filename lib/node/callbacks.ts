// Calls the program's functions so that an exception does not lose the callbacks behind them.
import type { AsyncResource } from 'node:async_hooks';
import { nextTick } from './clock.js';

/** Lets `thrown` surface as an uncaught exception after the present batch is done. */
export function rethrowLater(thrown: unknown): void {
  nextTick(() => {
    throw thrown;
  });
}

/**
 * Calls `callback` in the async context of `resource`, or else in the present one. If it throws, that is the process's
 * 'uncaughtException', as in Node, once the present batch is done.
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
