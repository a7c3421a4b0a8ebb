// A write of a stream that is not one chunk sent at once: it waits for space, is followed, or has several chunks.
// Keeps what the addon needs to begin it, and to continue where it stopped, and what is held until its release.
import type { AsyncResource } from 'node:async_hooks';
import type { BufferPool } from '../memory/buffer-pool.js';
import type { MutationWatch } from '../memory/mutation.js';
import { isPoolMemory, pinPiecesOf, unpinPieces, type PoolPiece } from '../memory/pool-pins.js';
import type { Reason } from '../names.js';
import type { Native } from '../native/binding.js';
import { LARGE, SMALL } from '../native/stream-words.js';
import type { Followed } from './reports.js';

/** The program's memory of one write. */
export type Chunks = Uint8Array | readonly Uint8Array[];

export type WriteCallback = (error?: Error | null) => void;

/** What a write keeps beside its chunks until they are released, where it uses a pool or is watched. */
export class Kept {
  /** The call that passed the memory to the stream no longer holds it. */
  isDropped = false;
  /** The call that passes the memory, and engines that send it: the last release() frees it. */
  holders = 1;

  /**
   * @param pieces of pools that the chunks lie in
   * @param watch looks whether the chunks change
   * @param staged a header in a pool, which it goes back to
   */
  constructor(
    readonly pieces: readonly PoolPiece[] | undefined,
    readonly watch: MutationWatch | undefined,
    readonly staged: { readonly pool: BufferPool; readonly memory: Buffer } | undefined,
  ) {}

  /** The call that passed the memory to the stream is over. Calling it again does nothing. */
  drop(): void {
    if (this.isDropped) return;
    this.isDropped = true;
    this.release();
  }

  /** One holder is done with the memory. Runs no user code. */
  release(): void {
    if (--this.holders > 0) return;
    this.watch?.release();
    if (this.pieces !== undefined) unpinPieces(this.pieces);
    this.staged?.pool.free(this.staged.memory);
  }
}

/** What is kept beside a chunk that is not watched: the pieces of pools that it lies in. */
export function keptOf(chunk: Uint8Array): Kept | undefined {
  const pieces = pinPiecesOf(chunk);
  return pieces === undefined ? undefined : new Kept(pieces, undefined, undefined);
}

export class Write {
  /** The id of the send behind which its own come. */
  firstId = 0;
  /** Bytes that the kernel took. */
  accepted = 0;
  /** Why all that is left of it is copied. */
  refused: Reason | undefined;
  /** What is held until its release beside its chunks. */
  kept: Kept | undefined;
  followed: Followed | undefined;
  resource: AsyncResource | undefined;
  readonly bytes: number;

  /**
   * @param text a header in latin1 in front of the only chunk
   * @param kinds of each of several chunks (native/stream-words.ts)
   */
  constructor(
    readonly chunks: Chunks,
    readonly callback: WriteCallback,
    readonly text: string | undefined,
    readonly kinds?: Uint8Array,
  ) {
    this.bytes = bytesNow(this);
  }

  call(native: Native, port: number, skip: number, flags: number): number {
    const { text, kinds } = this;
    if (kinds !== undefined)
      return native.writeMany(port, this.chunks as readonly Uint8Array[], kinds, skip, flags);
    const chunk = this.chunks as Uint8Array;
    return text === undefined
      ? native.writeOne(port, chunk, LARGE, skip, flags)
      : native.writeAnswer(port, text, chunk, LARGE, skip, flags);
  }

  chunkAt(index: number): Uint8Array {
    return (this.kinds === undefined ? this.chunks : this.chunks[index]) as Uint8Array;
  }

  /** Calls the stream's callback, in the async context of the write. */
  settle(error?: Error): void {
    const { resource, callback } = this;
    if (resource === undefined) callback(error);
    else resource.runInAsyncScope(callback, undefined, error);
  }
}

/** Bytes that a write has now: fewer or more than at its begin where a chunk was detached, or resized. */
export function bytesNow({ chunks, text, kinds }: Write): number {
  if (kinds === undefined) return (text?.length ?? 0) + chunks.length;
  let bytes = 0;
  for (const { length } of chunks as readonly Uint8Array[]) bytes += length;
  return bytes;
}

/** Puts a header in front of a body of the pool into the pool, too: one request names one registered memory. */
export function stageIn(
  pool: BufferPool,
  pieces: Uint8Array[],
  kinds: number[],
  most: number,
): Kept['staged'] {
  const [head, body] = pieces;
  if (head === undefined || body === undefined || pieces.length > 2) return undefined;
  // A pool that was disposed of stages nothing more: the addon does.
  if (
    pool.disposed ||
    kinds[0] !== SMALL ||
    kinds[1] !== LARGE ||
    head.length > most ||
    !isPoolMemory(body)
  )
    return undefined;
  const memory = pool.allocUnsafe(head.length);
  memory.set(head);
  pieces[0] = memory;
  kinds[0] = LARGE;
  return { pool, memory };
}
