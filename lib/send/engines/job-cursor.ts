// Where an engine stands in a job: which bytes the kernel accepted and which come next. Pure.
import type { Reason } from '../../names.js';
import type { Job, Segment } from '../job.js';
import type { SendTracker } from '../../observe/report.js';

/** Bytes of one send that somebody follows. */
export type Share = readonly [SendTracker, number];

export class JobCursor {
  #segments: readonly Segment[];
  #index = -1;
  /** Index of the piece to send next, in the present segment. */
  piece = 0;
  /** Bytes of that piece that were accepted already. */
  offset = 0;
  /** Bytes left in the present segment. */
  left = 0;

  constructor(job: Job) {
    this.#segments = job.segments;
    this.#enter(0);
  }

  /** The segment to send from; undefined when the job is done. */
  get segment(): Segment | undefined {
    return this.#segments[this.#index];
  }

  get hasMoreSegments(): boolean {
    return this.#index + 1 < this.#segments.length;
  }

  /** The next piece of `large` bytes or more in the present segment; the last where there is none. */
  nextLarge(large: number): Uint8Array {
    const { pieces } = this.segment as Segment;
    return (pieces.find((piece, i) => i >= this.piece && piece.length >= large) ??
      pieces[pieces.length - 1]) as Uint8Array;
  }

  /** The bytes up to the end of that piece. */
  bytesThrough(piece: Uint8Array): number {
    const { pieces } = this.segment as Segment;
    const last = pieces.indexOf(piece, this.piece);
    let bytes = -this.offset;
    for (let i = this.piece; i <= last; i++) bytes += (pieces[i] as Uint8Array).length;
    return bytes;
  }

  /**
   * Moves past `accepted` bytes of the present segment.
   * @param copying why they were copied; undefined when they were not
   * @returns who follows bytes that were sent without copying
   */
  advance(accepted: number, copying: Reason | undefined): Share[] | undefined {
    const { pieces, trackers } = this.segment as Segment;
    const shares: Share[] | undefined = trackers === undefined ? undefined : [];
    this.left -= accepted;
    for (let rest = accepted; rest > 0;) {
      const piece = pieces[this.piece] as Uint8Array;
      const take = Math.min(rest, piece.length - this.offset);
      const tracker = trackers?.[this.piece];
      if (tracker !== undefined && copying === undefined) shares?.push([tracker, take]);
      else if (copying !== undefined) tracker?.copied(take, copying);
      rest -= take;
      this.offset += take;
      if (this.offset === piece.length) {
        this.piece++;
        this.offset = 0;
      }
    }
    if (this.left === 0) this.#enter(this.#index + 1);
    return shares;
  }

  /** Whether a piece became shorter or longer while it waited: detached, or resized. */
  get changedLength(): boolean {
    if (this.segment === undefined) return false;
    // Also in segments to come: behind a gap the kernel would take the next piece's bytes.
    for (let index = this.#index; index < this.#segments.length; index++) {
      const { pieces, bytes } = this.#segments[index] as Segment;
      const present = index === this.#index;
      let available = present ? -this.offset : 0;
      for (let i = present ? this.piece : 0; i < pieces.length; i++) {
        available += (pieces[i] as Uint8Array).length;
      }
      if (available !== (present ? this.left : bytes)) return true;
    }
    return false;
  }

  #enter(index: number): void {
    this.#index = index;
    this.piece = 0;
    this.offset = 0;
    this.left = this.#segments[index]?.bytes ?? 0;
  }
}
