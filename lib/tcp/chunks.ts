// The chunks that a stream hands to _write() and _writev(): which of them belong to a send(), and those of a socket
// that is not connected yet.
import type net from 'node:net';
import { closedBeforeConnection } from '../errors.js';
import * as nodePrivate from '../node/internals.js';
import type { SendTracker } from '../observe/report.js';

export interface Chunk {
  readonly chunk: Uint8Array | string;
  readonly encoding: BufferEncoding;
}

/** Which chunks of a stream belong to a send(), from its call until they are sent. */
export class Trackers {
  #trackers: Map<Uint8Array, SendTracker> | undefined;
  /** Some send() follows its chunks. A property, because every write reads it. */
  any = false;

  add(chunk: Uint8Array, tracker: SendTracker): void {
    (this.#trackers ??= new Map()).set(chunk, tracker);
    this.any = true;
  }

  has(chunk: unknown): boolean {
    return this.any && this.#trackers?.has(chunk as Uint8Array) === true;
  }

  /** The send() of these chunks is settled. */
  remove(chunks: readonly Uint8Array[]): void {
    for (const chunk of chunks) this.#delete(chunk);
  }

  #delete(chunk: Uint8Array): void {
    this.#trackers?.delete(chunk);
    this.any = this.#trackers !== undefined && this.#trackers.size > 0;
  }

  /** The send() that follows a chunk being sent; from here on a signal cannot cancel it. */
  follow(chunk: Uint8Array | string): SendTracker | undefined {
    if (typeof chunk === 'string') return undefined;
    const tracker = this.#trackers?.get(chunk);
    if (tracker === undefined) return undefined;
    this.#delete(chunk);
    tracker.started = true;
    return tracker;
  }

  /** Leaves out chunks whose send() was aborted before any of it was accepted. */
  withoutCancelled(chunks: readonly Chunk[]): readonly Chunk[] {
    const trackers = this.#trackers;
    if (trackers === undefined || trackers.size === 0) return chunks;
    return chunks.filter(({ chunk }) => {
      if (typeof chunk === 'string' || trackers.get(chunk)?.cancelled !== true) return true;
      this.#delete(chunk);
      return false;
    });
  }
}

/**
 * Calls `write` once the socket is connected, as core does (lib/net.js:_writeGeneric).
 * @param callback of the write: called with an error when the socket closes before
 */
export function afterConnect(
  socket: net.Socket,
  chunks: readonly Chunk[],
  callback: (error: Error) => void,
  write: () => void,
): void {
  const single = chunks.length === 1 ? chunks[0] : undefined;
  nodePrivate.setPendingData(socket, single?.chunk ?? chunks, single?.encoding ?? '');
  const onClose = (): void => {
    // The callback reports the release of memory: a later connection of this socket must not send it.
    socket.off('connect', onConnect);
    callback(closedBeforeConnection());
  };
  const onConnect = (): void => {
    socket.off('close', onClose);
    nodePrivate.setPendingData(socket, null, '');
    write();
  };
  socket.once('close', onClose);
  socket.once('connect', onConnect);
}
