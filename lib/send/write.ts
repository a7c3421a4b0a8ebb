// A write of a stream that is not one chunk sent at once: it waits for space, is followed, or has several chunks.
// Keeps what the addon needs to begin it, and to continue where it stopped.
import type { AsyncResource } from 'node:async_hooks';
import type { Native } from '../native/binding.js';
import type { NativeConstants } from '../native/binding-constants.js';
import type { Reason } from '../names.js';
import { LARGE } from './chunk-kinds.js';
import { ELSEWHERE } from './copy-causes.js';
import type { Kept } from './kept.js';
import type { Followed } from './reports.js';

/** The program's memory of one write. */
export type Chunks = Uint8Array | readonly Uint8Array[];

export type WriteCallback = (error?: Error | null) => void;

export abstract class Write {
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

  constructor(
    readonly bytes: number,
    readonly callback: WriteCallback,
  ) {}

  /** The program's memory. */
  abstract readonly chunks: Chunks;
  abstract call(native: Native, port: number, skip: number, flags: number): number;
  abstract chunkAt(index: number): Uint8Array;

  /** Calls the stream's callback, in the async context of the write. */
  settle(error?: Error): void {
    const { resource, callback } = this;
    if (resource === undefined) callback(error);
    else resource.runInAsyncScope(callback, undefined, error);
  }
}

class OneChunk extends Write {
  constructor(
    readonly chunks: Uint8Array,
    callback: WriteCallback,
  ) {
    super(chunks.length, callback);
  }

  call(native: Native, port: number, skip: number, flags: number): number {
    return native.writeOne(port, this.chunks, LARGE, skip, flags);
  }

  chunkAt(): Uint8Array {
    return this.chunks;
  }
}

class Answer extends Write {
  constructor(
    readonly text: string,
    readonly chunks: Uint8Array,
    callback: WriteCallback,
  ) {
    super(text.length + chunks.length, callback);
  }

  call(native: Native, port: number, skip: number, flags: number): number {
    return native.writeAnswer(port, this.text, this.chunks, LARGE, skip, flags);
  }

  chunkAt(): Uint8Array {
    return this.chunks;
  }
}

class ManyChunks extends Write {
  constructor(
    readonly chunks: readonly Uint8Array[],
    readonly kinds: Uint8Array,
    callback: WriteCallback,
  ) {
    let bytes = 0;
    for (const { length } of chunks) bytes += length;
    super(bytes, callback);
  }

  call(native: Native, port: number, skip: number, flags: number): number {
    return native.writeMany(port, this.chunks, this.kinds, skip, flags);
  }

  chunkAt(index: number): Uint8Array {
    return this.chunks[index] as Uint8Array;
  }
}

/** A write of one chunk, or of a header in latin1 and a body, which began at an id. */
export function writeOf(
  body: Uint8Array,
  callback: WriteCallback,
  text: string | undefined,
  firstId: number,
): Write {
  const write =
    text === undefined ? new OneChunk(body, callback) : new Answer(text, body, callback);
  write.firstId = firstId;
  return write;
}

/** A write of several chunks. @param kinds of each, see chunk-kinds.ts */
export function writeOfMany(
  chunks: readonly Uint8Array[],
  kinds: Uint8Array,
  callback: WriteCallback,
): Write {
  return new ManyChunks(chunks, kinds, callback);
}

/** Bytes that a write has now: fewer or more than at its begin where a chunk was detached, or resized. */
export function bytesNow(write: Write): number {
  const { chunks } = write;
  if (!Array.isArray(chunks)) {
    const text = write instanceof Answer ? write.text.length : 0;
    return text + (chunks as Uint8Array).length;
  }
  let bytes = 0;
  for (const { length } of chunks as readonly Uint8Array[]) bytes += length;
  return bytes;
}

/** The flags of a write that is to be copied for a reason of ours. */
export function causeFlags({ WRITE_CAUSE_SHIFT }: NativeConstants): number {
  return ELSEWHERE << WRITE_CAUSE_SHIFT;
}
