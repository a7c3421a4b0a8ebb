// Distinguishes writes that came through the upgraded write(), end() and send() from those that did not: data
// that waited in the stream at the upgrade, and data written by a method that was saved before it. The
// callbacks of those are not held, so their memory must be copied. A stream is first in, first out, and
// reports how many bytes wait in it: as long as all of them came through our methods, so does the next write.
import { NO_BYTES } from '../observe/counters.js';
import type { Kept } from '../send/write.js';

export class OwnWrites {
  /** Bytes that wait in the stream behind the present write and came through our methods. */
  #known = NO_BYTES;
  /** Others wait there, too. */
  #mixed = false;
  /** What is being passed to the stream at this moment; undefined once it went on to _write(). */
  passing: unknown;
  /** The pool's chunk that write() is passing to the stream, and its pins. */
  pinned: unknown;
  pins: Kept | undefined;
  /** As the stream counts it. */
  #passingSize = 0;
  /** Something large was passed since the stream was last empty. */
  #large = false;

  /**
   * A chunk is about to be passed to the stream.
   * @param size as the stream counts it
   * @param waiting bytes that wait in the stream, the present write among them
   * @param isLarge it may go without copying
   */
  begin(chunk: unknown, size: number, waiting: number, isLarge: boolean): void {
    if (waiting === 0) {
      this.#known = NO_BYTES;
      this.#mixed = false;
      this.#large = false;
    }
    this.passing = chunk;
    this.#passingSize = size;
    if (isLarge) this.#large = true;
  }

  /** The stream kept it, or threw. @param grown by so many bytes more wait in it than before */
  end(grown: number): void {
    this.passing = undefined;
    if (grown === 0) return;
    // A write that was wrapped before the upgrade may have added bytes of its own.
    if (grown === this.#passingSize) this.#known += grown;
    else this.#mixed = true;
  }

  /**
   * The stream hands a write to _write() or _writev(). @returns whether all of it came through our methods
   * @param last its last chunk
   * @param size bytes of all its chunks
   * @param waiting bytes that wait in the stream, these among them
   */
  arrives(last: unknown, size: number, waiting: number): boolean {
    const { passing } = this;
    let known = this.#known;
    if (passing !== undefined) {
      this.passing = undefined;
      if (passing === last || isSame(passing, last)) known += this.#passingSize;
    }
    const rest = waiting - size;
    // A program that calls _write() itself leaves the stream's count as it is.
    const isOwn = !this.#mixed && known === waiting && rest >= 0;
    this.#known = rest;
    this.#mixed = !isOwn && rest > 0;
    return isOwn;
  }

  /** What waits in the stream was passed under other options: it counts as foreign. */
  disown(): void {
    this.#mixed = true;
  }

  /** Something may wait that goes without copying. @param waiting as above */
  largeWaits(waiting: number): boolean {
    return this.#large && waiting > 0;
  }
}

// Streams make a Buffer of another view.
function isSame(passed: unknown, arrived: unknown): boolean {
  if (!ArrayBuffer.isView(passed) || !ArrayBuffer.isView(arrived)) return false;
  const { buffer, byteOffset, byteLength } = arrived;
  return (
    passed.buffer === buffer && passed.byteOffset === byteOffset && passed.byteLength === byteLength
  );
}
