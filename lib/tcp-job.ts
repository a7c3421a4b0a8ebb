// Turns the chunks of one stream write into a job: what goes zero-copy, what is staged beside it,
// what is copied. Decides by sizes and options only; touches no socket.
import type { Segment } from './engine.js';
import type { ResolvedOptions } from './options.js';
import type { SendTracker } from './report.js';
import { stageBytes, stageText } from './staging.js';

/** A chunk as Writable hands it to _write or _writev. */
export interface Chunk {
  readonly chunk: Uint8Array | string;
  readonly encoding: BufferEncoding;
}

/**
 * The most bytes of consecutive small chunks that are staged to ride in the same system call as
 * their large neighbour (an HTTP header). More than that is copied by the kernel in a call of its own.
 */
const STAGED_RUN_BYTES = 4096;

/** A lower bound of a chunk's size in bytes, without encoding it. */
export function sizeOf(chunk: Uint8Array | string): number {
  return chunk.length;
}

/**
 * Whether a write is worth a zero-copy job: the bytes of its chunks that are large enough by
 * themselves reach the threshold.
 */
export function reachesThreshold(
  chunks: readonly Chunk[],
  options: ResolvedOptions,
  threshold = options.threshold,
): boolean {
  let bytes = 0;
  for (const { chunk } of chunks) {
    const size = sizeOf(chunk);
    if (size < options.minimumChunk || size === 0) continue;
    if (typeof chunk !== 'string' && options.source?.(chunk) === false) continue;
    bytes += size;
    if (bytes >= threshold) return true;
  }
  return false;
}

interface Piece {
  bytes: Uint8Array;
  kind: 'large' | 'small' | 'denied';
  /** Encoded into memory of our own already. */
  own: boolean;
  tracker: SendTracker | undefined;
}

function toPiece(entry: Chunk, options: ResolvedOptions, tracker: SendTracker | undefined): Piece {
  const { chunk } = entry;
  const size = sizeOf(chunk);
  if (typeof chunk === 'string') {
    if (size >= options.minimumChunk) {
      const bytes = Buffer.from(chunk, entry.encoding);
      return { bytes, kind: 'large', own: true, tracker };
    }
    return { bytes: stageText(chunk, entry.encoding), kind: 'small', own: true, tracker };
  }
  if (size < options.minimumChunk) return { bytes: chunk, kind: 'small', own: false, tracker };
  const allowed = options.source?.(chunk) !== false;
  return { bytes: chunk, kind: allowed ? 'large' : 'denied', own: false, tracker };
}

class SegmentBuilder {
  readonly segments: Segment[] = [];
  bytes = 0;
  #pieces: Uint8Array[] = [];
  #trackers: (SendTracker | undefined)[] = [];
  #tracked = false;
  #copying: Segment['reason'];
  #size = 0;

  /** @param copying why the bytes are to be copied; undefined when they are not */
  append(bytes: Uint8Array, tracker: SendTracker | undefined, copying: Segment['reason']): void {
    if (this.#size > 0 && copying !== this.#copying) this.#cut();
    this.#copying = copying;
    this.#pieces.push(bytes);
    this.#trackers.push(tracker);
    this.#tracked ||= tracker !== undefined;
    this.#size += bytes.length;
  }

  finish(): readonly Segment[] {
    if (this.#size > 0) this.#cut();
    return this.segments;
  }

  #cut(): void {
    this.segments.push({
      zeroCopy: this.#copying === undefined,
      pieces: this.#pieces,
      bytes: this.#size,
      ...(this.#tracked ? { trackers: this.#trackers } : {}),
      ...(this.#copying === undefined ? {} : { reason: this.#copying }),
    });
    this.bytes += this.#size;
    this.#pieces = [];
    this.#trackers = [];
    this.#tracked = false;
    this.#size = 0;
  }
}

// Appends a run of small pieces: staged when it is short, so that it shares the system call with its
// large neighbours; else copied by the kernel straight from where it is.
function appendSmallRun(builder: SegmentBuilder, run: readonly Piece[]): void {
  let size = 0;
  for (const piece of run) size += piece.bytes.length;
  const staged = size <= STAGED_RUN_BYTES;
  for (const piece of run) {
    if (!staged) {
      builder.append(piece.bytes, piece.tracker, 'below-threshold');
      continue;
    }
    piece.tracker?.copied(piece.bytes.length, 'below-threshold');
    const bytes = piece.own ? piece.bytes : stageBytes(piece.bytes);
    builder.append(bytes, undefined, undefined);
  }
}

/**
 * Builds the segments of a write that reachesThreshold(). Empty chunks are left out.
 * @param trackerOf who follows a chunk's bytes, if anybody does
 */
export function buildSegments(
  chunks: readonly Chunk[],
  options: ResolvedOptions,
  trackerOf: ((chunk: Uint8Array | string) => SendTracker | undefined) | undefined,
): { segments: readonly Segment[]; bytes: number } {
  const only = chunks.length === 1 ? chunks[0]?.chunk : undefined;
  if (only !== undefined && typeof only !== 'string' && trackerOf === undefined) {
    const segment = { zeroCopy: true, pieces: [only], bytes: only.length };
    return { segments: [segment], bytes: only.length };
  }
  const builder = new SegmentBuilder();
  let run: Piece[] = [];
  for (const entry of chunks) {
    if (entry.chunk.length === 0) continue;
    const piece = toPiece(entry, options, trackerOf?.(entry.chunk));
    if (piece.bytes.length === 0) continue; // text that is invalid in its encoding
    if (piece.kind === 'small') {
      run.push(piece);
      continue;
    }
    if (run.length > 0) appendSmallRun(builder, run);
    run = [];
    builder.append(piece.bytes, piece.tracker, piece.kind === 'large' ? undefined : 'source');
  }
  if (run.length > 0) appendSmallRun(builder, run);
  const segments = builder.finish();
  return { segments, bytes: builder.bytes };
}
