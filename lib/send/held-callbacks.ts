// Callbacks that were given to Node with data, each wrapped so that it waits for its release when Node
// calls it. Sees to it that they come in write order where Node's own come in another.
import { AsyncResource } from 'node:async_hooks';
import { nextTick } from '../node/clock.js';
import { heldCallbacks } from './release-callbacks.js';

type WriteCallback = (error?: Error | null) => void;

/** Takes a callback that Node called. */
export type Release = (
  callback: WriteCallback,
  error: Error | null | undefined,
  resource: AsyncResource,
) => void;

interface Deferred {
  readonly number: number;
  readonly callback: WriteCallback;
  readonly error: Error;
  readonly resource: AsyncResource;
}

/** Callbacks that Node may call before an earlier one, which it is then not expected to call. */
const MOST_CALLED = 100_000;

export class HeldCallbacks {
  readonly #release: Release;
  /** The number of the next one, and the lowest of those that Node has not called. */
  #next = 0;
  #lowest = 0;
  /** Numbers above the lowest that it has called. */
  readonly #called = new Set<number>();
  /** Failures that wait for a tick, by their numbers. */
  #deferred: Deferred[] = [];
  /** Those before this one were called. */
  #nextDeferred = 0;

  constructor(release: Release) {
    this.#release = release;
  }

  /** Node has some that it did not call yet. */
  get any(): boolean {
    return this.#next - this.#lowest > this.#called.size;
  }

  hold(callback: WriteCallback): WriteCallback {
    const resource = new AsyncResource('MSG_ZEROCOPY_RELEASE');
    const number = this.#next++;
    const held: WriteCallback = (...args) => {
      const isLowest = number <= this.#lowest;
      this.#strike(number);
      const [error] = args;
      const overtakes = !isLowest || this.#deferred.length > 0;
      if (error && overtakes) this.#defer({ number, callback, error, resource });
      else this.#release(callback, error, resource);
    };
    heldCallbacks.set(held, number);
    return held;
  }

  /** Node will never call `held`, which hold() answered. */
  forget(held: WriteCallback): void {
    const number = heldCallbacks.get(held);
    if (number !== undefined) this.#strike(number);
  }

  #strike(number: number): void {
    if (number < this.#lowest) return;
    this.#called.add(number);
    // One that is never called, such as of a response that was cut off, is given up in the end.
    if (this.#called.size > MOST_CALLED) this.#lowest++;
    while (this.#called.delete(this.#lowest)) this.#lowest++;
  }

  // Of a destroyed stream Node fails what is buffered in the tick of the first write that was accepted,
  // while the ticks of others are still to come, that of the write which failed last of all
  // (lib/internal/streams/writable.js: afterWrite, onwriteError). Those are in the queue by then, so that
  // each tick calls the lowest. test/socket/io-uring-ends.test.ts: churn.
  #defer(failure: Deferred): void {
    const deferred = this.#deferred;
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
