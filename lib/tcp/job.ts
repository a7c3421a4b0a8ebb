// Turns the chunks of one stream write into a job: what goes zero-copy, what is staged beside it,
// what is copied. Decides by sizes and options only; touches no socket.
import type { Segment } from '../send/job.js';
import type { ResolvedOptions } from '../send/options.js';
import type { SendTracker } from '../observe/report.js';
import { commonArea, Staging } from '../memory/staging.js';

/** A chunk as Writable hands it to _write or _writev. */
export interface Chunk {
  readonly chunk: Uint8Array | string;
  readonly encoding: BufferEncoding;
}

/** A lower bound of a chunk's size in bytes, without encoding it. */
export function sizeOf(chunk: Uint8Array | string): number {
  return chunk.length;
}

/** About as many bytes as the chunks have. */
export function sizeOfAll(chunks: readonly Chunk[]): number {
  let bytes = 0;
  for (const { chunk } of chunks) bytes += sizeOf(chunk);
  return bytes;
}

/**
 * What a zero-copy job would be worth: the bytes of those chunks of a write that are large enough by
 * themselves.
 */
export function worthBytes(chunks: readonly Chunk[], options: ResolvedOptions): number {
  let bytes = 0;
  for (const { chunk } of chunks) {
    const size = sizeOf(chunk);
    if (size < options.minimumChunk || size === 0) continue;
    if (typeof chunk !== 'string' && options.source?.(chunk) === false) continue;
    bytes += size;
  }
  return bytes;
}

interface Piece {
  bytes: Uint8Array;
  kind: 'large' | 'small' | 'denied';
  /** Encoded into memory of our own already. */
  own: boolean;
  tracker: SendTracker | undefined;
}

function toPiece(
  entry: Chunk,
  options: ResolvedOptions,
  tracker: SendTracker | undefined,
  staging: Staging,
): Piece {
  const { chunk } = entry;
  const size = sizeOf(chunk);
  if (typeof chunk === 'string') {
    if (size >= options.minimumChunk) {
      const bytes = Buffer.from(chunk, entry.encoding);
      return { bytes, kind: 'large', own: true, tracker };
    }
    return { bytes: staging.text(chunk, entry.encoding), kind: 'small', own: true, tracker };
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
      trackers: this.#tracked ? this.#trackers : undefined,
      reason: this.#copying,
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
function appendSmallRun(builder: SegmentBuilder, run: readonly Piece[], plan: Plan): void {
  let size = 0;
  for (const piece of run) size += piece.bytes.length;
  const staged = size <= plan.options.maxStagedBytes;
  for (const piece of run) {
    if (!staged) {
      builder.append(piece.bytes, piece.tracker, 'below-threshold');
      continue;
    }
    piece.tracker?.copied(piece.bytes.length, 'below-threshold');
    const bytes = piece.own ? piece.bytes : plan.staging.bytes(piece.bytes);
    builder.append(bytes, undefined, undefined);
  }
}

/** How a write is turned into segments. */
interface Plan {
  readonly options: ResolvedOptions;
  readonly staging: Staging;
}

/**
 * Builds the segments of a write that is worth some bytes. Empty chunks are left out.
 * @param trackerOf who follows a chunk's bytes, if anybody does
 */
export function buildSegments(
  chunks: readonly Chunk[],
  options: ResolvedOptions,
  trackerOf: ((chunk: Uint8Array | string) => SendTracker | undefined) | undefined,
  staging = new Staging(commonArea),
): { segments: readonly Segment[]; bytes: number } {
  const only = chunks.length === 1 ? chunks[0]?.chunk : undefined;
  if (only !== undefined && typeof only !== 'string' && trackerOf === undefined) {
    const pieces = [only];
    const segment = {
      zeroCopy: true,
      pieces,
      bytes: only.length,
      trackers: undefined,
      reason: undefined,
    };
    return { segments: [segment], bytes: only.length };
  }
  const answer = trackerOf === undefined ? buildAnswer(chunks, options, staging) : undefined;
  if (answer !== undefined) return { segments: [answer], bytes: answer.bytes };
  const plan: Plan = { options, staging };
  const builder = new SegmentBuilder();
  let run: Piece[] = [];
  for (const entry of chunks) {
    if (entry.chunk.length === 0) continue;
    const piece = toPiece(entry, options, trackerOf?.(entry.chunk), staging);
    if (piece.bytes.length === 0) continue; // text that is invalid in its encoding
    if (piece.kind === 'small') {
      run.push(piece);
      continue;
    }
    if (run.length > 0) appendSmallRun(builder, run, plan);
    run = [];
    const denied = piece.kind === 'denied';
    const bytes = denied ? piece.bytes : piece.bytes;
    builder.append(bytes, piece.tracker, denied ? 'source' : undefined);
  }
  if (run.length > 0) appendSmallRun(builder, run, plan);
  const segments = builder.finish();
  return { segments, bytes: builder.bytes };
}

// What http writes for most responses: a header in text, one large body, and an empty chunk at the end.
function buildAnswer(
  chunks: readonly Chunk[],
  options: ResolvedOptions,
  staging: Staging,
): Segment | undefined {
  const [head, body, end] = chunks;
  if (head === undefined || body === undefined || chunks.length > 3 || options.source) return;
  const { chunk: text, encoding } = head;
  if (typeof text !== 'string' || encoding !== 'latin1' || typeof body.chunk === 'string') return;
  if (text.length === 0 || text.length > options.maxStagedBytes) return;
  if (text.length >= options.minimumChunk || body.chunk.length < options.minimumChunk) return;
  if (end !== undefined && end.chunk.length > 0) return;
  const pieces = [staging.text(text, encoding), body.chunk];
  const bytes = text.length + body.chunk.length;
  return { zeroCopy: true, pieces, bytes, trackers: undefined, reason: undefined };
}
