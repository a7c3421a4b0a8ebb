// Datagrams for `for await`: a bounded queue between a socket that receives and a loop that takes.

/** Datagrams that wait for the loop before the socket stops receiving: about four batches. What
 * comes meanwhile waits in the kernel's buffer, which drops and counts what does not fit. */
const MOST_WAITING = 256;

export class DatagramIterator<Item> implements AsyncIterableIterator<Item> {
  #items: Item[] = [];
  #takers: ((result: IteratorResult<Item>) => void)[] = [];
  #ended = false;
  readonly #changed: () => void;
  readonly #left: (iterator: DatagramIterator<Item>) => void;

  /**
   * @param changed called when isFull may have changed
   * @param left called when the loop is left
   */
  constructor(changed: () => void, left: (iterator: DatagramIterator<Item>) => void) {
    this.#changed = changed;
    this.#left = left;
  }

  get isFull(): boolean {
    return this.#items.length >= MOST_WAITING;
  }

  push(item: Item): void {
    const taker = this.#takers.shift();
    if (taker === undefined) this.#items.push(item);
    else taker({ done: false, value: item });
  }

  /** The socket is closed: what waits is still delivered. */
  end(): void {
    this.#ended = true;
    for (const taker of this.#takers.splice(0)) taker({ done: true, value: undefined });
  }

  next(): Promise<IteratorResult<Item>> {
    if (this.#items.length > 0) {
      const wasFull = this.isFull;
      const value = this.#items.shift() as Item;
      if (wasFull && !this.isFull) this.#changed();
      return Promise.resolve({ done: false, value });
    }
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  return(): Promise<IteratorResult<Item>> {
    this.#items = [];
    this.end();
    this.#left(this);
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
