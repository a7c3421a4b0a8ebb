// Frames for packet sockets to send: UDP datagrams for a socket at the far end, each with a keystream
// of its own, and the list of what must therefore arrive.
import { createHash } from 'node:crypto';
import { headers, type PacketSendOptions } from '../../lib/index';
import { fillFrom } from '../../scripts/pattern';
import { type Family, LINK_HEADER, type Wire } from './packet-wire';

const ETHERTYPE = { 4: 0x0800, 6: 0x86dd } as const;
const IP_HEADER = { 4: 20, 6: 40 } as const;
const UDP_HEADER = 8;
const UDP = 17;
const SOURCE_PORT = 40_000;

/** An ethertype for experiments (IEEE 802, local): no other frames have it. */
export const EXPERIMENTAL = 0x88b5;

export type LinkType = 'raw' | 'dgram';

export interface Route {
  readonly wire: Wire;
  readonly family: Family;
  /** Of the UDP socket at the far end. */
  readonly port: number;
  /** Whether frames begin with the link header ('raw', the default) or behind it. */
  readonly type?: LinkType;
}

/** A datagram or a frame without its bytes. */
export interface Digest {
  readonly bytes: number;
  readonly sha256: string;
}

export function digest(data: Uint8Array): Digest {
  return { bytes: data.length, sha256: createHash('sha256').update(data).digest('hex') };
}

/** Bytes of headers before a datagram's payload. */
export function headerBytes(family: Family, type: LinkType = 'raw'): number {
  return (type === 'raw' ? LINK_HEADER : 0) + IP_HEADER[family] + UDP_HEADER;
}

/** The longest payload of a frame that the device sends as it is. */
export function largestPayload(wire: Wire, family: Family): number {
  return wire.mtu - headerBytes(family, 'dgram');
}

/** Makes frames and remembers what is to arrive. */
export class Outbox {
  readonly #route: Route;
  #stream = 0;
  /** Of the datagrams that must arrive, in the order in which they were made. */
  expected: Digest[] = [];

  constructor(route: Route) {
    this.#route = route;
  }

  /** How `send` and `commit` are told where frames of type 'dgram' go. */
  get options(): PacketSendOptions {
    const { type, wire, family } = this.#route;
    return type === 'dgram' ? { address: wire.far.mac, protocol: ETHERTYPE[family] } : {};
  }

  get headerBytes(): number {
    return headerBytes(this.#route.family, this.#route.type);
  }

  get largestPayload(): number {
    return largestPayload(this.#route.wire, this.#route.family);
  }

  /** A frame that must arrive, in pieces: link header (if any), IP header, UDP header, payload. */
  pieces(bytes: number, checksum: 'full' | 'offload' = 'full'): Buffer[] {
    const payload = this.payload(bytes);
    this.expected.push(digest(payload));
    return this.wrap(payload, checksum);
  }

  /** A frame that must arrive. @param bytes of payload */
  frame(bytes: number): Buffer {
    return Buffer.concat(this.pieces(bytes));
  }

  /** A frame as good as any, whose datagram must not arrive. */
  stray(bytes: number): Buffer {
    return Buffer.concat(this.wrap(this.payload(bytes)));
  }

  /** A frame whose payload the device cuts into datagrams of `segment` bytes, which must arrive. */
  superFrame(bytes: number, segment: number): Buffer {
    const payload = this.payload(bytes);
    for (let at = 0; at < bytes; at += segment) {
      this.expected.push(digest(payload.subarray(at, at + segment)));
    }
    return Buffer.concat(this.wrap(payload, 'offload'));
  }

  /** Bytes that no other datagram of this outbox carries. */
  payload(bytes: number): Buffer {
    const payload = Buffer.alloc(bytes);
    fillFrom(payload, ++this.#stream, 0);
    return payload;
  }

  wrap(payload: Buffer, checksum: 'full' | 'offload' = 'full'): Buffer[] {
    const { wire, family, port, type } = this.#route;
    const from = family === 4 ? wire.near.address4 : wire.near.address6;
    const to = family === 4 ? wire.far.address4 : wire.far.address6;
    const ends = { source: from, destination: to };
    const payloadLength = UDP_HEADER + payload.length;
    const ip = { ...ends, protocol: UDP, payloadLength };
    const ports = { sourcePort: SOURCE_PORT, destinationPort: port };
    const link = headers.ethernet({
      source: wire.near.mac,
      destination: wire.far.mac,
      protocol: ETHERTYPE[family],
    });
    return [
      ...(type === 'dgram' ? [] : [link]),
      family === 4 ? headers.ipv4(ip) : headers.ipv6(ip),
      headers.udp({ ...ends, ...ports, payload, checksum }),
      payload,
    ];
  }

  /** Forgets what was to arrive, and answers it. */
  taken(): Digest[] {
    const taken = this.expected;
    this.expected = [];
    return taken;
  }
}

/** A frame of an ethertype of its own. */
export function etherFrame(
  link: { readonly source: string; readonly destination: string; readonly protocol?: number },
  payload: Buffer,
): Buffer {
  return Buffer.concat([headers.ethernet({ protocol: EXPERIMENTAL, ...link }), payload]);
}
