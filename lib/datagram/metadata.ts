// The metadata of datagrams, sent and received: destinations and options as users give them, and the words
// that describe them to the addon, struct DatagramMetadata and struct Arrival of native/kernel/datagram.h.
import { isIP } from 'node:net';
import { invalidType, outOfRange } from '../errors.js';
import type { Native } from '../native/binding.js';
import {
  addressBytes,
  encodeAddress,
  interfaceNames,
  isMapped,
  isMappedName,
  type InterfaceNames,
} from '../native/sockaddr.js';
import { checkSignal, checkText, integer } from '../send/arguments.js';

/** Destination and options of a datagram. Immutable, and compared by identity: reuse it for similar datagrams. */
export interface DatagramMetadata {
  /** sockaddr; absent on a connected socket. */
  readonly name?: Uint8Array | undefined;
  /** UDP_SEGMENT in bytes; 0: none. */
  readonly segmentSize: number;
  /** Absent: the socket's own. */
  readonly tos?: number | undefined;
  /** The IP version it is sent by, and so the level of `tos`. Mapped addresses are IPv4. */
  readonly tosVersion: 4 | 6;
  /** Source address, 4 or 16 bytes. */
  readonly source?: Uint8Array | undefined;
  readonly interfaceIndex: number;
  /** The destination as the user wrote it, for errors. */
  readonly address?: string | undefined;
  readonly port?: number;
}

/** No metadata: a datagram of a connected socket. */
export const PLAIN: DatagramMetadata = Object.freeze({
  segmentSize: 0,
  tosVersion: 4,
  interfaceIndex: 0,
});

const METADATA = {
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

/** One environment's metadata and arrivals. */
export class DatagramWords {
  /** Datagrams that are sent, and that are received, with one system call. */
  readonly batch: number;
  readonly receiveBatch = RECEIVE_BATCH;
  readonly #native: Native;
  readonly #metadataWords: number;
  readonly #arrivalWords: number;
  readonly #noTos: number;
  readonly #metadata: Uint32Array;
  readonly #metadataBytes: Buffer;
  readonly #arrivals: Uint32Array;
  readonly #arrivalBytes: Buffer;
  readonly #slotBytes: number;
  /** Received bytes lie here until they are copied into a message. No user code sees this memory. */
  #received: Buffer | undefined;
  /** What each slot describes now, to avoid writing it again. */
  readonly #written: (DatagramMetadata | undefined)[];

  constructor(native: Native) {
    const { BATCH, METADATA_WORDS, ARRIVAL_WORDS, NO_TOS, RECEIVE_SLOT_BYTES } = native.constants;
    this.#native = native;
    this.batch = BATCH;
    this.#metadataWords = METADATA_WORDS;
    this.#arrivalWords = ARRIVAL_WORDS;
    this.#noTos = NO_TOS;
    this.#slotBytes = RECEIVE_SLOT_BYTES;
    this.#metadata = new Uint32Array(BATCH * METADATA_WORDS);
    this.#metadataBytes = Buffer.from(this.#metadata.buffer);
    this.#arrivals = new Uint32Array(BATCH * ARRIVAL_WORDS);
    this.#arrivalBytes = Buffer.from(this.#arrivals.buffer);
    this.#written = new Array<DatagramMetadata | undefined>(BATCH);
    native.shareDatagramWords(this.#metadata, this.#arrivals);
  }

  get native(): Native {
    return this.#native;
  }

  /** Describes the datagram `slot` of the next batch. */
  write(slot: number, metadata: DatagramMetadata, pieces: number, bytes: number): void {
    const words = this.#metadata;
    const at = slot * this.#metadataWords;
    words[at + METADATA.pieces] = pieces;
    words[at + METADATA.bytes] = bytes;
    if (this.#written[slot] === metadata) return;
    this.#written[slot] = metadata;
    const { name, source, tos } = metadata;
    words[at + METADATA.segmentSize] = metadata.segmentSize;
    words[at + METADATA.tos] = tos ?? this.#noTos;
    words[at + METADATA.tosVersion] = metadata.tosVersion;
    words[at + METADATA.interfaceIndex] = metadata.interfaceIndex;
    words[at + METADATA.nameBytes] = name?.length ?? 0;
    if (name !== undefined) this.#metadataBytes.set(name, (at + METADATA.name) * 4);
    words[at + METADATA.sourceVersion] = source === undefined ? 0 : source.length === 4 ? 4 : 6;
    if (source !== undefined) this.#metadataBytes.set(source, (at + METADATA.source) * 4);
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

/** Options of one send that UDP and raw sockets share. */
export interface CheckedIpOptions {
  readonly tos: number | undefined;
  readonly source: string | undefined;
  readonly interface: string | number | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Throws: ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE. */
export function checkIpOptions(
  options: {
    readonly tos?: unknown;
    readonly source?: unknown;
    readonly interface?: unknown;
    readonly signal?: unknown;
  },
  version: 4 | 6,
): CheckedIpOptions {
  const { tos, interface: through } = options;
  const source = checkText('options.source', options.source);
  if (source !== undefined && isIP(source) !== version) {
    throw outOfRange('options.source', `an IPv${version} address`, source);
  }
  if (through !== undefined && typeof through !== 'string' && typeof through !== 'number') {
    throw invalidType('options.interface', 'a name or an index', through);
  }
  if (typeof through === 'number') integer('options.interface', through, 1, 0x7fffffff);
  return {
    tos: tos === undefined ? undefined : integer('options.tos', tos, 0, 255),
    source,
    interface: through,
    signal: checkSignal(options.signal),
  };
}

/** Beyond this many destinations the cache starts anew. */
const MOST_CACHED = 1024;

/** What goes with a send beside its destination. */
interface Extras {
  readonly segmentSize: number;
  readonly tos: number | undefined;
  readonly source: string | undefined;
  readonly interface: string | number | undefined;
}

/**
 * Destinations of a UDP or raw socket. Like destinations get the same metadata, so that it is encoded once and
 * written to the shared words once.
 */
export class Destinations {
  readonly #version: 4 | 6;
  readonly #native: Native;
  readonly #names: InterfaceNames;
  readonly #cache = new Map<string, DatagramMetadata>();
  #lastPort = -1;
  #lastIp = '';
  #lastHost: string | undefined;
  #last: DatagramMetadata | undefined;
  #connected: DatagramMetadata;
  #lastWith:
    | {
        readonly base: DatagramMetadata;
        readonly source: string | undefined;
        readonly through: string | number | undefined;
        readonly metadata: DatagramMetadata;
      }
    | undefined;

  constructor(version: 4 | 6, native: Native) {
    this.#version = version;
    this.#native = native;
    this.#names = interfaceNames(native);
    this.#connected = version === 4 ? PLAIN : PLAIN6;
  }

  /**
   * @param ip where to, resolved
   * @param host as the user wrote it, for errors
   * @returns undefined when `ip` is of another version than the socket
   */
  to(ip: string, host: string | undefined, port: number): DatagramMetadata | undefined {
    if (port === this.#lastPort && ip === this.#lastIp && host === this.#lastHost)
      return this.#last;
    const key = `${port} ${ip} ${host ?? ''}`;
    let metadata = this.#cache.get(key);
    if (metadata === undefined) {
      const name = encodeAddress(ip, port, this.#version, this.#native.kernel, this.#names);
      if (name === undefined) return undefined;
      const { tosVersion } = this.#plainTo(name);
      metadata = Object.freeze({ ...PLAIN, name, tosVersion, address: host, port });
      if (this.#cache.size >= MOST_CACHED) this.#cache.clear();
      this.#cache.set(key, metadata);
    }
    this.#lastPort = port;
    this.#lastIp = ip;
    this.#lastHost = host;
    this.#last = metadata;
    return metadata;
  }

  /** The destination of the last datagram, where `address` and `port` name it again and need no look-up. */
  last(address: string | undefined, port: number): DatagramMetadata | undefined {
    const isSame =
      port === this.#lastPort && address === this.#lastIp && address === this.#lastHost;
    return isSame ? this.#last : undefined;
  }

  /** The socket was connected to the sockaddr `name`. */
  connectedTo(name: Uint8Array): void {
    this.#connected = this.#plainTo(name);
  }

  /** The destination of a connected socket. */
  connected(): DatagramMetadata {
    return this.#connected;
  }

  // To a mapped address an IPv6 socket sends by IPv4, which takes control messages of IPv4 only.
  #plainTo(name: Uint8Array): DatagramMetadata {
    return this.#version === 4 || isMappedName(name) ? PLAIN : PLAIN6;
  }

  /** `base` with what else a send asks for. Throws: ERR_OUT_OF_RANGE for an unknown interface. */
  with(base: DatagramMetadata, extras: Extras): DatagramMetadata {
    const { segmentSize, tos, source, interface: through } = extras;
    if (segmentSize === 0 && tos === undefined && source === undefined && through === undefined) {
      return base;
    }
    const last = this.#lastWith;
    if (
      last !== undefined &&
      last.base === base &&
      last.metadata.segmentSize === segmentSize &&
      last.metadata.tos === tos &&
      last.source === source &&
      last.through === through
    ) {
      return last.metadata;
    }
    const interfaceIndex = this.interfaceIndex(through);
    const byIPv4 = base.tosVersion === 4;
    const given = source === undefined ? undefined : addressBytes(source);
    const bytes = byIPv4 && given !== undefined && isMapped(given) ? given.subarray(12) : given;
    const any = interfaceIndex === 0 ? undefined : new Uint8Array(byIPv4 ? 4 : 16);
    const metadata: DatagramMetadata = Object.freeze({
      name: base.name,
      segmentSize,
      tos,
      tosVersion: base.tosVersion,
      source: bytes ?? any,
      interfaceIndex,
      address: base.address,
      port: base.port ?? 0,
    });
    this.#lastWith = { base, source, through, metadata };
    return metadata;
  }

  interfaceIndex(through: string | number | undefined): number {
    if (through === undefined) return 0;
    const found = this.#native.findInterface(through);
    if (typeof found !== 'number') return found.index;
    throw outOfRange('options.interface', 'an existing interface', through);
  }
}

const PLAIN6: DatagramMetadata = Object.freeze({ ...PLAIN, tosVersion: 6 });
