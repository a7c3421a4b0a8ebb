// When to abort a destroyed connection whose memory the kernel still references. Pure: callers pass the clock
// and the unacknowledged bytes.

/** Default of `lingerTimeoutMs`: as long as a client usually waits, far below TCP's own give-up. */
export const DEFAULT_LINGER_TIMEOUT_MS = 30_000;

/**
 * How long pinned memory keeps the process alive after destroy(), or after the last progress of an
 * unref'ed socket. Plain Node would exit and leave the rest to the kernel. About the longest round trip.
 */
export const LET_GO_MS = 500;

export class Linger {
  #deadlineMs: number;
  #unacknowledgedBytes: number;

  /**
   * @param timeoutMs time without progress after which the connection is aborted
   * @param nowMs the moment of destroy()
   * @param unacknowledgedBytes what the peer had still to acknowledge then
   */
  constructor(
    readonly timeoutMs: number,
    nowMs: number,
    unacknowledgedBytes: number,
  ) {
    this.#deadlineMs = nowMs + timeoutMs;
    this.#unacknowledgedBytes = unacknowledgedBytes;
  }

  /** A notification came. */
  progressed(nowMs: number): void {
    this.#deadlineMs = nowMs + this.timeoutMs;
  }

  /**
   * Looks at the connection. Acknowledged bytes count as progress even when they complete no send:
   * one send of megabytes to a slow reader is released only by its last byte.
   * @returns milliseconds until the next look; 0 means abort now
   */
  check(nowMs: number, unacknowledgedBytes: number): number {
    if (unacknowledgedBytes < this.#unacknowledgedBytes) this.progressed(nowMs);
    this.#unacknowledgedBytes = unacknowledgedBytes;
    const left = this.#deadlineMs - nowMs;
    if (left <= 0) return 0;
    // At least four looks within a timeout, or progress just after one look would not be seen
    // until the deadline has passed.
    return Math.max(1, Math.min(left, Math.ceil(this.timeoutMs / 4)));
  }
}
