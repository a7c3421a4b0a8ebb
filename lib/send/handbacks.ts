// The queue of those who wait for memory to be theirs again: callbacks passed with data, promises of
// send(), flush(). Pure but for the async context that each callback keeps, and for the watch on memory
// that is about to be handed back.
import { AsyncResource } from 'node:async_hooks';
import { runInContext } from '../node/callbacks.js';
import { Fifo } from './fifo.js';
import { compareReleased } from '../memory/mutation.js';

type Callback = (error?: Error | null) => void;

/**
 * Callbacks that wait for their release already, by their numbers: to hold one once more would let later ones
 * overtake it.
 */
export const heldCallbacks = new WeakMap<Callback, number>();

interface Handback {
  readonly barrier: number;
  readonly callback: Callback;
  readonly receiver: unknown;
  readonly error: Error | null | undefined;
  readonly resource: AsyncResource;
}

export class Handbacks {
  readonly #queue = new Fifo<Handback>();

  /** A callback is running now, called from settle(). */
  running = false;

  get size(): number {
    return this.#queue.size;
  }

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
    this.#queue.push({
      barrier,
      callback,
      receiver,
      error,
      resource: resource ?? new AsyncResource('MSG_ZEROCOPY_RELEASE'),
    });
  }

  /** Whether somebody is to be called. */
  isDue(releasedBelow: number): boolean {
    return this.#queue.size > 0 && this.#queue.head.barrier <= releasedBelow;
  }

  /** Runs what is due now that every id below `releasedBelow` is released. */
  settle(releasedBelow: number): void {
    while (this.#queue.size > 0 && this.#queue.head.barrier <= releasedBelow) {
      const next = this.#queue.shift();
      const nested = this.running;
      this.running = true;
      runHandback(next);
      this.running = nested;
    }
  }
}

/**
 * Runs a callback that hands memory back. One that throws is the process's 'uncaughtException', as it
 * is in Node, and what waits behind it is not lost.
 */
export function runHandback(handback: Omit<Handback, 'barrier'>): void {
  const { resource, callback, receiver, error } = handback;
  compareReleased();
  if (error === undefined) runInContext(resource, callback, receiver);
  else runInContext(resource, callback, receiver, error);
}
