// Callbacks that were given to Node with data, each wrapped so that it waits for its release when Node
// calls it. Sees to it that they come in write order where Node's own come in another.
import { AsyncResource } from 'node:async_hooks';
import { heldCallbacks } from './handbacks.js';

type WriteCallback = (error?: Error | null) => void;

/** Takes a callback that Node called. */
export type Release = (
  callback: WriteCallback,
  error: Error | null | undefined,
  resource: AsyncResource,
) => void;

export class HeldCallbacks {
  readonly #release: Release;
  /** Numbers of those that Node has not called, lowest first. */
  readonly #uncalled: number[] = [];
  #next = 0;
  /** Failures that wait for a tick. */
  #deferred = 0;

  constructor(release: Release) {
    this.#release = release;
  }

  /** Node has some that it did not call yet. */
  get any(): boolean {
    return this.#uncalled.length > 0;
  }

  hold(callback: WriteCallback): WriteCallback {
    const resource = new AsyncResource('MSG_ZEROCOPY_RELEASE');
    const number = this.#next++;
    this.#uncalled.push(number);
    const held: WriteCallback = (...args) => {
      const at = this.#uncalled.indexOf(number);
      if (at >= 0) this.#uncalled.splice(at, 1);
      const [error] = args;
      if (error && (at > 0 || this.#deferred > 0)) this.#defer(callback, error, resource);
      else this.#release(callback, error, resource);
    };
    heldCallbacks.add(held);
    return held;
  }

  // Of a destroyed stream Node fails what is buffered in the tick of the first write that was accepted,
  // while the ticks of others are still to come (lib/internal/streams/writable.js: afterWrite). Those are
  // in the queue by then. test/kernel/io-uring-ends.test.ts: churn.
  #defer(callback: WriteCallback, error: Error, resource: AsyncResource): void {
    this.#deferred++;
    process.nextTick(() => {
      this.#deferred--;
      this.#release(callback, error, resource);
    });
  }
}
