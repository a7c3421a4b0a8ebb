// Which pages of a slab are taken: hands out runs of consecutive pages and merges what comes back with
// the free runs beside it. Pure: no memory, no clock.
//
// Each run has its length written at its first and at its last page, positive when it is free:
//
//   pages     0  1  2  3  4  5  6  7  8  9
//   length   -3     -3  2  2 -1  4        4
//             '--taken--' free t  '-free--'
//
// so giving a run back finds both neighbours in one step. Free runs of similar length are in one list, and a bitmap
// says which lists have any: taking and giving back cost the same however many runs there are. Only a request that
// no list of longer runs can serve searches its own list.

/** Each power of two is cut into this many classes: what is taken is at most 1/16 from the best fit. */
const CLASSES_PER_DOUBLING = 16;
const DOUBLING_BITS = 4;
const NONE = -1;

/** The class of the runs of `pages`; those below 32 pages have a class for each length. */
function classOf(pages: number): number {
  if (pages < CLASSES_PER_DOUBLING) return pages;
  const shift = 31 - Math.clz32(pages) - DOUBLING_BITS;
  return shift * CLASSES_PER_DOUBLING + (pages >> shift);
}

/** The first class all of whose runs have `pages` or more. */
function fittingClass(pages: number): number {
  const own = classOf(pages);
  return pages === 1 || classOf(pages - 1) !== own ? own : own + 1;
}

export class PageAllocator {
  /** Pages that are not taken. */
  freePages: number;
  readonly #lengths: Int32Array;
  // The list of a class, through the first pages of its runs.
  readonly #heads: Int32Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  /** A bit for each class that has a run. */
  readonly #filled: Uint32Array;

  /** @param pages all of them, free at first */
  constructor(readonly pages: number) {
    const classes = classOf(pages) + 1;
    this.freePages = pages;
    this.#lengths = new Int32Array(pages);
    this.#next = new Int32Array(pages);
    this.#previous = new Int32Array(pages);
    this.#heads = new Int32Array(classes).fill(NONE);
    this.#filled = new Uint32Array((classes + 31) >>> 5);
    this.#link(0, pages);
  }

  /**
   * Takes `count` consecutive pages.
   * @param count 1 or more
   * @returns the first of them, or -1 when no free run is that long
   */
  take(count: number): number {
    if (count > this.freePages) return NONE;
    const found = this.#find(count);
    if (found === NONE) return NONE;
    const length = this.#lengths[found] as number;
    this.#unlink(found, length);
    if (length > count) this.#link(found + count, length - count);
    this.#mark(found, count, -count);
    this.freePages -= count;
    return found;
  }

  /**
   * Gives a run back that take() answered.
   * @param first its first page
   * @returns how many pages it has
   */
  giveBack(first: number): number {
    const count = -(this.#lengths[first] ?? 0);
    if (count <= 0) throw new Error(`no run is taken at page ${first}`);
    let start = first;
    let length = count;
    const before = first === 0 ? 0 : (this.#lengths[first - 1] as number);
    if (before > 0) {
      start -= before;
      length += before;
      this.#unlink(start, before);
    }
    const after = first + count === this.pages ? 0 : (this.#lengths[first + count] as number);
    if (after > 0) {
      length += after;
      this.#unlink(first + count, after);
    }
    // The old border of two runs must mean nothing, not even to a second giveBack().
    this.#mark(first, count, 0);
    this.#link(start, length);
    this.freePages += count;
    return count;
  }

  /** The first page of a free run of `count` pages or more, or NONE. */
  #find(count: number): number {
    const longer = this.#filledFrom(fittingClass(count));
    if (longer !== NONE) return this.#heads[longer] as number;
    // The runs of its own class may be shorter or longer than it.
    let run = this.#heads[classOf(count)] ?? NONE;
    while (run !== NONE && (this.#lengths[run] as number) < count) run = this.#next[run] as number;
    return run;
  }

  /** The first class from `from` on that has a run, or NONE. */
  #filledFrom(from: number): number {
    let word = from >>> 5;
    let bits = (this.#filled[word] ?? 0) & (~0 << (from & 31));
    while (bits === 0) {
      if (++word >= this.#filled.length) return NONE;
      bits = this.#filled[word] as number;
    }
    const lowest = bits & -bits;
    return (word << 5) + 31 - Math.clz32(lowest);
  }

  #mark(first: number, count: number, length: number): void {
    this.#lengths[first] = length;
    this.#lengths[first + count - 1] = length;
  }

  #link(first: number, length: number): void {
    const list = classOf(length);
    const head = this.#heads[list] as number;
    this.#next[first] = head;
    this.#previous[first] = NONE;
    if (head !== NONE) this.#previous[head] = first;
    this.#heads[list] = first;
    this.#filled[list >>> 5] = (this.#filled[list >>> 5] as number) | (1 << (list & 31));
    this.#mark(first, length, length);
  }

  #unlink(first: number, length: number): void {
    const next = this.#next[first] as number;
    const previous = this.#previous[first] as number;
    if (next !== NONE) this.#previous[next] = previous;
    if (previous !== NONE) {
      this.#next[previous] = next;
      return;
    }
    const list = classOf(length);
    this.#heads[list] = next;
    if (next !== NONE) return;
    this.#filled[list >>> 5] = (this.#filled[list >>> 5] as number) & ~(1 << (list & 31));
  }
}
