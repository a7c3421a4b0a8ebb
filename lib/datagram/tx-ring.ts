// Sends frames from the transmit ring of a packet socket (PACKET_TX_RING). Frames produced in the ring are not
// copied on their way to the device; others are copied into it once.
import { constants } from 'node:os';
import { clearTimeout, nowMs, setTimeout } from '../node/clock.js';
import { DatagramQueue, JobSettler, type DatagramJob } from './job.js';
import { mayGrow } from '../memory/detached.js';
import { channels, publish } from '../observe/diagnostics.js';
import { bytesOf } from './arguments.js';
import { bufferDetached, frameRefused, queueFull, ringFull, systemError } from '../errors.js';
import type { PortOwner, Reactor } from '../native/reactor.js';
import type { OpenRing } from './ring.js';
import { RingSlots, type RingFrame, type RingRun } from './ring-slots.js';
import { releaseLatency } from '../observe/aggregate.js';
import type { DatagramSender, SenderContext } from './sender.js';

const { EAGAIN, ECANCELED, ENOBUFS } = constants.errno;

/** A full device queue gives no event when it has room again, so try after this long. */
const RETRY_MS = 1;
/** Frames that a full queue refuses for this long fail with ENOBUFS. */
const STALL_MS = 1_000;
/** The kernel reports frames that it gives back, unless more than half of the send buffer is in use
 * (net/core/sock.c:sock_def_write_space). */
const LOOK_AGAIN_MS = 20;

export class TxRingEngine implements PortOwner, DatagramSender {
  readonly port: number;
  readonly #reactor: Reactor;
  readonly #host: SenderContext;
  readonly #ring: OpenRing;
  readonly #slots: RingSlots;
  readonly #memory: Buffer;
  readonly #lengths: Uint32Array;
  /** The last view of each slot, reused for a frame of the same length. */
  readonly #views: (Buffer | undefined)[];
  readonly #queue = new DatagramQueue();
  #pendingBytes = 0;
  readonly #settler: JobSettler;
  #congested = false;
  #progressMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #whenFree: { resolve: () => void; reject: (error: Error) => void }[] = [];
  #phase: 'open' | 'closing' | 'closed' = 'open';

  constructor(port: number, host: SenderContext, ring: OpenRing) {
    const { reactor } = host;
    this.port = port;
    this.#reactor = reactor;
    this.#host = host;
    this.#ring = ring;
    this.#slots = new RingSlots(ring.frames);
    this.#memory = Buffer.from(ring.buffer);
    this.#lengths = new Uint32Array(ring.frames);
    this.#views = new Array<Buffer | undefined>(ring.frames);
    this.#settler = new JobSettler(host.socket, () => this.#onTick());
    reactor.adopt(port, this);
  }

  get queuedBytes(): number {
    return this.#queue.bytes;
  }
  get queuedJobs(): number {
    return this.#queue.size;
  }
  get pendingBytes(): number {
    return this.#pendingBytes;
  }
  get pendingSends(): number {
    return this.#slots.pending;
  }

  /** Frames that reserve() can hand out now. */
  get freeFrames(): number {
    if (this.#slots.free === 0) this.#collect();
    return this.#phase === 'open' ? this.#slots.free : 0;
  }

  /** The longest frame that fits a slot. */
  get longestFrame(): number {
    return this.#ring.frameBytes - this.#ring.dataOffset - this.#ring.headroom;
  }

  // --- frames in place --------------------------------------------------------------------------

  /** Throws: ERR_ZC_RING_FULL. */
  reserve(length: number): Buffer {
    if (this.freeFrames === 0) throw ringFull();
    const slot = this.#slots.reserve();
    const known = this.#views[slot];
    if (known !== undefined && known.length === length) return known;
    const { frameBytes, dataOffset, headroom } = this.#ring;
    const start = slot * frameBytes + dataOffset + headroom;
    return (this.#views[slot] = this.#memory.subarray(start, start + length));
  }

  /** The slot of a reserved frame; undefined if `frame` is none. */
  slotOf(frame: Uint8Array): number | undefined {
    if (frame.buffer !== this.#ring.buffer) return undefined;
    const { frameBytes, dataOffset, headroom } = this.#ring;
    const slot = (frame.byteOffset / frameBytes) | 0;
    const isStart = frame.byteOffset === slot * frameBytes + dataOffset + headroom;
    // The next slots are others' memory.
    if (!isStart || frame.byteLength > this.longestFrame) return undefined;
    return this.#slots.isReserved(slot) ? slot : undefined;
  }

  /** Sends the frames in `slots`, which are the payloads of `job`. */
  commit(slots: readonly number[], job: DatagramJob): void {
    for (let i = 0; i < slots.length; i++) {
      this.#commit(slots[i] as number, job, job.bytesOf(i), 'in-place');
    }
    job.next = slots.length;
    this.#hand();
  }

  #commit(slot: number, job: DatagramJob, bytes: number, origin: RingFrame['origin']): void {
    const { frameBytes, dataOffset, headroom } = this.#ring;
    if (job.prefix !== undefined) this.#memory.set(job.prefix, slot * frameBytes + dataOffset);
    const frame = this.#slots.frame(slot);
    frame.state = 'committed';
    frame.length = bytes + headroom;
    frame.origin = origin;
    frame.name = job.metadata.name;
    frame.job = job;
    job.pending++;
  }

  /** Somebody else sends the reserved frame from there, and calls discard() then. */
  lend(slot: number): void {
    this.#slots.frame(slot).state = 'lent';
  }

  discard(slot: number): void {
    this.#slots.frame(slot).state = 'discarded';
    this.#hand();
  }

  /** Resolves when a frame is free. */
  ready(): Promise<void> {
    if (this.freeFrames > 0) return Promise.resolve();
    return new Promise((resolve, reject) => this.#whenFree.push({ resolve, reject }));
  }

  // --- DatagramSender: frames that are copied into the ring ---------------------------------------

  submit(job: DatagramJob): void {
    const most = this.#host.maxQueuedBytes;
    if (this.#queue.size > 0 && this.#queue.bytes + job.bytes > most) {
      job.fail(queueFull(most));
      if (job.callback === undefined) this.#host.counters.failedSends++;
      this.#settler.finish(job);
      return;
    }
    this.#queue.push(job);
    this.#queue.bytes += job.bytes;
    this.flush();
    if (job.callback === undefined) job.stage();
  }

  flush(): void {
    if (this.#phase !== 'open') return;
    while (this.#queue.size > 0) {
      const job = this.#queue.head;
      while (!job.isSent && this.freeFrames > 0) this.#copyToRing(job);
      if (!job.isSent) break;
      this.#queue.shift();
      // A barrier waits only for what came before it.
      if (job.isDone) this.#settler.finish(job);
    }
    this.#hand();
  }

  #copyToRing(job: DatagramJob): void {
    const index = job.next;
    const bytes = job.bytesOf(index);
    this.#queue.bytes -= bytes;
    let pieces = job.gathered ? job.payloads : [job.payloads[index] as Uint8Array];
    if (pieces.some(mayGrow)) pieces = pieces.map((piece) => piece.subarray(0, piece.length));
    // A buffer that has grown since would overwrite the next slots.
    if (bytesOf(pieces) !== bytes) {
      job.skip(bufferDetached());
      if (job.callback === undefined) this.#host.counters.failedSends++;
      return;
    }
    const slot = this.#slots.reserve();
    const { frameBytes, dataOffset, headroom } = this.#ring;
    let at = slot * frameBytes + dataOffset + headroom;
    for (const piece of pieces) {
      this.#memory.set(piece, at);
      at += piece.length;
    }
    this.#commit(slot, job, bytes, 'copied');
    job.advance(1);
  }

  cancel(job: DatagramJob, error: Error): boolean {
    if (!this.#queue.remove(job)) return false;
    job.fail(error);
    this.#settler.finish(job);
    return true;
  }

  whenReleased(callback: () => void): void {
    const jobs = new Set<DatagramJob>();
    this.#slots.addJobs(jobs);
    this.#queue.addJobs(jobs);
    this.#settler.whenDone(jobs, callback);
  }

  close(): void {
    if (this.#phase !== 'open') return;
    this.flush();
    const error = systemError(-ECANCELED, 'send');
    for (const job of this.#queue.clear()) {
      job.fail(error);
      if (job.isDone) this.#settler.finish(job);
    }
    this.#slots.abandon((frame) => this.#settle(frame, error));
    this.#phase = 'closing';
    this.#collect();
    for (const waiting of this.#whenFree.splice(0)) waiting.reject(error);
    this.#closeIfReleased();
  }

  // --- the kernel's side ------------------------------------------------------------------------

  // Passes committed frames to the kernel, in order.
  #hand(): void {
    const move = (from: number, to: number, frame: RingFrame): void => {
      const { frameBytes, dataOffset } = this.#ring;
      const start = from * frameBytes + dataOffset;
      this.#memory.copyWithin(to * frameBytes + dataOffset, start, start + frame.length);
    };
    while (!this.#congested) {
      const run = this.#slots.nextRun(move);
      if (run === undefined) break;
      this.#handRun(run);
    }
    this.#collect();
    // Discarded slots are free without the kernel.
    const isWanted = this.#whenFree.length > 0 || this.#queue.size > 0;
    if (isWanted && this.#slots.free > 0) this.#settler.schedule();
  }

  #handRun(run: RingRun): void {
    const { native } = this.#reactor;
    const { port } = this;
    for (let i = 0; i < run.count; i++) {
      this.#lengths[i] = this.#slots.frame(run.first + i).length;
    }
    native.ringCommit(port, run.first, this.#lengths, run.count);
    const result = native.ringKick(port, run.name);
    const taken = native.ringTaken(port, run.first, run.count);
    if (taken > 0) this.#took(taken);
    if (taken === run.count) return;
    const rest = (run.first + taken) % this.#ring.frames;
    const isWrong = native.ringIsWrong(port, rest);
    native.ringRevoke(port, rest, run.count - taken);
    if (isWrong) this.#drop(1, (bytes) => frameRefused(result, bytes));
    else if (result >= 0 || result === -ENOBUFS || result === -EAGAIN) this.#congest(run, taken);
    else this.#drop(run.count - taken, () => systemError(result, 'send'));
  }

  #took(count: number): void {
    const { counters } = this.#host;
    const acceptedMs = nowMs();
    this.#progressMs = acceptedMs;
    this.#slots.taken(count, (frame) => {
      const bytes = frame.length - this.#ring.headroom;
      if (frame.origin === 'in-place') {
        frame.acceptedMs = acceptedMs;
        const id = counters.zeroCopySends++;
        if (channels.send.hasSubscribers)
          publish(channels.send, { socket: this.#host.socket, id, bytes });
        counters.zeroCopyBytes += bytes;
        this.#pendingBytes += bytes;
      } else {
        counters.copiedBytes += bytes;
      }
    });
  }

  // The next `count` frames fail; later ones go on.
  #drop(count: number, errorOf: (bytes: number) => Error): void {
    for (let i = 0; i < count; i++) {
      this.#slots.drop(i, (frame) => {
        this.#settle(frame, errorOf(frame.length - this.#ring.headroom));
      });
    }
  }

  #congest(run: RingRun, taken: number): void {
    const now = nowMs();
    if (this.#progressMs === 0 || taken > 0) this.#progressMs = now;
    if (now - this.#progressMs > STALL_MS) {
      this.#drop(run.count - taken, () => systemError(-ENOBUFS, 'send'));
      this.#progressMs = 0;
      return;
    }
    this.#congested = true;
    this.#lookLater(RETRY_MS);
  }

  // Collects the frames that the kernel gave back.
  #collect(): void {
    const { pending, oldest } = this.#slots;
    if (pending === 0) return this.#closeIfReleased();
    const count = this.#reactor.native.ringReleased(this.port, oldest, pending);
    if (count > 0) {
      this.#progressMs = nowMs();
      const before = this.#pendingBytes;
      this.#slots.gaveBack(count, (frame) => this.#settle(frame, undefined));
      this.#settler.schedule();
      const bytes = before - this.#pendingBytes;
      if (bytes > 0 && channels.release.hasSubscribers)
        publish(channels.release, { socket: this.#host.socket, bytes });
    }
    if (this.#slots.pending > 0) {
      this.#reactor.native.arm(this.port);
      this.#lookLater(LOOK_AGAIN_MS);
    } else {
      this.#reactor.native.disarm(this.port);
    }
    this.#closeIfReleased();
  }

  #lookLater(delayMs: number): void {
    if (this.#timer !== undefined && !this.#congested) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.onWritable();
    }, delayMs);
    // The armed port holds the event loop, unless the socket was unref'ed.
    if (!this.#congested) this.#timer.unref();
  }

  // --- PortOwner ----------------------------------------------------------------------------------

  onRange(): void {}
  onRangesDone(): void {}
  onPeerData(): void {}

  onWritable(): void {
    if (this.#phase === 'closed') return;
    this.#congested = false;
    this.#collect();
    if (this.#phase === 'open') this.flush();
  }

  onHangup(): void {
    this.onWritable();
  }

  onReadable(): void {
    if (this.#phase === 'open') this.#host.receive();
  }

  // --- settling -----------------------------------------------------------------------------------

  #settle(frame: RingFrame, error: Error | undefined): void {
    const { job } = frame;
    if (job === undefined) return;
    const bytes = frame.length - this.#ring.headroom;
    job.pending--;
    if (error !== undefined) job.error ??= error;
    else if (frame.origin === 'in-place') {
      this.#host.counters.notifications++;
      releaseLatency.observe(this.#progressMs - frame.acceptedMs);
      this.#pendingBytes -= bytes;
      job.sent++;
      // The ring does not report whether a device or a tap made the kernel copy.
      job.tracker?.released(bytes, 'unknown', 'tx_ring');
    } else job.tracker?.copied(bytes, 'not-reserved');
    if (error !== undefined && job.callback === undefined) this.#host.counters.failedSends++;
    if (job.isDone) this.#settler.finish(job);
  }

  #onTick(): void {
    this.#settler.settle();
    if (this.#phase === 'open' && this.#slots.free > 0) {
      for (const waiting of this.#whenFree.splice(0)) waiting.resolve();
    }
    if (this.#queue.size > 0) this.flush();
  }

  #closeIfReleased(): void {
    if (this.#phase !== 'closing' || this.#slots.pending > 0) return;
    this.#phase = 'closed';
    clearTimeout(this.#timer);
    this.#reactor.release(this.port);
    this.#host.finished();
  }
}
