// How much of the process budget may be used now. RLIMIT_MEMLOCK is charged to the user, so other
// processes (cluster workers) may leave less than the limit says; sends then fail with ENOBUFS. Pure.

/** A budget that shrinks no further keeps zero copy going for a few sockets. */
const LEAST_BYTES = 1024 * 1024;
/** Share of what was pinned when the kernel refused more. */
const SHRINK = 0.75;
/** Growth per second, of the present budget. */
const GROWTH_PER_S = 0.25;

export class WorkingBudget {
  readonly #charged: boolean;
  #bytes: number;
  #sinceMs = 0;

  /** @param memlock whether the kernel charges pinned memory: otherwise the budget is what it is */
  constructor(
    readonly most: number,
    memlock: 'charged' | 'free',
  ) {
    this.#charged = memlock === 'charged';
    this.#bytes = most;
  }

  /** As far as is known, less than the whole budget is usable. */
  get shrunk(): boolean {
    return this.#bytes < this.most;
  }

  /** Bytes that may be pinned now. */
  bytes(nowMs: number): number {
    if (this.#bytes === this.most) return this.most;
    const seconds = (nowMs - this.#sinceMs) / 1000;
    const grown = this.#bytes * (1 + GROWTH_PER_S) ** seconds;
    if (grown >= this.most) this.#bytes = this.most;
    return Math.min(this.most, Math.floor(grown));
  }

  /** The kernel refused to pin more than `pinned` bytes. */
  refused(pinned: number, nowMs: number): void {
    if (!this.#charged) return;
    const least = Math.min(LEAST_BYTES, this.most);
    this.#bytes = Math.max(least, Math.min(this.bytes(nowMs), Math.floor(pinned * SHRINK)));
    this.#sinceMs = nowMs;
  }
}
