// What a socket of node:dgram was given and has not sent yet.
import * as errors from '../errors.js';
import type { CheckedSendOptions } from './arguments.js';

export type Payloads = readonly Uint8Array[];
export type OnSettled = (error: Error | null) => void;

/** One message of the caller: a datagram, or several with a segment size. No port: connected. */
export type Message = Pick<CheckedSendOptions, 'port' | 'address' | 'segmentSize'> & {
  readonly payloads: Payloads;
  readonly bytes: number;
};

/** A message from the call until its memory is the caller's again. */
export interface Outgoing {
  readonly message: Message;
  /** Absent if the send has no callback. */
  readonly onSettled: OnSettled | undefined;
  /** dgram is sending it: it cannot be cancelled any more. */
  isHanded: boolean;
  isSettled: boolean;
}

export class Outbox implements Iterable<Outgoing> {
  readonly #maxBytes: number;
  readonly #outgoing = new Set<Outgoing>();
  #bytes = 0;
  readonly #flushes = new Set<{ readonly left: Set<Outgoing>; readonly done: () => void }>();

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#outgoing.size;
  }

  [Symbol.iterator](): Iterator<Outgoing> {
    return this.#outgoing.values();
  }

  /** The error of a send for which there is no room. */
  refusal(bytes: number): Error | undefined {
    const isFull = this.#outgoing.size > 0 && this.#bytes + bytes > this.#maxBytes;
    return isFull ? errors.queueFull(this.#maxBytes) : undefined;
  }

  add(message: Message, onSettled: OnSettled | undefined): Outgoing {
    const outgoing = { message, onSettled, isHanded: false, isSettled: false };
    this.#outgoing.add(outgoing);
    this.#bytes += message.bytes;
    return outgoing;
  }

  /** It is settled. @returns whether it was in here */
  delete(outgoing: Outgoing): boolean {
    outgoing.isSettled = true;
    if (!this.#outgoing.delete(outgoing)) return false;
    this.#bytes -= outgoing.message.bytes;
    for (const flush of this.#flushes) {
      flush.left.delete(outgoing);
      if (flush.left.size === 0 && this.#flushes.delete(flush)) flush.done();
    }
    return true;
  }

  /** Settles once everything that is in here now is gone. */
  flush(): Promise<void> {
    const left = new Set(this.#outgoing);
    if (left.size === 0) return Promise.resolve();
    return new Promise((done) => this.#flushes.add({ left, done }));
  }
}
