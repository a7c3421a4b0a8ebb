// Options of packet sockets, checked before a descriptor is opened, and the geometry of their ring.
import type { Native, NativeInterface } from '../native/binding.js';
import { flag, integer, optionsObject, oneOf } from '../send/arguments.js';
import { invalidType, outOfRange, systemError } from '../errors.js';
import type { PacketRingOptions, PacketSocketOptions } from './types.js';
import { encodeProgram } from '../datagram/socket-filter.js';
import { VIRTIO_HEADER_BYTES, VLAN_TAG_BYTES } from './offload.js';
import type { OpenRing } from './tx-ring.js';
import type { DatagramCore } from '../datagram/core.js';

/** ETH_P_ALL, include/uapi/linux/if_ether.h. */
const ALL_PROTOCOLS = 3;
/** Ethernet header and one VLAN tag. */
export const ETHERNET_HEADER_BYTES = 14;
const DEFAULT_FRAMES = 256;
const MOST_RING_FRAMES = 65_536;
const LEAST_SLOT_BYTES = 128;
const MOST_SLOT_BYTES = 131_072;
/** A block is contiguous kernel memory: at least a page, and small enough to be available. */
const LEAST_BLOCK_BYTES = 32_768;

export interface CheckedPacketOptions {
  readonly interface: string | number;
  readonly type: 'raw' | 'dgram';
  readonly protocol: number;
  readonly ring: PacketRingOptions | undefined;
  readonly virtioHeader: boolean;
  readonly qdiscBypass: boolean;
  readonly ignoreOutgoing: boolean;
  readonly promiscuous: boolean;
  readonly program: Buffer | undefined;
}

/** Throws: ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE. */
export function checkPacketOptions(given: unknown): CheckedPacketOptions {
  const options = optionsObject(given) as PacketSocketOptions;
  const { type = 'raw', protocol = 0, filter } = options;
  const name: unknown = options.interface;
  if (typeof name !== 'string' && typeof name !== 'number') {
    throw invalidType('options.interface', 'the name or index of an interface', name);
  }
  oneOf('options.type', type, ['raw', 'dgram']);
  const virtioHeader = flag('options.virtioHeader', options.virtioHeader);
  if (virtioHeader && type !== 'raw') {
    throw outOfRange('options.virtioHeader', "false with type 'dgram'", true);
  }
  if (filter !== undefined) optionsObject(filter, 'options.filter');
  return {
    interface: name,
    type,
    protocol: protocol === 'all' ? ALL_PROTOCOLS : integer('options.protocol', protocol, 0, 0xffff),
    ring: ringOptions(options.ring),
    virtioHeader,
    qdiscBypass: flag('options.qdiscBypass', options.qdiscBypass),
    ignoreOutgoing: flag('options.ignoreOutgoing', options.ignoreOutgoing),
    promiscuous: flag('options.promiscuous', options.promiscuous),
    program: filter === undefined ? undefined : encodeProgram(filter.program),
  };
}

function ringOptions(value: unknown): PacketRingOptions | undefined {
  if (value === undefined || value === false) return undefined;
  if (value === true) return {};
  const { frames, frameSize } = optionsObject(value, 'options.ring') as PacketRingOptions;
  if (frames !== undefined) integer('options.ring.frames', frames, 1, MOST_RING_FRAMES);
  if (frameSize !== undefined) {
    integer('options.ring.frameSize', frameSize, LEAST_SLOT_BYTES, MOST_SLOT_BYTES);
  }
  return value as PacketRingOptions;
}

/** Throws: ENODEV if there is no such interface. */
export function findDevice(native: Native, nameOrIndex: string | number): NativeInterface {
  const found = native.findInterface(nameOrIndex);
  if (typeof found !== 'number') return found;
  const error = systemError(found, 'ioctl');
  error.message += `: no interface ${JSON.stringify(nameOrIndex)} in this network namespace`;
  throw error;
}

interface RingShape {
  readonly frames: number;
  readonly frameBytes: number;
  readonly blockBytes: number;
}

function powerOfTwo(least: number): number {
  return 2 ** Math.ceil(Math.log2(least));
}

/**
 * The geometry of a ring: slot size and slot count are powers of two, so that slots follow each other without gaps
 * across blocks.
 * @param overhead bytes of a slot in front of its frame
 * @param pageBytes bytes of a page, of which a block is a whole number
 */
export function ringShape(
  options: PacketRingOptions,
  device: Pick<NativeInterface, 'mtu'>,
  overhead: number,
  pageBytes: number,
): RingShape {
  const longest = overhead + device.mtu + ETHERNET_HEADER_BYTES + VLAN_TAG_BYTES;
  const frameBytes = powerOfTwo(options.frameSize ?? Math.min(longest, MOST_SLOT_BYTES));
  const blockBytes = Math.max(frameBytes, LEAST_BLOCK_BYTES, pageBytes);
  const perBlock = blockBytes / frameBytes;
  const frames = powerOfTwo(Math.max(options.frames ?? DEFAULT_FRAMES, perBlock));
  return { frames, frameBytes, blockBytes };
}

/** Maps the transmit ring that the options ask for. Throws: a system error. */
export function openRing<Info>(
  { native, options, reactor }: DatagramCore<Info>,
  { ring, virtioHeader }: CheckedPacketOptions,
  port: number,
  device: NativeInterface,
): OpenRing | undefined {
  if (ring === undefined) return undefined;
  const headroom = virtioHeader ? VIRTIO_HEADER_BYTES : 0;
  const dataOffset = native.ringDataOffset;
  const { frames, frameBytes, blockBytes } = ringShape(
    ring,
    device,
    dataOffset + headroom,
    reactor.pageBytes,
  );
  const buffer = native.openRing(port, frameBytes, frames, blockBytes);
  if (typeof buffer === 'number') throw systemError(buffer, 'setsockopt PACKET_TX_RING');
  if (options.sendBufferSize === 0) {
    // Frames in flight are charged to the send buffer, with their overhead: make room for all.
    const bytes = Math.min(2 * frames * frameBytes, 2 ** 30);
    const { SOL_SOCKET, SO_SNDBUF, SO_SNDBUFFORCE } = native.kernel;
    if (native.setOption(port, SOL_SOCKET, SO_SNDBUFFORCE, bytes) < 0) {
      native.setOption(port, SOL_SOCKET, SO_SNDBUF, bytes);
    }
  }
  return { buffer, frames, frameBytes, dataOffset, headroom };
}
