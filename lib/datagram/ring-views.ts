// The memory of a transmit ring: where the frame of each slot stands, and the views of it that programs fill.
import { isUint8Array } from 'node:util/types';
import type { OpenRing } from './ring.js';
import type { RingFrame } from './ring-slots.js';

export class RingViews {
  /** All slots. */
  readonly memory: Buffer;
  readonly #ring: OpenRing;
  /** The last view of each slot, reused for a frame of the same length. */
  readonly #views: (Buffer | undefined)[];
  /** The slot whose frame comes back next, where they come in the order in which they were handed out. */
  #likely = 0;

  constructor(ring: OpenRing) {
    this.#ring = ring;
    this.memory = Buffer.from(ring.buffer);
    this.#views = new Array<Buffer | undefined>(ring.frames);
  }

  /** The longest frame that fits a slot. */
  get longest(): number {
    return this.#ring.frameBytes - this.#ring.dataOffset - this.#ring.headroom;
  }

  /** Where the frame of a slot starts. */
  startOf(slot: number): number {
    const { frameBytes, dataOffset, headroom } = this.#ring;
    return slot * frameBytes + dataOffset + headroom;
  }

  /** The first `length` bytes of a slot's frame. */
  of(slot: number, length: number): Buffer {
    const known = this.#views[slot];
    if (known !== undefined && known.length === length) return known;
    const start = this.startOf(slot);
    return (this.#views[slot] = this.memory.subarray(start, start + length));
  }

  /** The slot that `frame` is the start of; undefined if it is none. */
  slotOf(frame: unknown): number | undefined {
    const likely = this.#likely;
    const view = this.#views[likely];
    // A detached view is empty.
    const isLikely = view !== undefined && frame === view && view.length > 0;
    const slot = isLikely ? likely : this.#find(frame);
    if (slot !== undefined) this.#likely = slot + 1 === this.#ring.frames ? 0 : slot + 1;
    return slot;
  }

  #find(frame: unknown): number | undefined {
    if (!isUint8Array(frame) || frame.buffer !== this.#ring.buffer) return undefined;
    const slot = (frame.byteOffset / this.#ring.frameBytes) | 0;
    // The next slots are others' memory.
    const isOne = frame.byteOffset === this.startOf(slot) && frame.byteLength <= this.longest;
    return isOne ? slot : undefined;
  }

  /** Writes what goes before a frame: its virtio header. */
  writePrefix(slot: number, prefix: Uint8Array): void {
    this.memory.set(prefix, this.startOf(slot) - this.#ring.headroom);
  }

  /** Writes a frame. */
  write(slot: number, pieces: readonly Uint8Array[]): void {
    let at = this.startOf(slot);
    for (const piece of pieces) {
      this.memory.set(piece, at);
      at += piece.length;
    }
  }

  /** Moves the content of one slot to another. */
  readonly move = (from: number, to: number, { length }: RingFrame): void => {
    const { headroom } = this.#ring;
    const start = this.startOf(from) - headroom;
    this.memory.copyWithin(this.startOf(to) - headroom, start, start + length);
  };
}
