// A transmit ring as users know it: its device, its options, its geometry, and the frames that it handed out.
import type { Native, NativeInterface } from '../native/binding.js';
import type { Reactor } from '../native/reactor.js';
import { namesOf, optionsOf } from '../observe/options-object.js';
import { integer } from '../send/arguments.js';
import { invalidType, noInterface, outOfRangeFound, systemError } from '../errors.js';
import type { ResolvedDatagramOptions } from './options.js';

/** Ethernet header and one VLAN tag. */
export const ETHERNET_HEADER_BYTES = 14;
export const VLAN_TAG_BYTES = 4;
const DEFAULT_FRAMES = 256;
const MOST_RING_FRAMES = 65_536;
const LEAST_SLOT_BYTES = 128;
const MOST_SLOT_BYTES = 131_072;
/** A block is contiguous kernel memory: at least a page, and small enough to be available. */
const LEAST_BLOCK_BYTES = 32_768;

/** The shape of a transmit ring. */
export interface PacketRingOptions {
  /** Frames of the ring, 1 to 65,536. Default 256. Rounded up to a power of two. */
  frames?: number;
  /**
   * Bytes of a slot, 128 to 131,072, of which a frame may use all but 32, or all but 42 with `virtioHeader`. Rounded
   * up to a power of two. Default: what the interface's MTU needs.
   */
  frameSize?: number;
}

const RING_NAMES = namesOf<PacketRingOptions>({
  frames: true,
  frameSize: true,
});

/** Throws: ENODEV if there is no such interface. */
export function findDevice(native: Native, nameOrIndex: string | number): NativeInterface {
  const found = native.findInterface(nameOrIndex);
  if (typeof found !== 'number') return found;
  throw noInterface(found, 'ioctl', nameOrIndex);
}

/** Throws: ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE. */
export function ringOptions(value: unknown): PacketRingOptions | undefined {
  if (value === undefined || value === false) return undefined;
  if (value === true) return {};
  if (typeof value !== 'object') {
    throw invalidType('options.ring', 'a boolean or an object', value);
  }
  const { frames, frameSize } = optionsOf(value, RING_NAMES, 'options.ring') as PacketRingOptions;
  if (frames !== undefined) integer('options.ring.frames', frames, 1, MOST_RING_FRAMES);
  if (frameSize !== undefined) {
    integer('options.ring.frameSize', frameSize, LEAST_SLOT_BYTES, MOST_SLOT_BYTES);
  }
  return value as PacketRingOptions;
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
  device: { readonly mtu: number },
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

/** The ring as it was opened. */
export interface OpenRing {
  readonly buffer: ArrayBuffer;
  readonly frames: number;
  /** Bytes of a slot. */
  readonly frameBytes: number;
  /** Where content starts in a slot. */
  readonly dataOffset: number;
  /** Bytes of content before a frame: the virtio header. */
  readonly headroom: number;
}

/**
 * Maps the transmit ring of a packet socket.
 * @param headroom bytes of content before a frame
 * Throws: a system error.
 */
export function openRing(
  { native, pageBytes }: Reactor,
  port: number,
  ring: PacketRingOptions,
  { sendBufferSize }: ResolvedDatagramOptions,
  device: { readonly mtu: number },
  headroom: number,
): OpenRing {
  const dataOffset = native.ringDataOffset;
  const shape = ringShape(ring, device, dataOffset + headroom, pageBytes);
  const { frames, frameBytes, blockBytes } = shape;
  const buffer = native.openRing(port, frameBytes, frames, blockBytes);
  if (typeof buffer === 'number') throw systemError(buffer, 'setsockopt PACKET_TX_RING');
  if (sendBufferSize === 0) {
    // Frames in flight are charged to the send buffer, with their overhead: make room for all.
    const bytes = Math.min(2 * frames * frameBytes, 2 ** 30);
    const { SOL_SOCKET, SO_SNDBUF, SO_SNDBUFFORCE } = native.kernel;
    if (native.setOption(port, SOL_SOCKET, SO_SNDBUFFORCE, bytes) < 0) {
      native.setOption(port, SOL_SOCKET, SO_SNDBUF, bytes);
    }
  }
  return { buffer, frames, frameBytes, dataOffset, headroom };
}

/**
 * The slots of frames that are to be sent, or given back: each once, and all from this ring.
 * Throws: ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE.
 */
export function slotsOf(
  ring: { slotOf(frame: unknown): number | undefined },
  frames: readonly unknown[],
): number[] {
  const slots = new Array<number>(frames.length);
  let ascending = true;
  for (let i = 0; i < frames.length; i++) {
    const frame = frames[i];
    const slot = ring.slotOf(frame);
    if (slot === undefined) {
      const expected = 'frames from reserve() that were neither committed nor discarded';
      throw invalidType('frames', expected, frame);
    }
    ascending &&= i === 0 || slot > (slots[i - 1] as number);
    slots[i] = slot;
  }
  if (ascending || new Set(slots).size === slots.length) return slots;
  throw outOfRangeFound('frames', 'a list without duplicates', 'the same frame twice');
}
