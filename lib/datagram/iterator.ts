// Datagrams for `for await`: a bounded queue between a socket that receives and a loop that takes. As with
// on() of node:events the loop hears of the socket's 'error', and ends with it.
import type { EventEmitter } from 'node:events';

/** Datagrams that wait for the loop before the socket stops receiving: about four batches. What
 * comes meanwhile waits in the kernel's buffer, which drops and counts what does not fit. */
const MOST_WAITING = 256;

interface Taker<Item> {
  readonly resolve: (result: IteratorResult<Item>) => void;
  readonly reject: (error: Error) => void;
}

export class DatagramIterator<Item> implements AsyncIterableIterator<Item> {
  #items: Item[] = [];
  #takers: Taker<Item>[] = [];
  #ended = false;
  /** What the loop rejects with once nothing waits. */
  #error: Error | undefined;
  readonly #socket: EventEmitter;
  readonly #changed: () => void;
  readonly #left: (iterator: DatagramIterator<Item>) => void;

  /**
   * @param socket whose 'error' the loop rejects with
   * @param changed called when isFull may have changed
   * @param left called when the loop is left
   */
  constructor(
    socket: EventEmitter,
    changed: () => void,
    left: (iterator: DatagramIterator<Item>) => void,
  ) {
    this.#socket = socket;
    this.#changed = changed;
    this.#left = left;
    socket.on('error', this.#fail);
  }

  get isFull(): boolean {
    return this.#items.length >= MOST_WAITING;
  }

  push(item: Item): void {
    const taker = this.#takers.shift();
    if (taker === undefined) this.#items.push(item);
    else taker.resolve({ done: false, value: item });
  }

  /** The socket is closed: what waits is still delivered. */
  end(): void {
    this.#ended = true;
    this.#socket.off('error', this.#fail);
    for (const taker of this.#takers.splice(0)) taker.resolve({ done: true, value: undefined });
  }

  readonly #fail = (error: Error): void => {
    const taker = this.#takers.shift();
    if (taker === undefined) this.#error = error;
    else taker.reject(error);
    this.end();
    this.#left(this);
  };

  next(): Promise<IteratorResult<Item>> {
    if (this.#items.length > 0) {
      const wasFull = this.isFull;
      const value = this.#items.shift() as Item;
      if (wasFull && !this.isFull) this.#changed();
      return Promise.resolve({ done: false, value });
    }
    const error = this.#error;
    if (error !== undefined) {
      this.#error = undefined;
      return Promise.reject(error);
    }
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.#takers.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<Item>> {
    this.#items = [];
    this.#error = undefined;
    this.end();
    this.#left(this);
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
