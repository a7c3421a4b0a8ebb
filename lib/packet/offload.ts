// Data that the kernel keeps beside a frame: struct virtio_net_hdr, which PACKET_VNET_HDR puts in front and which says
// what a device has to do to the frame, and its VLAN tag.
// Source: include/uapi/linux/virtio_net.h; in the machine's byte order (net/packet/af_packet.c:vio_le).
import { endianness } from 'node:os';
import type { KernelConstants } from '../native/binding-constants.js';
import { namesOf, optionsOf } from '../observe/options-object.js';
import { integer, oneOf } from '../send/arguments.js';
import { outOfRange } from '../errors.js';
import { VLAN_TAG_BYTES } from '../datagram/ring.js';
import type { Offload } from './headers.js';

export const VIRTIO_HEADER_BYTES = 10;

type Numbers = Pick<
  KernelConstants,
  | 'VIRTIO_NET_HDR_F_NEEDS_CSUM'
  | 'VIRTIO_NET_HDR_GSO_NONE'
  | 'VIRTIO_NET_HDR_GSO_TCPV4'
  | 'VIRTIO_NET_HDR_GSO_TCPV6'
  | 'VIRTIO_NET_HDR_GSO_UDP_L4'
>;

const little = endianness() === 'LE';

function kinds(numbers: Numbers): Record<Offload['gso'], number> {
  return {
    none: numbers.VIRTIO_NET_HDR_GSO_NONE,
    tcp4: numbers.VIRTIO_NET_HDR_GSO_TCPV4,
    tcp6: numbers.VIRTIO_NET_HDR_GSO_TCPV6,
    udp: numbers.VIRTIO_NET_HDR_GSO_UDP_L4,
  };
}

const OFFLOAD_NAMES = namesOf<Offload>({
  gso: true,
  segmentSize: true,
  headerLength: true,
  checksumStart: true,
  checksumOffset: true,
});

/** Checks an offload against the frame it is for. Throws: ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE. */
function checkOffload(given: unknown, frameBytes: number): Offload {
  const offload = optionsOf(given, OFFLOAD_NAMES, 'options.offload') as Offload;
  oneOf('options.offload.gso', offload.gso, ['none', 'tcp4', 'tcp6', 'udp']);
  const segments = offload.gso !== 'none';
  const last = Math.min(frameBytes, 0xffff);
  integer('options.offload.segmentSize', offload.segmentSize, segments ? 1 : 0, 0xffff);
  integer('options.offload.headerLength', offload.headerLength, segments ? 1 : 0, last);
  integer('options.offload.checksumStart', offload.checksumStart, 0, last);
  integer('options.offload.checksumOffset', offload.checksumOffset, 0, last);
  if (offload.checksumStart + offload.checksumOffset + 2 > frameBytes) {
    const within = 'such that the checksum lies within the frame';
    throw outOfRange('options.offload.checksumOffset', within, offload.checksumOffset);
  }
  return offload;
}

/** Encodes headers. Caches the last one, because similar frames follow each other. */
export class VirtioHeaders {
  readonly #numbers: Numbers;
  readonly #empty: Uint8Array = new Uint8Array(VIRTIO_HEADER_BYTES);
  #last:
    { readonly offload: Offload; readonly bytes: number; readonly header: Uint8Array } | undefined;

  constructor(numbers: Numbers) {
    this.#numbers = numbers;
  }

  /**
   * The header of a frame; without an offload it asks nothing of the device. Do not change it.
   * Throws: ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE.
   */
  of(offload: Offload | undefined, frameBytes: number): Uint8Array {
    if (offload === undefined) return this.#empty;
    const last = this.#last;
    if (last !== undefined && last.bytes === frameBytes && isSame(last.offload, offload)) {
      return last.header;
    }
    const checked = { ...checkOffload(offload, frameBytes) };
    const header = this.#encode(checked);
    this.#last = { offload: checked, bytes: frameBytes, header };
    return header;
  }

  #encode(offload: Offload): Uint8Array {
    const header = Buffer.alloc(VIRTIO_HEADER_BYTES);
    const hasChecksum = offload.checksumStart > 0 || offload.checksumOffset > 0;
    header[0] = hasChecksum ? this.#numbers.VIRTIO_NET_HDR_F_NEEDS_CSUM : 0;
    header[1] = kinds(this.#numbers)[offload.gso];
    const fields = [
      offload.headerLength,
      offload.segmentSize,
      offload.checksumStart,
      offload.checksumOffset,
    ];
    fields.forEach((value, index) => {
      if (little) header.writeUInt16LE(value, 2 + index * 2);
      else header.writeUInt16BE(value, 2 + index * 2);
    });
    return header;
  }
}

function isSame(a: Offload, b: Offload): boolean {
  return (
    a.gso === b.gso &&
    a.segmentSize === b.segmentSize &&
    a.headerLength === b.headerLength &&
    a.checksumStart === b.checksumStart &&
    a.checksumOffset === b.checksumOffset
  );
}

/** The offload of a received frame; undefined if nothing is left to do to it. */
export function readVirtioHeader(from: Buffer, numbers: Numbers): Offload | undefined {
  const kind = (from[1] as number) & 0x7f;
  const needsChecksum = ((from[0] as number) & numbers.VIRTIO_NET_HDR_F_NEEDS_CSUM) !== 0;
  if (!needsChecksum && kind === numbers.VIRTIO_NET_HDR_GSO_NONE) return undefined;
  const field = (index: number): number =>
    little ? from.readUInt16LE(2 + index * 2) : from.readUInt16BE(2 + index * 2);
  const names = Object.entries(kinds(numbers)) as [Offload['gso'], number][];
  return {
    gso: names.find(([, number]) => number === kind)?.[0] ?? 'none',
    headerLength: field(0),
    segmentSize: field(1),
    checksumStart: field(2),
    checksumOffset: field(3),
  };
}

// The VLAN tag of a received frame. The kernel takes it out (net/core/dev.c:__netif_receive_skb_core) and reports it
// in PACKET_AUXDATA; this puts it back, as libpcap does.

/** Length of both link addresses; the tag comes after them. */
const ADDRESS_BYTES = 12;

/**
 * A copy of `frame` with its tag; the frame itself if a filter cut it off before the tag's place.
 * @param tag its ethertype << 16 | TCI
 */
export function withTag(frame: Buffer, tag: number): Buffer {
  if (frame.length < ADDRESS_BYTES) return frame;
  const tagged = Buffer.allocUnsafeSlow(frame.length + VLAN_TAG_BYTES);
  frame.copy(tagged, 0, 0, ADDRESS_BYTES);
  tagged.writeUInt32BE(tag, ADDRESS_BYTES);
  frame.copy(tagged, ADDRESS_BYTES + VLAN_TAG_BYTES, ADDRESS_BYTES);
  return tagged;
}

/** The offload of a frame after a tag was inserted: everything it refers to moves back. */
export function behindTag(offload: Offload): Offload {
  const { headerLength, checksumStart } = offload;
  return {
    ...offload,
    headerLength: headerLength > 0 ? headerLength + VLAN_TAG_BYTES : 0,
    checksumStart: checksumStart > 0 ? checksumStart + VLAN_TAG_BYTES : 0,
  };
}
