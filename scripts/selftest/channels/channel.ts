// What sends: the seam between the sender's loop and a socket of one kind.
import type { PacketRingOptions, SendReport, ZeroCopyControl } from '../../../lib/index';
import { OVERWRITTEN } from '../../pattern';
import type { SenderOrder } from '../protocol';

/** Writes one message into the memory it is given. */
export type Fill = (payload: Buffer) => void;

export interface Channel {
  readonly control: ZeroCopyControl;
  /** Bytes of header that go with every message, beside the payload. */
  readonly headerBytes: number;
  /** Settles when there is memory for another message. */
  room(): Promise<void>;
  /** Sends one message. Settles when every piece of its memory is released (and overwritten). */
  transmit(fill: Fill): Promise<readonly SendReport[]>;
  /** No more messages; settles when the socket is closed. What was sent still arrives. */
  close(): Promise<void>;
}

export type OpenChannel = (order: SenderOrder) => Promise<Channel>;

/** As the kernel's own self-test asks for; the kernel gives what net.core.wmem_max allows. */
export const SEND_BUFFER_BYTES = 2 * 1024 * 1024;

/** Whose name insists: zero copy also where the kernel copies after all, as on loopback. */
export function engineOf(order: SenderOrder): 'msg_zerocopy' | 'copy' {
  return order.trial.zeroCopy ? 'msg_zerocopy' : 'copy';
}

/** The kernel's own header of a ring frame, with room to spare. */
const RING_HEADER_BYTES = 128;
const LEAST_FRAME_BYTES = 2048;
const RING_FRAMES = 32;

/** A ring for frames of so many bytes: slots are powers of two, so that they fill its blocks. */
export function ringFor(bytes: number): PacketRingOptions {
  let frameSize = LEAST_FRAME_BYTES;
  while (frameSize < bytes + RING_HEADER_BYTES) frameSize *= 2;
  return { frames: RING_FRAMES, frameSize };
}

/** Buffers of one size that are used again and again. */
export class BufferPool {
  readonly #free: Buffer[];
  #wake: () => void = () => undefined;

  constructor(bytes: number, count: number) {
    this.#free = Array.from({ length: count }, () => Buffer.allocUnsafeSlow(bytes));
  }

  async room(): Promise<void> {
    while (this.#free.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  take(): Buffer {
    const buffer = this.#free.pop();
    if (buffer === undefined) throw new Error('room() must be awaited first');
    return buffer;
  }

  put(buffer: Buffer): void {
    this.#free.push(buffer);
    this.#wake();
  }
}

/** Messages that are under way at a time, in memory of their own. */
const POOL_BUFFERS = 16;

/** For sockets that send what they are given: one buffer for each message under way. */
export class PooledMessages {
  readonly #pool: BufferPool;
  readonly #plan: Pieces;
  /** The how manieth message is in a buffer. */
  readonly #turns = new WeakMap<ArrayBufferLike, number>();
  #turn = 0;

  constructor({ trial }: SenderOrder) {
    this.#pool = new BufferPool(trial.bytes, POOL_BUFFERS);
    this.#plan = new Pieces(trial.bytes, trial.cork ?? 1);
  }

  room(): Promise<void> {
    return this.#pool.room();
  }

  /**
   * Fills a buffer and passes it, piece by piece, to `send`, whose promise settles at the release of the piece.
   * @param corked the socket, where the pieces become one message
   */
  async transmit(
    fill: Fill,
    send: (piece: Buffer) => Promise<SendReport>,
    corked?: { cork(): void; uncork(): void },
  ): Promise<readonly SendReport[]> {
    const buffer = this.#pool.take();
    this.#turns.set(buffer.buffer, ++this.#turn);
    fill(buffer);
    const sent: Promise<SendReport>[] = [];
    const overwriteAfter = async (piece: Buffer): Promise<SendReport> => {
      try {
        return await send(piece);
      } finally {
        piece.fill(OVERWRITTEN);
      }
    };
    corked?.cork();
    for (const piece of this.#plan.cut(buffer)) sent.push(overwriteAfter(piece));
    corked?.uncork();
    try {
      return await Promise.all(sent);
    } finally {
      await Promise.allSettled(sent);
      this.#pool.put(buffer);
    }
  }

  /** For `zeroCopy.source` of a mixed run of datagrams, which go one way as a whole: every other one. */
  readonly everyOtherMessage = (chunk: Uint8Array): boolean =>
    (this.#turns.get(chunk.buffer) ?? 0) % 2 === 1;

  /** For `zeroCopy.source` of a mixed run: every other piece, from the second on. */
  readonly everyOther = (chunk: Uint8Array): boolean =>
    this.#plan.indexAt(chunk.byteOffset) % 2 === 1;
}

/** How a message is cut: equal pieces, of which the first takes what is left over. */
class Pieces {
  readonly #first: number;
  readonly #bytes: number;

  constructor(
    total: number,
    readonly count: number,
  ) {
    this.#bytes = Math.floor(total / count);
    this.#first = total - (count - 1) * this.#bytes;
  }

  *cut(buffer: Buffer): Generator<Buffer> {
    yield buffer.subarray(0, this.#first);
    for (let at = this.#first; at < buffer.length; at += this.#bytes) {
      yield buffer.subarray(at, at + this.#bytes);
    }
  }

  /** Which piece begins `offset` bytes into the message. */
  indexAt(offset: number): number {
    return offset < this.#first ? 0 : 1 + Math.floor((offset - this.#first) / this.#bytes);
  }
}
