// Who owns which slot of a transmit ring. Pure: no socket, no memory, no clock.
//
//   released            handed                     next
//      |--- kernel's ------|-- reserved, committed, --|---- free ----
//                              discarded
//
// The kernel takes slots in order, up to the first that is not committed (a lent one holds up those behind
// it, too). The next committed frame moves into a slot that was discarded, so that it holds nothing up. Slot
// numbers keep growing across the wrap.
import type { DatagramJob } from './job.js';

export interface RingFrame {
  /** `'lent'`: another socket sends it from here, and it is discarded afterwards. */
  state: 'reserved' | 'committed' | 'lent' | 'discarded';
  /** Bytes of its content, a virtio header included. */
  length: number;
  /** Produced in the ring, or copied into it. */
  origin: 'in-place' | 'copied';
  /** Destination as sockaddr_ll; undefined: where the socket is bound. */
  name: Uint8Array | undefined;
  job: DatagramJob | undefined;
  /** When the kernel took it. */
  acceptedMs: number;
}

/** Consecutive frames that go to the kernel with one call. */
export interface RingRun {
  readonly first: number;
  readonly count: number;
  readonly name: Uint8Array | undefined;
}

export class RingSlots {
  readonly #frames: RingFrame[];
  readonly #mask: number;
  #released = 0;
  #handed = 0;
  #next = 0;

  /** @param size slots of the ring: a power of two */
  constructor(readonly size: number) {
    this.#mask = size - 1;
    // One object for each slot, reused: there are millions of frames.
    this.#frames = Array.from({ length: size }, () => ({
      state: 'discarded',
      length: 0,
      origin: 'in-place',
      name: undefined,
      job: undefined,
      acceptedMs: 0,
    }));
  }

  /** Slots that can be reserved. */
  get free(): number {
    return this.size - (this.#next - this.#released);
  }

  /** Slots that the kernel has. */
  get pending(): number {
    return this.#handed - this.#released;
  }

  /** The slot that the kernel gives back next. */
  get oldest(): number {
    return this.#released & this.#mask;
  }

  /** Reserves the next slot, which must be free. @returns its index in the ring */
  reserve(): number {
    const slot = this.#next++ & this.#mask;
    const frame = this.#frames[slot] as RingFrame;
    frame.state = 'reserved';
    frame.job = undefined;
    return slot;
  }

  /** Whether the slot is reserved, and not yet committed. */
  isReserved(slot: number): boolean {
    const distance = (slot - this.#handed) & this.#mask;
    if (distance >= this.#next - this.#handed) return false;
    return this.frame(slot).state === 'reserved';
  }

  /** The frame in a slot. */
  frame(slot: number): RingFrame {
    return this.#frames[slot & this.#mask] as RingFrame;
  }

  /**
   * The next frames for the kernel; undefined if the next slot is still reserved, or there is none.
   * @param move called to move a frame's content to a slot that was discarded
   */
  nextRun(move: (from: number, to: number, frame: RingFrame) => void): RingRun | undefined {
    if (!this.#fillHoles(move)) return undefined;
    const first = this.#handed;
    const { name } = this.frame(first);
    let end = first + 1;
    while (end < this.#next && this.#isLike(end, name)) end++;
    return { first: first & this.#mask, count: end - first, name };
  }

  #isLike(place: number, name: Uint8Array | undefined): boolean {
    const frame = this.frame(place);
    return frame.state === 'committed' && frame.name === name;
  }

  // Moves the next committed frame into the next slot. False: there is none yet.
  #fillHoles(move: (from: number, to: number, frame: RingFrame) => void): boolean {
    if (this.#handed === this.#next) return false;
    const hole = this.frame(this.#handed);
    if (hole.state !== 'discarded') return hole.state === 'committed';
    let from = this.#handed + 1;
    while (from < this.#next && this.frame(from).state === 'discarded') from++;
    if (from === this.#next) {
      // Nothing follows: the slots are free again.
      this.#next = this.#handed;
      return false;
    }
    const frame = this.frame(from);
    if (frame.state !== 'committed') return false;
    move(from & this.#mask, this.#handed & this.#mask, frame);
    this.#frames[this.#handed & this.#mask] = frame;
    this.#frames[from & this.#mask] = hole;
    return true;
  }

  /** The kernel took the next `count` slots. */
  taken(count: number): void {
    this.#handed += count;
  }

  /** The frame `ahead` slots after the next one is not sent: its slot becomes a hole. */
  drop(ahead: number, visit: (frame: RingFrame) => void): void {
    const frame = this.frame(this.#handed + ahead);
    visit(frame);
    frame.state = 'discarded';
    frame.job = undefined;
  }

  /**
   * The kernel gave the oldest `count` slots back.
   * @param visit called for frames of one send that the kernel took together: with the first, how many they are, and
   * their length
   */
  gaveBack(count: number, visit: (first: RingFrame, frames: number, length: number) => void): void {
    const end = this.#released + count;
    while (this.#released < end) {
      const start = this.#released;
      const first = this.frame(start);
      const { job, acceptedMs } = first;
      let length = first.length;
      while (++this.#released < end) {
        const next = this.frame(this.#released);
        if (next.job !== job || next.acceptedMs !== acceptedMs) break;
        length += next.length;
      }
      visit(first, this.#released - start, length);
      for (let place = start; place < this.#released; place++) this.frame(place).job = undefined;
    }
  }

  /** Adds the sends whose frames the kernel has or will get. */
  addJobs(to: Set<DatagramJob>): void {
    for (let place = this.#released; place < this.#next; place++) {
      const { job } = this.frame(place);
      if (job !== undefined) to.add(job);
    }
  }

  /** Discards every slot that the kernel does not have; calls `visit` with their frames. */
  abandon(visit: (frame: RingFrame) => void): void {
    for (let place = this.#handed; place < this.#next; place++) visit(this.frame(place));
    this.#next = this.#handed;
  }
}
