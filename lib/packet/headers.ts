// Headers for sockets whose program builds its own: raw sockets with `headerIncluded`, packet sockets.
// Pure: fields in, bytes in network byte order out. It knows formats, and nothing of sockets.
import { isIP } from 'node:net';
import { inspect, types } from 'node:util';
import { invalidType, outOfRange, outOfRangeFound } from '../errors.js';
import { addressBytes, macBytes } from '../native/sockaddr.js';
import { optionsOf } from '../observe/options-object.js';
import { integer as checkInteger } from '../send/arguments.js';

export interface EthernetHeader {
  /** MAC addresses: six hexadecimal bytes joined by colons (or hyphens). */
  source: string;
  destination: string;
  /** Ethertype of what follows, 0 to 65,535: 0x0800 is IPv4, 0x86dd IPv6. */
  protocol: number;
}

/** Source and destination. A zone (`fe80::1%eth0`) has no place in a header and is left out. */
interface Addresses {
  source: string;
  destination: string;
}

export interface Ipv4Header extends Addresses {
  /** What follows, 0 to 255: 1 is ICMP, 6 TCP, 17 UDP. */
  protocol: number;
  /** Bytes that follow this header, 0 to 65,515. */
  payloadLength: number;
  /** Routers that may forward it, 0 to 255. Default 64. */
  ttl?: number;
  /** DSCP << 2 | ECN (RFC 2474, RFC 3168), 0 to 255. Default 0. */
  tos?: number;
  /** Joins the fragments of one packet, 0 to 65,535. Default 0: IP_HDRINCL lets the kernel choose. */
  identification?: number;
  /** Routers must not fragment it. Default false. */
  dontFragment?: boolean;
}

export interface Ipv6Header extends Addresses {
  /** Next header, 0 to 255: 6 is TCP, 17 UDP, 58 ICMPv6. */
  protocol: number;
  /** Bytes that follow this header, extension headers included, 0 to 65,535. */
  payloadLength: number;
  /** Routers that may forward it, 0 to 255. Default 64. */
  hopLimit?: number;
  /** DSCP << 2 | ECN (RFC 2474, RFC 3168), 0 to 255. Default 0. */
  trafficClass?: number;
  /** Flow label (RFC 6437), 0 to 1,048,575. Default 0: none. */
  flowLabel?: number;
}

/** The family of the addresses, which must be the same, chooses the pseudo header. */
export interface UdpHeader extends Addresses {
  /** Both 0 to 65,535; a source port of 0 means that no answer is expected. */
  sourcePort: number;
  destinationPort: number;
  /** The payload: up to 65,507 bytes over IPv4, 65,527 over IPv6. It is read, and not copied. */
  payload: Uint8Array | readonly Uint8Array[];
  /**
   * `'full'` (default): over pseudo header, header and payload. `'offload'`: the sum of the pseudo
   * header only, for a device that finishes it (see `offload`). `'none'`: 0, which IPv4 allows.
   */
  checksum?: 'full' | 'offload' | 'none';
}

export interface IcmpEchoHeader {
  /** 4: ICMP (RFC 792). 6: ICMPv6 (RFC 4443). */
  family: 4 | 6;
  kind: 'request' | 'reply';
  /** Tells the requests of one program from those of others, 0 to 65,535. */
  identifier: number;
  /** Tells the requests of one program from each other, 0 to 65,535. */
  sequence: number;
  /** What is echoed: up to 65,507 bytes over IPv4, 65,527 over IPv6. It is read, and not copied. */
  payload: Uint8Array;
  /** Needed, like `destination`, for family 6, whose checksum covers both. */
  source?: string;
  destination?: string;
}

export interface OffloadOptions {
  /** What the frame starts with: `'ethernet'` (default), or with `'none'` the IP header. */
  link?: 'ethernet' | 'none';
}

/** Fields of a virtio_net_hdr; lengths and offsets are in bytes from the start of the frame. */
export interface Offload {
  /** How the payload is cut; `'none'`: not at all. */
  gso: 'none' | 'tcp4' | 'tcp6' | 'udp';
  /** Payload bytes of a segment; 0 when nothing is cut. */
  segmentSize: number;
  /** Length of all headers, link header included. */
  headerLength: number;
  /** Where the UDP or TCP header, and what its checksum covers, starts. */
  checksumStart: number;
  /** Where the checksum is, from `checksumStart`. */
  checksumOffset: number;
}

const ETHERNET_BYTES = 14;
const IPV4_BYTES = 20;
const IPV6_BYTES = 40;
const UDP_BYTES = 8;
const TCP_BYTES = 20;
const UDP_CHECKSUM_AT = 6;
const TCP_CHECKSUM_AT = 16;
const ECHO_BYTES = 8;
const TCP_PROTOCOL = 6;
const UDP_PROTOCOL = 17;
const ICMPV6_PROTOCOL = 58;
const ETHERTYPES: Readonly<Record<number, number>> = { 4: 0x0800, 6: 0x86dd };
/** Ethertypes of tags, four bytes each, before the packet's own: 802.1Q and 802.1ad. */
const TAG_ETHERTYPES: readonly number[] = [0x8100, 0x88a8];
/** Hop-by-hop options, routing, destination options: those with a length in words of 8 (RFC 8200). */
const EXTENSION_HEADERS: readonly number[] = [0, 43, 60];
const MOST_16_BITS = 0xffff;
const DEFAULT_HOPS = 64;
const FRAGMENT_BITS = 0x3fff; // more fragments, and the fragment's offset
/** Types of echo messages (RFC 792; RFC 4443, 4.1 and 4.2). */
const ECHO_TYPES = { 4: { request: 8, reply: 0 }, 6: { request: 128, reply: 129 } } as const;

function object(name: string, value: unknown): void {
  if (typeof value !== 'object' || value === null) throw invalidType(name, 'an object', value);
}

function integer(name: string, given: unknown, most: number, otherwise?: number): number {
  return checkInteger(name, given === undefined ? otherwise : given, 0, most);
}

function oneOf<const T>(name: string, value: unknown, allowed: readonly T[]): T {
  const found = allowed.find((item) => item === value);
  if (found !== undefined) return found;
  const expected = `one of ${allowed.map((item) => inspect(item)).join(', ')}`;
  if (typeof value !== typeof allowed[0]) throw invalidType(name, expected, value);
  throw outOfRange(name, expected, value);
}

function bytes(name: string, value: unknown): Uint8Array {
  if (!types.isUint8Array(value)) throw invalidType(name, 'a Buffer or Uint8Array', value);
  return value;
}

/** The payload behind a UDP header, or one of ICMP, which is as long. */
function payloadOf(header: { payload: UdpHeader['payload'] }, family: 4 | 6): Uint8Array[] {
  const parts = [header.payload].flat().map((part) => bytes('header.payload', part));
  const most = MOST_16_BITS - UDP_BYTES - (family === 4 ? IPV4_BYTES : 0);
  const length = lengthOf(parts);
  if (length <= most) return parts;
  throw outOfRangeFound(
    'header.payload',
    `at most ${most} bytes over IPv${family}`,
    `${length} bytes`,
  );
}

interface Address {
  readonly family: 4 | 6;
  readonly bytes: Uint8Array;
}

/** @param family the only family that fits; undefined: either */
function address(name: string, value: unknown, family?: 4 | 6): Address {
  const expected = `an ${family === undefined ? 'IP' : `IPv${family}`} address`;
  if (typeof value !== 'string') throw invalidType(name, expected, value);
  const found = isIP(value);
  if ((found !== 4 && found !== 6) || (family !== undefined && found !== family)) {
    throw outOfRange(name, expected, value);
  }
  return { family: found, bytes: addressBytes(value) as Buffer };
}

function macAddress(name: string, value: unknown): Uint8Array {
  const expected = 'a MAC address such as 02:00:00:00:00:01';
  if (typeof value !== 'string') throw invalidType(name, expected, value);
  const bytes = macBytes(value);
  if (bytes === undefined) throw outOfRange(name, expected, value);
  return bytes;
}

function lengthOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

/** Ones' complement sum of the 16-bit words of `parts` (RFC 1071), folded to 16 bits. */
function sumOf(parts: readonly Uint8Array[]): number {
  let sum = 0;
  // Whether the next byte is the second of its word: a part of odd length leaves a word half full.
  let halfWord = false;
  for (const part of parts) {
    let at = 0;
    if (halfWord && part.length > 0) sum += part[at++] as number;
    else if (halfWord) continue;
    const pairsEnd = at + ((part.length - at) & ~1);
    for (; at < pairsEnd; at += 2) sum += ((part[at] as number) << 8) | (part[at + 1] as number);
    halfWord = at < part.length;
    if (halfWord) sum += (part[at] as number) << 8;
  }
  // By division, not by shifts: beyond 64 KiB of 0xff the sum has more than 32 bits.
  while (sum > MOST_16_BITS) sum = Math.floor(sum / 0x10000) + (sum % 0x10000);
  return sum;
}

/** The pseudo header of RFC 8200, 8.1. That of RFC 768, for IPv4, has the same fields and sum. */
function pseudoHeader(from: Address, to: Address, protocol: number, length: number): Uint8Array[] {
  const rest = Buffer.alloc(8);
  rest.writeUInt32BE(length, 0);
  rest.writeUInt8(protocol, 7);
  return [from.bytes, to.bytes, rest];
}

function internetChecksum(...parts: Uint8Array[]): number {
  parts.forEach((part, index) => bytes(`parts[${index}]`, part));
  return ~sumOf(parts) & MOST_16_BITS;
}

function ethernet(header: EthernetHeader): Buffer {
  object('header', header);
  const built = Buffer.alloc(ETHERNET_BYTES);
  built.set(macAddress('header.destination', header.destination), 0);
  built.set(macAddress('header.source', header.source), 6);
  built.writeUInt16BE(integer('header.protocol', header.protocol, MOST_16_BITS), 12);
  return built;
}

function ipv4(header: Ipv4Header): Buffer {
  object('header', header);
  const { dontFragment = false } = header;
  oneOf('header.dontFragment', dontFragment, [false, true]);
  const mostPayload = MOST_16_BITS - IPV4_BYTES;
  const payloadLength = integer('header.payloadLength', header.payloadLength, mostPayload);
  const built = Buffer.alloc(IPV4_BYTES);
  built.writeUInt8(0x45, 0); // version 4; 5 words: no options
  built.writeUInt8(integer('header.tos', header.tos, 0xff, 0), 1);
  built.writeUInt16BE(IPV4_BYTES + payloadLength, 2);
  built.writeUInt16BE(integer('header.identification', header.identification, MOST_16_BITS, 0), 4);
  built.writeUInt16BE(dontFragment ? 0x4000 : 0, 6);
  built.writeUInt8(integer('header.ttl', header.ttl, 0xff, DEFAULT_HOPS), 8);
  built.writeUInt8(integer('header.protocol', header.protocol, 0xff), 9);
  built.set(address('header.source', header.source, 4).bytes, 12);
  built.set(address('header.destination', header.destination, 4).bytes, 16);
  built.writeUInt16BE(internetChecksum(built), 10);
  return built;
}

function ipv6(header: Ipv6Header): Buffer {
  object('header', header);
  const trafficClass = integer('header.trafficClass', header.trafficClass, 0xff, 0);
  const flowLabel = integer('header.flowLabel', header.flowLabel, 0xfffff, 0);
  const built = Buffer.alloc(IPV6_BYTES);
  built.writeUInt32BE(0x6000_0000 + trafficClass * 0x10_0000 + flowLabel, 0);
  built.writeUInt16BE(integer('header.payloadLength', header.payloadLength, MOST_16_BITS), 4);
  built.writeUInt8(integer('header.protocol', header.protocol, 0xff), 6);
  built.writeUInt8(integer('header.hopLimit', header.hopLimit, 0xff, DEFAULT_HOPS), 7);
  built.set(address('header.source', header.source, 6).bytes, 8);
  built.set(address('header.destination', header.destination, 6).bytes, 24);
  return built;
}

function udp(header: UdpHeader): Buffer {
  object('header', header);
  const from = address('header.source', header.source);
  const to = address('header.destination', header.destination, from.family);
  // Over IPv6 a checksum is required (RFC 8200, 8.1).
  const kinds = ['full', 'offload', ...(from.family === 4 ? (['none'] as const) : [])] as const;
  const kind = oneOf('header.checksum', header.checksum ?? 'full', kinds);
  const payload = payloadOf(header, from.family);
  const length = UDP_BYTES + lengthOf(payload);
  const built = Buffer.alloc(UDP_BYTES);
  built.writeUInt16BE(integer('header.sourcePort', header.sourcePort, MOST_16_BITS), 0);
  built.writeUInt16BE(integer('header.destinationPort', header.destinationPort, MOST_16_BITS), 2);
  built.writeUInt16BE(length, 4);
  if (kind === 'none') return built;
  const pseudo = pseudoHeader(from, to, UDP_PROTOCOL, length);
  // A computed 0 would say "no checksum"; 0xffff is the other zero of ones' complement (RFC 768).
  const full = (): number => internetChecksum(...pseudo, built, ...payload) || MOST_16_BITS;
  built.writeUInt16BE(kind === 'offload' ? sumOf(pseudo) : full(), UDP_CHECKSUM_AT);
  return built;
}

function icmpEcho(header: IcmpEchoHeader): Buffer {
  object('header', header);
  const family = oneOf('header.family', header.family, [4, 6]);
  const kind = oneOf('header.kind', header.kind, ['request', 'reply']);
  const payload = payloadOf(header, family);
  const built = Buffer.alloc(ECHO_BYTES);
  built.writeUInt8(ECHO_TYPES[family][kind], 0);
  built.writeUInt16BE(integer('header.identifier', header.identifier, MOST_16_BITS), 4);
  built.writeUInt16BE(integer('header.sequence', header.sequence, MOST_16_BITS), 6);
  const covered: Uint8Array[] = [];
  if (family === 6) {
    const from = address('header.source', header.source, 6);
    const to = address('header.destination', header.destination, 6);
    covered.push(...pseudoHeader(from, to, ICMPV6_PROTOCOL, ECHO_BYTES + lengthOf(payload)));
  }
  built.writeUInt16BE(internetChecksum(...covered, built, ...payload), 2);
  return built;
}

function refuse(found: string): never {
  throw outOfRangeFound('frame', 'one whole UDP or TCP packet over IPv4 or IPv6', found);
}

/** A view for reading, of bytes that are sure to be there. */
function readable(frame: Buffer, length: number): Buffer {
  return frame.length < length ? refuse(`${frame.length} bytes`) : frame;
}

function ipHeaderAt(frame: Buffer): number {
  let at = ETHERNET_BYTES - 2;
  while (TAG_ETHERTYPES.includes(readable(frame, at + 2).readUInt16BE(at))) at += 4;
  const ethertype = frame.readUInt16BE(at);
  const version = readable(frame, at + 3).readUInt8(at + 2) >> 4;
  if (ETHERTYPES[version] === ethertype) return at + 2;
  return refuse(`ethertype 0x${ethertype.toString(16)}`);
}

function ipv4Packet(frame: Buffer, at: number) {
  readable(frame, at + IPV4_BYTES);
  const headerBytes = (frame.readUInt8(at) & 0x0f) * 4;
  if (headerBytes < IPV4_BYTES) return refuse(`an IPv4 header of ${headerBytes} bytes`);
  if ((frame.readUInt16BE(at + 6) & FRAGMENT_BITS) !== 0) return refuse('a fragment');
  const end = at + frame.readUInt16BE(at + 2);
  const protocol = frame.readUInt8(at + 9);
  return { version: 4, protocol, transportAt: at + headerBytes, end } as const;
}

function ipv6Packet(frame: Buffer, at: number) {
  const end = at + IPV6_BYTES + readable(frame, at + IPV6_BYTES).readUInt16BE(at + 4);
  let protocol = frame.readUInt8(at + 6);
  let transportAt = at + IPV6_BYTES;
  while (EXTENSION_HEADERS.includes(protocol)) {
    protocol = readable(frame, transportAt + 2).readUInt8(transportAt);
    transportAt += (frame.readUInt8(transportAt + 1) + 1) * 8;
  }
  return { version: 6, protocol, transportAt, end } as const;
}

function offload(frame: Uint8Array, segmentSize: number, options?: OffloadOptions): Offload {
  const { buffer, byteOffset, byteLength } = bytes('frame', frame);
  integer('segmentSize', segmentSize, MOST_16_BITS);
  const { link: wanted = 'ethernet' } = optionsOf(options, ['link']) as OffloadOptions;
  const link = oneOf('options.link', wanted, ['ethernet', 'none']);
  const view = Buffer.from(buffer, byteOffset, byteLength);
  const at = link === 'none' ? 0 : ipHeaderAt(view);
  const found = readable(view, at + 1).readUInt8(at) >> 4;
  if (found !== 4 && found !== 6) return refuse(`IP version ${found}`);
  const packet = found === 4 ? ipv4Packet(view, at) : ipv6Packet(view, at);
  const { version, protocol, transportAt, end } = packet;
  readable(view, end);
  if (protocol !== TCP_PROTOCOL && protocol !== UDP_PROTOCOL) return refuse(`protocol ${protocol}`);
  const isTcp = protocol === TCP_PROTOCOL;
  const least = transportAt + (isTcp ? TCP_BYTES : UDP_BYTES);
  if (end < least) return refuse(`a packet of ${end} bytes`);
  const headerLength = isTcp ? transportAt + (view.readUInt8(transportAt + 12) >> 4) * 4 : least;
  if (headerLength < least || headerLength > end) return refuse('a TCP header of the wrong length');
  const cut = segmentSize > 0 && end - headerLength > segmentSize;
  return {
    gso: !cut ? 'none' : isTcp ? `tcp${version}` : 'udp',
    segmentSize: cut ? segmentSize : 0,
    headerLength,
    checksumStart: transportAt,
    checksumOffset: isTcp ? TCP_CHECKSUM_AT : UDP_CHECKSUM_AT,
  };
}

/** Builders of headers. Each answers a new Buffer, and throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE. */
export interface Headers {
  /**
   * The Internet checksum (RFC 1071) of the concatenation of `parts`, each of any length, also odd:
   * the complement of the ones' complement sum of its 16-bit words, 0 to 65,535. Over bytes that hold
   * their own right checksum it is 0.
   */
  internetChecksum(...parts: Uint8Array[]): number;
  /** An Ethernet II header: 14 bytes (RFC 894, RFC 2464). */
  ethernet(header: EthernetHeader): Buffer;
  /** An IPv4 header without options, its checksum filled in: 20 bytes (RFC 791). */
  ipv4(header: Ipv4Header): Buffer;
  /** An IPv6 header: 40 bytes (RFC 8200). */
  ipv6(header: Ipv6Header): Buffer;
  /**
   * A UDP header: 8 bytes (RFC 768). Its checksum covers the payload, which must not change until the
   * datagram is sent. A computed 0 is written as 0xffff.
   */
  udp(header: UdpHeader): Buffer;
  /** An ICMP or ICMPv6 echo header, checksum over the payload filled in: 8 bytes (RFC 792, RFC 4443). */
  icmpEcho(header: IcmpEchoHeader): Buffer;
  /**
   * What a device needs to know to cut `frame` into segments and to finish its checksum: the fields of
   * a virtio_net_hdr. Addresses and options of IP, options of TCP, IPv6 extension headers and 802.1Q or
   * 802.1ad tags are passed over. The checksum in the frame must be the sum of its pseudo header
   * (`udp({ checksum: 'offload' })`).
   * @param frame one whole UDP or TCP packet behind an Ethernet header, no fragment
   * @param segmentSize payload bytes of a segment, 0 to 65,535. 0, or no less than the payload:
   *   nothing to cut, only the checksum is to be finished
   */
  offload(frame: Uint8Array, segmentSize: number, options?: OffloadOptions): Offload;
}

export const headers: Headers = { internetChecksum, ethernet, ipv4, ipv6, udp, icmpEcho, offload };
