// Receives the datagrams of one socket in batches (recvmmsg), and has them handed over a few at a time: a
// flood must not starve timers and other sockets.
import { constants } from 'node:os';
import { setImmediate } from '../node/clock.js';
import type { DatagramWords } from './metadata.js';

const { EAGAIN } = constants.errno;

/** Messages of one turn of the loop: as many as libuv reads (src/unix/udp.c:uv__udp_recvmsg). */
export const MESSAGES_PER_TURN = 32;

/** Who takes what is received. */
export interface ArrivalSink<Item> {
  readonly isReceiving: boolean;
  /** Adds what datagram `slot` of the batch stands for. Must not run user code. */
  describe(slot: number, add: (item: Item) => void): void;
  /** Hands over `items` from the index `from` on. Runs user code. @returns the index where it stopped */
  deliver(items: readonly Item[], from: number): number;
  /** A receive failed: the socket's pending error, e.g. ECONNREFUSED. Runs user code. */
  receiveFailed(errno: number): void;
  /** Has receive() called in the next turn if something waits. */
  lookAgain(): void;
}

export class DatagramReceiver<Item> {
  readonly #port: number;
  readonly #words: DatagramWords;
  readonly #sink: ArrivalSink<Item>;
  readonly #limit: number;
  #items: Item[] = [];
  /** The next of the items. */
  #next = 0;
  /** What the last receive failed with, behind the items; 0: nothing. */
  #failed = 0;
  /** The kernel may have more, which no event will tell. */
  #more = false;
  #continues = false;
  readonly #add = (item: Item): void => void this.#items.push(item);
  readonly #continue = (): void => {
    this.#continues = !this.#handOver();
    if (this.#continues) setImmediate(this.#continue);
  };

  /** @param limit datagrams for one system call */
  constructor(port: number, words: DatagramWords, sink: ArrivalSink<Item>, limit: number) {
    this.#port = port;
    this.#words = words;
    this.#sink = sink;
    this.#limit = limit;
  }

  /** Receives, and hands over what one turn is for; the rest follows in the next turns. */
  receive(): void {
    if (this.#continues) {
      // What came before goes first.
      this.#more = true;
      return;
    }
    if (!this.#sink.isReceiving) return;
    this.#fill();
    if (this.#handOver()) return;
    this.#continues = true;
    // An immediate of now would still run in this turn.
    setImmediate(() => setImmediate(this.#continue));
  }

  #fill(): void {
    let count: number;
    do {
      count = this.#words.receive(this.#port, this.#limit);
      if (count < 0) break;
      for (let slot = 0; slot < count; slot++) this.#sink.describe(slot, this.#add);
    } while (count === this.#limit && this.#items.length < MESSAGES_PER_TURN);
    // A short batch emptied the queue; behind an error there may be another, or datagrams.
    this.#more = count === this.#limit || (count < 0 && count !== -EAGAIN);
    if (count < 0 && count !== -EAGAIN) this.#failed = count;
  }

  // Whether all of it is handed over.
  #handOver(): boolean {
    if (this.#items.length > 0) this.#next = this.#sink.deliver(this.#items, this.#next);
    if (this.#next < this.#items.length) return false;
    this.#items = [];
    this.#next = 0;
    const failed = this.#failed;
    this.#failed = 0;
    if (failed < 0) this.#sink.receiveFailed(failed);
    if (this.#more) this.#sink.lookAgain();
    return true;
  }
}
