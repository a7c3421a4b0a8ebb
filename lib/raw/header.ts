// Completes IP headers as the kernel's raw socket does for packets with a header of their own: for packets of the ring,
// which go past it.
// Source: raw(7); net/ipv4/raw.c:raw_send_hdrinc. Of an IPv6 header it changes nothing (net/ipv6/raw.c). Pure.

import { endianness } from 'node:os';

/** 16-bit words of a header without options. */
const LEAST_WORDS = 10;
const IPV4_DESTINATION_AT = 16;
const IPV6_DESTINATION_AT = 24;
const DONT_FRAGMENT = 0x40;
const isLittle = endianness() === 'LE';

/** What packets stand in, at even places. */
export interface PacketMemory {
  readonly bytes: Uint8Array;
  /** The same, in the machine's order. */
  readonly words: Uint16Array;
}

/** The word that holds `high` and `low` in the network's order. */
function word(high: number, low: number): number {
  return isLittle ? (low << 8) | high : (high << 8) | low;
}

function holds(memory: Uint8Array, at: number, address: Uint8Array): boolean {
  for (let i = 0; i < address.length; i++) if (memory[at + i] !== address[i]) return false;
  return true;
}

/** Whether the IPv6 packet at `at` goes to `destination`. */
export function isIpv6To({ bytes }: PacketMemory, at: number, destination: Uint8Array): boolean {
  return holds(bytes, at + IPV6_DESTINATION_AT, destination);
}

/** Numbers of the packets that bring none, as far as they may be fragmented later on (RFC 791, 3.2). */
export class Identifications {
  #next: number;

  /** @param first any, 0 to 65,535 */
  constructor(first: number) {
    this.#next = first;
  }

  next(): number {
    this.#next = this.#next >= 0xffff ? 1 : this.#next + 1;
    return this.#next;
  }
}

/** Where packets go and come from, 4 bytes each. */
export interface Ipv4Ends {
  readonly destination: Uint8Array;
  /** Where the kernel would send it from; undefined: nowhere. */
  readonly source: Uint8Array | undefined;
}

/**
 * Fills in the length and the checksum, and where they are 0 the source and the identification. Every packet passes
 * here: a word is written and read at once, because bytes that were just written are slow to be read as a word.
 * @param at where the packet starts: even
 * @param length of the packet, at least 20
 * @returns false, and nothing is changed, if it does not go to `destination`, or only the kernel knows what to do
 */
export function completeIpv4(
  { bytes, words }: PacketMemory,
  at: number,
  length: number,
  { destination, source }: Ipv4Ends,
  identifications: Identifications,
): boolean {
  const headerWords = ((bytes[at] as number) & 0x0f) << 1;
  if (headerWords < LEAST_WORDS || headerWords << 1 > length) return false;
  if (!holds(bytes, at + IPV4_DESTINATION_AT, destination)) return false;
  const first = at >>> 1;
  if (words[first + 6] === 0 && words[first + 7] === 0) {
    if (source === undefined) return false;
    words[first + 6] = word(source[0] as number, source[1] as number);
    words[first + 7] = word(source[2] as number, source[3] as number);
  }
  words[first + 1] = word(length >>> 8, length & 0xff);
  if (words[first + 2] === 0 && ((bytes[at + 6] as number) & DONT_FRAGMENT) === 0) {
    const number = identifications.next();
    words[first + 2] = word(number >>> 8, number & 0xff);
  }
  words[first + 5] = 0;
  // The same in either order of bytes (RFC 1071, 2).
  let sum = 0;
  const end = first + headerWords;
  for (let i = first; i < end; i++) sum += words[i] as number;
  sum = (sum & 0xffff) + (sum >>> 16);
  words[first + 5] = ~(sum + (sum >>> 16)) & 0xffff;
  return true;
}
