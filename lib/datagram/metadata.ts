// The words that describe datagrams on their way between JavaScript and native, and nothing else:
// struct Envelope and struct Arrival of native/kernel/datagram.h, field by field.
import type { Native } from '../native/binding.js';

/** What goes with a datagram. Immutable, and compared by identity: reuse it for like datagrams. */
export interface Envelope {
  /** sockaddr; absent on a connected socket. */
  readonly name?: Uint8Array | undefined;
  /** UDP_SEGMENT in bytes; 0: none. */
  readonly segmentSize: number;
  /** Absent: the socket's own. */
  readonly tos?: number | undefined;
  /** What the datagram goes by, and so the level at which `tos` is given: mapped addresses are IPv4. */
  readonly tosVersion: 4 | 6;
  /** Source address, 4 or 16 bytes. */
  readonly source?: Uint8Array | undefined;
  readonly interfaceIndex: number;
  /** The destination as the user wrote it, for errors. */
  readonly address?: string | undefined;
  readonly port?: number;
}

/** Nothing but the bytes, on a connected socket. */
export const PLAIN: Envelope = Object.freeze({ segmentSize: 0, tosVersion: 4, interfaceIndex: 0 });

const ENVELOPE = {
  pieces: 0,
  bytes: 1,
  segmentSize: 2,
  tos: 3,
  tosVersion: 4,
  sourceVersion: 5,
  interfaceIndex: 6,
  nameBytes: 7,
  name: 8,
  source: 16,
} as const;

const ARRIVAL = {
  offset: 0,
  bytes: 1,
  flags: 2,
  segmentSize: 3,
  tos: 4,
  interfaceIndex: 5,
  destinationVersion: 6,
  nameBytes: 7,
  name: 8,
  destination: 16,
  vlan: 20,
} as const;

/** Datagrams that one receive() brings at most. */
const RECEIVE_BATCH = 32;

/** Smaller messages lie in Node's pool, as Buffers of few bytes do. Where the pool is large (64 KiB from
 * Node 26 on) a larger message that is kept would hold too much of it. */
const POOLED_BELOW = Buffer.poolSize > 8192 ? 512 : Buffer.poolSize >>> 1;

/** One environment's envelopes and arrivals. */
export class DatagramWords {
  /** Datagrams that are sent, and that are received, with one system call. */
  readonly batch: number;
  readonly receiveBatch = RECEIVE_BATCH;
  readonly #native: Native;
  readonly #envelopeWords: number;
  readonly #arrivalWords: number;
  readonly #noTos: number;
  readonly #envelopes: Uint32Array;
  readonly #envelopeBytes: Buffer;
  readonly #arrivals: Uint32Array;
  readonly #arrivalBytes: Buffer;
  readonly #slotBytes: number;
  /** What is received lies here until its message is made. Nobody else ever sees this memory. */
  #received: Buffer | undefined;
  /** What each slot describes at present: writing it again is spared. */
  readonly #written: (Envelope | undefined)[];

  constructor(native: Native) {
    const { BATCH, ENVELOPE_WORDS, ARRIVAL_WORDS, NO_TOS, RECEIVE_SLOT_BYTES } = native.constants;
    this.#native = native;
    this.batch = BATCH;
    this.#envelopeWords = ENVELOPE_WORDS;
    this.#arrivalWords = ARRIVAL_WORDS;
    this.#noTos = NO_TOS;
    this.#slotBytes = RECEIVE_SLOT_BYTES;
    this.#envelopes = new Uint32Array(BATCH * ENVELOPE_WORDS);
    this.#envelopeBytes = Buffer.from(this.#envelopes.buffer);
    this.#arrivals = new Uint32Array(BATCH * ARRIVAL_WORDS);
    this.#arrivalBytes = Buffer.from(this.#arrivals.buffer);
    this.#written = new Array<Envelope | undefined>(BATCH);
    native.shareDatagramWords(this.#envelopes, this.#arrivals);
  }

  get native(): Native {
    return this.#native;
  }

  /** Describes the datagram `slot` of the next batch. */
  write(slot: number, envelope: Envelope, pieces: number, bytes: number): void {
    const words = this.#envelopes;
    const at = slot * this.#envelopeWords;
    words[at + ENVELOPE.pieces] = pieces;
    words[at + ENVELOPE.bytes] = bytes;
    if (this.#written[slot] === envelope) return;
    this.#written[slot] = envelope;
    const { name, source, tos } = envelope;
    words[at + ENVELOPE.segmentSize] = envelope.segmentSize;
    words[at + ENVELOPE.tos] = tos ?? this.#noTos;
    words[at + ENVELOPE.tosVersion] = envelope.tosVersion;
    words[at + ENVELOPE.interfaceIndex] = envelope.interfaceIndex;
    words[at + ENVELOPE.nameBytes] = name?.length ?? 0;
    if (name !== undefined) this.#envelopeBytes.set(name, (at + ENVELOPE.name) * 4);
    words[at + ENVELOPE.sourceVersion] = source === undefined ? 0 : source.length === 4 ? 4 : 6;
    if (source !== undefined) this.#envelopeBytes.set(source, (at + ENVELOPE.source) * 4);
  }

  /**
   * Receives up to `limit` datagrams, at most receiveBatch. What was received before is overwritten.
   * @returns how many, or -errno
   */
  receive(port: number, limit: number): number {
    const bytes = limit * this.#slotBytes;
    const memory = (this.#received ??= Buffer.allocUnsafeSlow(RECEIVE_BATCH * this.#slotBytes));
    return this.#native.receive(port, bytes === memory.length ? memory : memory.subarray(0, bytes));
  }

  /** Bytes of datagram `slot`, from `from` on, that are overwritten by the next receive(). */
  view(slot: number, from: number, bytes: number): Buffer {
    const at = this.#arrival(slot, ARRIVAL.offset) + from;
    return (this.#received as Buffer).subarray(at, at + bytes);
  }

  /**
   * The same in memory of its own, as node:dgram hands them out: exactly these bytes, or, where they are
   * few, a part of Node's pool, which cannot be transferred.
   */
  message(slot: number, from: number, bytes: number): Buffer {
    const isSmall = bytes < POOLED_BELOW;
    const message = isSmall ? Buffer.allocUnsafe(bytes) : Buffer.allocUnsafeSlow(bytes);
    message.set(this.view(slot, from, bytes));
    return message;
  }

  #arrival(slot: number, field: number): number {
    return this.#arrivals[slot * this.#arrivalWords + field] as number;
  }

  bytes(slot: number): number {
    return this.#arrival(slot, ARRIVAL.bytes);
  }
  /** Whether the datagram was longer. */
  isTruncated(slot: number): boolean {
    const { ARRIVAL_TRUNCATED } = this.#native.constants;
    return (this.#arrival(slot, ARRIVAL.flags) & ARRIVAL_TRUNCATED) !== 0;
  }
  /** The VLAN tag that the kernel took out of the frame: its ethertype << 16 | TCI; 0: none. */
  vlan(slot: number): number {
    return this.#arrival(slot, ARRIVAL.vlan);
  }
  segmentSize(slot: number): number {
    return this.#arrival(slot, ARRIVAL.segmentSize);
  }
  interfaceIndex(slot: number): number {
    return this.#arrival(slot, ARRIVAL.interfaceIndex);
  }
  tos(slot: number): number | undefined {
    const tos = this.#arrival(slot, ARRIVAL.tos);
    return tos === this.#noTos ? undefined : tos;
  }

  /** The sockaddr that the datagram came from: a view, overwritten by the next receive(). */
  name(slot: number): Buffer {
    const at = (slot * this.#arrivalWords + ARRIVAL.name) * 4;
    return this.#arrivalBytes.subarray(at, at + this.#arrival(slot, ARRIVAL.nameBytes));
  }

  /** Whether two datagrams, of this and an earlier batch, came from the same place. */
  sameName(slot: number, words: Uint32Array): boolean {
    const at = slot * this.#arrivalWords + ARRIVAL.nameBytes;
    for (let i = 0; i < words.length; i++) if (words[i] !== this.#arrivals[at + i]) return false;
    return true;
  }

  /** The words that sameName() compares: the length of the name, and the name. */
  copyName(slot: number): Uint32Array {
    const at = slot * this.#arrivalWords + ARRIVAL.nameBytes;
    return this.#arrivals.slice(at, at + 1 + (ARRIVAL.destination - ARRIVAL.name));
  }

  /** The address that the datagram was sent to: a view; undefined when the kernel did not say. */
  destination(slot: number): Buffer | undefined {
    const version = this.#arrival(slot, ARRIVAL.destinationVersion);
    if (version === 0) return undefined;
    const at = (slot * this.#arrivalWords + ARRIVAL.destination) * 4;
    return this.#arrivalBytes.subarray(at, at + (version === 4 ? 4 : 16));
  }
}
