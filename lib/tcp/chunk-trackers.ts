// Which chunks of a socket's stream belong to a send(), from its call until they are sent.
import type { Reason } from '../names.js';
import type { SendTracker } from '../observe/report.js';
import type { Chunk } from './job.js';

export class ChunkTrackers {
  #trackers: Map<Uint8Array, SendTracker> | undefined;

  /** Some send() wants to know about its chunks. */
  get any(): boolean {
    return this.#trackers !== undefined && this.#trackers.size > 0;
  }

  add(chunk: Uint8Array, tracker: SendTracker): void {
    (this.#trackers ??= new Map()).set(chunk, tracker);
  }

  /** The send() of these chunks is settled. */
  remove(chunks: readonly Uint8Array[]): void {
    for (const chunk of chunks) this.#trackers?.delete(chunk);
  }

  /** Who follows a chunk that is being sent; a signal cancels it no more. */
  follow(chunk: Uint8Array | string): SendTracker | undefined {
    if (typeof chunk === 'string') return undefined;
    const tracker = this.#trackers?.get(chunk);
    if (tracker === undefined) return undefined;
    this.#trackers?.delete(chunk);
    tracker.started = true;
    return tracker;
  }

  /** These chunks are copied as a whole. */
  copied(chunks: readonly Chunk[], reason: Reason): void {
    if (!this.any) return;
    for (const { chunk } of chunks) this.follow(chunk)?.copied(chunk.length, reason);
  }

  /** Leaves out chunks whose send() was aborted before any of it was accepted. */
  withoutCancelled(chunks: readonly Chunk[]): readonly Chunk[] {
    const trackers = this.#trackers;
    if (trackers === undefined || trackers.size === 0) return chunks;
    return chunks.filter(({ chunk }) => {
      if (typeof chunk === 'string' || trackers.get(chunk)?.cancelled !== true) return true;
      trackers.delete(chunk);
      return false;
    });
  }
}
