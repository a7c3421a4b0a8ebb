// Receives the datagrams of one socket in batches (recvmmsg), and hands them over one by one.
// Datagrams of one batch share memory, as small Buffers of Node's share its pool.
import { constants } from 'node:os';
import { setImmediate } from './clock.js';
import type { DatagramWords } from './envelope.js';

const { EAGAIN } = constants.errno;

/** Memory that batches are copied to; a new piece when it is used up. A datagram that is kept keeps
 * its piece alive. */
const SLAB_BYTES = 64 * 1024;

/** Batches received before the loop turns: a flood must not starve timers and other sockets. */
const BATCHES_PER_TURN = 4;

/** Who takes what is received. */
export interface ArrivalSink {
  readonly isReceiving: boolean;
  /** Datagram `slot` of the batch; its fields are in the shared words. Must not run user code. */
  arrived(data: Buffer, slot: number): void;
  /** The batch is complete: user code may run. */
  batchDone(): void;
  /** A receive failed: the socket's pending error, e.g. ECONNREFUSED. */
  receiveFailed(errno: number): void;
}

export class DatagramReceiver {
  readonly #port: number;
  readonly #words: DatagramWords;
  readonly #sink: ArrivalSink;
  readonly #limit: number;
  #slab: Buffer | undefined;
  #used = 0;
  #continues = false;

  /** @param limit datagrams for one system call */
  constructor(port: number, words: DatagramWords, sink: ArrivalSink, limit: number) {
    this.#port = port;
    this.#words = words;
    this.#sink = sink;
    this.#limit = limit;
  }

  /** Receives until nothing is left, or the sink has enough, or it is others' turn. */
  receive(): void {
    for (let batch = 0; batch < BATCHES_PER_TURN; batch++) {
      if (!this.#sink.isReceiving) return;
      const count = this.#words.native.receive(this.#port, this.#limit);
      if (count === -EAGAIN) return;
      if (count < 0) {
        // Another error or data may be behind it, and no event will tell.
        this.#sink.receiveFailed(count);
        continue;
      }
      this.#deliver(count);
      // A short batch emptied the queue; what comes later raises a new event.
      if (count < this.#limit) return;
    }
    this.#continueLater();
  }

  #deliver(count: number): void {
    const words = this.#words;
    const bytes = words.receivedBytes;
    let slab = this.#slab;
    if (slab === undefined || this.#used + bytes > slab.length) {
      this.#slab = slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytes));
      this.#used = 0;
    }
    words.native.takeReceived(slab, this.#used);
    this.#used += bytes;
    for (let slot = 0; slot < count; slot++) {
      const offset = words.offset(slot);
      this.#sink.arrived(slab.subarray(offset, offset + words.bytes(slot)), slot);
    }
    this.#sink.batchDone();
  }

  #continueLater(): void {
    if (this.#continues) return;
    this.#continues = true;
    setImmediate(() => {
      this.#continues = false;
      this.receive();
    });
  }
}
