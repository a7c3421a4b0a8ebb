// Callbacks that wait until memory is released: those passed with data, and those of send() and flush().
// Pure but for the async context that each callback keeps, and for comparing watched memory just before a
// callback returns it.
import { AsyncResource } from 'node:async_hooks';
import { runInContext } from '../node/callbacks.js';
import { nextTick } from '../node/clock.js';
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

// --- callbacks that were given to Node with data ---------------------------------------------------

/** Takes a callback that Node called. */
export type Release = (
  callback: Callback,
  error: Error | null | undefined,
  resource: AsyncResource,
) => void;

interface Deferred {
  readonly number: number;
  readonly callback: Callback;
  readonly error: Error;
  readonly resource: AsyncResource;
}

/** Callbacks that Node may call before an earlier one, which it is then not expected to call. */
const MOST_CALLED = 100_000;

/**
 * Wraps callbacks given to Node so that each waits for its release once Node calls it, in write order also where Node
 * calls them in another.
 */
export class HeldCallbacks {
  readonly #release: Release;
  /** The number of the next one, and the lowest of those that Node has not called. */
  #next = 0;
  #lowest = 0;
  /** Numbers above the lowest that it has called, and failures that wait for a tick, by their numbers: both are rare. */
  #called: Set<number> | undefined;
  #deferred: Deferred[] | undefined;
  /** Those before this one were called. */
  #nextDeferred = 0;

  constructor(release: Release) {
    this.#release = release;
  }

  /** Node has some that it did not call yet. */
  get any(): boolean {
    return this.#next - this.#lowest > (this.#called?.size ?? 0);
  }

  hold(callback: Callback): Callback {
    const resource = new AsyncResource('MSG_ZEROCOPY_RELEASE');
    const number = this.#next++;
    const held: Callback = (...args) => {
      const isLowest = number <= this.#lowest;
      this.#strike(number);
      const [error] = args;
      const overtakes = !isLowest || (this.#deferred !== undefined && this.#deferred.length > 0);
      if (error && overtakes) this.#defer({ number, callback, error, resource });
      else this.#release(callback, error, resource);
    };
    heldCallbacks.set(held, number);
    return held;
  }

  /** Node will never call `held`, which hold() answered. */
  forget(held: Callback): void {
    const number = heldCallbacks.get(held);
    if (number !== undefined) this.#strike(number);
  }

  #strike(number: number): void {
    if (number < this.#lowest) return;
    if (number === this.#lowest) this.#lowest++;
    else (this.#called ??= new Set()).add(number);
    const called = this.#called;
    if (called === undefined || called.size === 0) return;
    // One that is never called, such as of a response that was cut off, is given up in the end.
    if (called.size > MOST_CALLED) this.#lowest++;
    while (called.delete(this.#lowest)) this.#lowest++;
  }

  // Of a destroyed stream Node fails what is buffered in the tick of the first write that was accepted,
  // while the ticks of others are still to come, that of the write which failed last of all
  // (lib/internal/streams/writable.js: afterWrite, onwriteError). Those are in the queue by then, so that
  // each tick calls the lowest. test/socket/io-uring-ends.test.ts: churn.
  #defer(failure: Deferred): void {
    const deferred = (this.#deferred ??= []);
    let place = deferred.length;
    while (place > this.#nextDeferred && (deferred[place - 1] as Deferred).number > failure.number)
      place--;
    deferred.splice(place, 0, failure);
    nextTick(() => {
      const { callback, error, resource } = deferred[this.#nextDeferred++] as Deferred;
      if (this.#nextDeferred === deferred.length) {
        deferred.length = 0;
        this.#nextDeferred = 0;
      }
      this.#release(callback, error, resource);
    });
  }
}
