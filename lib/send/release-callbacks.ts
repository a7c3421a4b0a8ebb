// Callbacks that wait until memory is released: those passed with data, and those of send() and flush().
// Pure but for the async context that each callback keeps, and for comparing watched memory just before a
// callback returns it.
import { AsyncResource } from 'node:async_hooks';
import { runInContext } from '../node/callbacks.js';
import { Fifo } from './fifo.js';
import { compareReleased } from '../memory/mutation.js';

type Callback = (error?: Error | null) => void;

/**
 * Callbacks that already wait for their release, by number. Holding one a second time would let later ones
 * overtake it.
 */
export const heldCallbacks = new WeakMap<Callback, number>();

interface ReleaseCallback {
  readonly barrier: number;
  readonly callback: Callback;
  readonly receiver: unknown;
  readonly error: Error | null | undefined;
  readonly resource: AsyncResource;
}

export class ReleaseCallbacks {
  readonly #queue = new Fifo<ReleaseCallback>();

  /** settle() is running a callback. */
  running = false;
  /** How many wait. Only this class sets it. */
  size = 0;

  /**
   * Calls `callback` once every id below `barrier` is released. Barriers never fall, so callbacks
   * run in the order of their writes.
   */
  add(
    barrier: number,
    callback: Callback,
    receiver: unknown,
    error?: Error | null,
    resource?: AsyncResource,
  ): void {
    this.size++;
    this.#queue.push({
      barrier,
      callback,
      receiver,
      error,
      resource: resource ?? new AsyncResource('MSG_ZEROCOPY_RELEASE'),
    });
  }

  /** Whether a callback is due. */
  isDue(releasedBelow: number): boolean {
    return this.#queue.size > 0 && this.#queue.head.barrier <= releasedBelow;
  }

  /** Runs what is due now that every id below `releasedBelow` is released. */
  settle(releasedBelow: number): void {
    while (this.#queue.size > 0 && this.#queue.head.barrier <= releasedBelow) {
      const next = this.#queue.shift();
      this.size--;
      const nested = this.running;
      this.running = true;
      runReleaseCallback(next);
      this.running = nested;
    }
  }
}

/**
 * Runs a callback that returns memory. If it throws, that is the process's 'uncaughtException', as in
 * Node, and the callbacks behind it still run.
 */
export function runReleaseCallback(one: Omit<ReleaseCallback, 'barrier'>): void {
  const { resource, callback, receiver, error } = one;
  compareReleased();
  if (error === undefined) runInContext(resource, callback, receiver);
  else runInContext(resource, callback, receiver, error);
}
