// What the kernel's raw socket does to a packet that brings its own IP header, for packets that go past it.
// Source: raw(7); net/ipv4/raw.c:raw_send_hdrinc. Of an IPv6 header it changes nothing (net/ipv6/raw.c). Pure.

const WORD_BYTES = 4;
const LEAST_WORDS = 5;
const IPV4_DESTINATION_AT = 16;
const IPV4_SOURCE_AT = 12;
const IPV6_DESTINATION_AT = 24;
const DONT_FRAGMENT = 0x40;

function holds(packet: Uint8Array, at: number, address: Uint8Array): boolean {
  for (let i = 0; i < address.length; i++) if (packet[at + i] !== address[i]) return false;
  return true;
}

/** Whether an IPv6 packet goes to `destination`. */
export function isIpv6To(packet: Uint8Array, destination: Uint8Array): boolean {
  return holds(packet, IPV6_DESTINATION_AT, destination);
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

/**
 * Fills in the length and the checksum, and where they are 0 the source and the identification.
 * @param packet at least 20 bytes
 * @param source where the kernel would send it from
 * @returns false, and nothing is changed, if it does not go to `destination`, or only the kernel knows what to do
 */
export function completeIpv4(
  packet: Uint8Array,
  destination: Uint8Array,
  source: Uint8Array | undefined,
  identifications: Identifications,
): boolean {
  const words = (packet[0] as number) & 0x0f;
  const headerBytes = words * WORD_BYTES;
  if (words < LEAST_WORDS || headerBytes > packet.length) return false;
  if (!holds(packet, IPV4_DESTINATION_AT, destination)) return false;
  const hasSource = (packet[12] || packet[13] || packet[14] || packet[15]) !== 0;
  if (!hasSource) {
    if (source === undefined) return false;
    packet.set(source, IPV4_SOURCE_AT);
  }
  packet[2] = packet.length >>> 8;
  packet[3] = packet.length & 0xff;
  if ((packet[4] || packet[5]) === 0 && ((packet[6] as number) & DONT_FRAGMENT) === 0) {
    const number = identifications.next();
    packet[4] = number >>> 8;
    packet[5] = number & 0xff;
  }
  packet[10] = packet[11] = 0;
  let sum = 0;
  for (let at = 0; at < headerBytes; at += 2) {
    sum += ((packet[at] as number) << 8) | (packet[at + 1] as number);
  }
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = ~(sum + (sum >>> 16));
  packet[10] = (sum >>> 8) & 0xff;
  packet[11] = sum & 0xff;
  return true;
}
