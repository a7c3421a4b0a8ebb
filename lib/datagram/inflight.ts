// Which sends the kernel still references. Pure: no socket, no addon, no clock.
//
//   base                      nextId
//    |--- released? ---|---------|
//    [ . x . . x x . . ]            ring indexed by id & mask; x = completed out of order
//
// Ids are kept as 64-bit counters (doubles are exact to 2^53); the kernel speaks of them modulo 2^32
// and in any order: a reset releases the unsent end of the queue before its start.

/** What one zero-copy send keeps alive until the kernel lets go of it. */
export interface SentEntry {
  /** Bytes that this send accepted. */
  readonly bytes: number;
}

export class InFlight<Entry extends SentEntry> {
  #ring: (Entry | undefined)[] = new Array<Entry | undefined>(4);
  #base: number;
  #next: number;
  #pendingBytes = 0;
  #pendingSends = 0;

  /** @param firstId the id that the kernel gives to the next zero-copy send of this socket */
  constructor(firstId = 0) {
    this.#base = firstId;
    this.#next = firstId;
  }

  /** The id that the next send takes. */
  get nextId(): number {
    return this.#next;
  }

  /** Every id below this one is released. */
  get releasedBelow(): number {
    return this.#base;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  get pendingSends(): number {
    return this.#pendingSends;
  }

  /** Records a send that the kernel accepted; answers its id. */
  add(entry: Entry): number {
    if (this.#next - this.#base === this.#ring.length) this.#grow();
    const id = this.#next++;
    this.#ring[this.#slot(id)] = entry;
    this.#pendingBytes += entry.bytes;
    this.#pendingSends++;
    return id;
  }

  /**
   * Marks the range [lo, hi] of a notification as released.
   * @param lo first id modulo 2^32
   * @param hi last id modulo 2^32, inclusive; below `lo` where the range crosses the wrap
   * @param visit called once for each entry that was pending, lowest id first
   * @returns how many ids of the range were not pending: 0 unless other code sends on this socket
   */
  complete(lo: number, hi: number, visit: (entry: Entry, isFirst: boolean) => void): number {
    const from = this.#base + ((lo - this.#base) >>> 0);
    const count = ((hi - lo) >>> 0) + 1;
    const end = Math.min(from + count, this.#next);
    let strays = from + count - Math.max(end, from);
    for (let id = from; id < end; id++) {
      const slot = this.#slot(id);
      const entry = this.#ring[slot];
      if (entry === undefined) {
        strays++;
        continue;
      }
      this.#ring[slot] = undefined;
      this.#pendingBytes -= entry.bytes;
      this.#pendingSends--;
      visit(entry, id === from);
    }
    while (this.#base < this.#next && this.#ring[this.#slot(this.#base)] === undefined)
      this.#base++;
    return strays;
  }

  // The ring's length is a power of two; ids beyond 2^31 keep their low bits in `>>> 0`.
  #slot(id: number): number {
    return (id >>> 0) & (this.#ring.length - 1);
  }

  #grow(): void {
    const old = this.#ring;
    const bigger = new Array<Entry | undefined>(old.length * 2);
    for (let id = this.#base; id < this.#next; id++) {
      bigger[(id >>> 0) & (bigger.length - 1)] = old[(id >>> 0) & (old.length - 1)];
    }
    this.#ring = bigger;
  }
}
