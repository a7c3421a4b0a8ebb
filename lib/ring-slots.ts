// Which slots of a transmit ring are whose. Pure: no socket, no memory, no clock.
//
//   released            handed                     next
//      |--- kernel's ------|-- reserved, committed, --|---- free ----
//                              discarded
//
// The kernel takes slots in order and none behind one that is not committed. A slot that is discarded
// in the middle is filled by the next committed frame, so that it holds nothing up. Slots are counted
// on across the wrap.
import type { DatagramJob } from './datagram-job.js';

export interface RingFrame {
  state: 'reserved' | 'committed' | 'discarded';
  /** Bytes of its content, headroom included. */
  length: number;
  /** Produced in the ring, or copied to it. */
  origin: 'in-place' | 'copied';
  /** Where it goes, as sockaddr_ll; undefined: as the socket is bound. */
  name: Uint8Array | undefined;
  job: DatagramJob | undefined;
}

/** Consecutive frames that go to the kernel with one call. */
export interface RingRun {
  readonly first: number;
  readonly count: number;
  readonly name: Uint8Array | undefined;
}

export class RingSlots {
  readonly #frames: (RingFrame | undefined)[];
  #released = 0;
  #handed = 0;
  #next = 0;

  /** @param size slots of the ring */
  constructor(readonly size: number) {
    this.#frames = new Array<RingFrame | undefined>(size);
  }

  /** Slots that can be reserved. */
  get free(): number {
    return this.size - (this.#next - this.#released);
  }

  /** Slots that the kernel has. */
  get pending(): number {
    return this.#handed - this.#released;
  }

  /** The slot that the kernel gives back next, and the one that it takes next. */
  get oldest(): number {
    return this.#released % this.size;
  }

  /** Reserves the next slot, which must be free; answers its place in the ring. */
  reserve(): number {
    const slot = this.#next++ % this.size;
    this.#frames[slot] = {
      state: 'reserved',
      length: 0,
      origin: 'in-place',
      name: undefined,
      job: undefined,
    };
    return slot;
  }

  /** What is in a slot that the kernel does not have; undefined when it is free or the kernel's. */
  own(slot: number): RingFrame | undefined {
    const from = this.#handed % this.size;
    const distance = (slot - from + this.size) % this.size;
    return distance < this.#next - this.#handed ? this.#frames[slot] : undefined;
  }

  /**
   * The next frames for the kernel; undefined when the next slot is reserved still, or none is.
   * @param move called to move a frame's content to a slot that was discarded
   */
  nextRun(move: (from: number, to: number, frame: RingFrame) => void): RingRun | undefined {
    if (!this.#fillHoles(move)) return undefined;
    const first = this.#handed;
    const { name } = this.#at(first);
    let end = first + 1;
    while (end < this.#next && this.#isLike(end, name)) end++;
    return { first: first % this.size, count: end - first, name };
  }

  #isLike(place: number, name: Uint8Array | undefined): boolean {
    const frame = this.#at(place);
    return frame.state === 'committed' && frame.name === name;
  }

  #at(place: number): RingFrame {
    return this.#frames[place % this.size] as RingFrame;
  }

  // Makes the next slot a committed frame. False: there is none yet.
  #fillHoles(move: (from: number, to: number, frame: RingFrame) => void): boolean {
    if (this.#handed === this.#next) return false;
    const hole = this.#at(this.#handed);
    if (hole.state !== 'discarded') return hole.state === 'committed';
    let from = this.#handed + 1;
    while (from < this.#next && this.#at(from).state === 'discarded') from++;
    if (from === this.#next) {
      // Nothing behind: the slots are free again.
      this.#next = this.#handed;
      return false;
    }
    const frame = this.#at(from);
    if (frame.state === 'reserved') return false;
    move(from % this.size, this.#handed % this.size, frame);
    this.#frames[this.#handed % this.size] = frame;
    this.#frames[from % this.size] = hole;
    return true;
  }

  /** The kernel took the next `count` slots; `visit` sees their frames. */
  taken(count: number, visit: (frame: RingFrame) => void): void {
    for (let i = 0; i < count; i++) visit(this.#at(this.#handed++));
  }

  /** The frame of the next slot, `ahead` slots on, is not sent: its slot becomes a hole. */
  drop(ahead: number): RingFrame {
    const frame = this.#at(this.#handed + ahead);
    this.#frames[(this.#handed + ahead) % this.size] = {
      ...frame,
      state: 'discarded',
      job: undefined,
    };
    return frame;
  }

  /** The kernel gave the oldest `count` slots back; `visit` sees their frames. */
  gaveBack(count: number, visit: (frame: RingFrame) => void): void {
    for (let i = 0; i < count; i++) {
      const slot = this.#released++ % this.size;
      const frame = this.#frames[slot] as RingFrame;
      this.#frames[slot] = undefined;
      visit(frame);
    }
  }

  /** Discards every slot that the kernel does not have; answers their frames. */
  abandon(): RingFrame[] {
    const frames: RingFrame[] = [];
    for (let place = this.#handed; place < this.#next; place++) frames.push(this.#at(place));
    this.#next = this.#handed;
    return frames;
  }
}
