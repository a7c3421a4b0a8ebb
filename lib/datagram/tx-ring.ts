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
import { RingViews } from './ring-views.js';
import { releaseLatency } from '../observe/aggregate.js';
import type { DatagramSender, SenderContext } from './sender.js';

const { EAGAIN, ECANCELED, ENOBUFS } = constants.errno;

/** A full device queue gives no event when it has room again, so try after this long. */
const RETRY_MS = 1;
/** Frames that a full queue refuses for this long fail with ENOBUFS. */
const STALL_MS = 1_000;
/** Frames given back are not reported while half of the send buffer is in use (net/core/sock.c:sock_def_write_space). */
const LOOK_AGAIN_MS = 20;
/** Frames beyond which one call into the kernel saves nothing more: 1 cost 1.1 µs each, 16 cost 0.53, 64 cost 0.50. */
const MOST_WAITING = 64;
/** A commit goes at once unless another one just went. */
const LONG_AGO_MS = 0.1;

export class TxRingEngine implements PortOwner, DatagramSender {
  readonly port: number;
  readonly #reactor: Reactor;
  readonly #host: SenderContext;
  readonly #ring: OpenRing;
  readonly #slots: RingSlots;
  readonly views: RingViews;
  readonly #lengths: Uint32Array;
  readonly #queue = new DatagramQueue();
  /** Frames that were committed since the kernel was called. */
  #waiting = 0;
  #handedMs = 0;
  #pendingBytes = 0;
  readonly #settler: JobSettler;
  #congested = false;
  #progressMs = 0;
  #isArmed = false;
  #timer: NodeJS.Timeout | undefined;
  #whenFree: { resolve: () => void; reject: (error: Error) => void }[] = [];
  #phase: 'open' | 'closing' | 'closed' = 'open';

  constructor(port: number, host: SenderContext, ring: OpenRing) {
    this.port = port;
    this.#reactor = host.reactor;
    this.#host = host;
    this.#ring = ring;
    this.#slots = new RingSlots(ring.frames);
    this.views = new RingViews(ring);
    this.#lengths = new Uint32Array(ring.frames);
    this.#settler = new JobSettler(host.socket, () => this.#onTick());
    host.reactor.adopt(port, this);
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

  /** Frames that reserve() can hand out now: none while a send() waits for one, which no frame may overtake. */
  get freeFrames(): number {
    if (this.#queue.size > 0) this.flush();
    return this.#queue.size > 0 ? 0 : this.#freeSlots;
  }

  get #freeSlots(): number {
    if (this.#slots.free === 0) this.#hand();
    return this.#phase === 'open' ? this.#slots.free : 0;
  }

  // --- frames in place --------------------------------------------------------------------------

  /** Throws: ERR_ZC_RING_FULL. */
  reserve(length: number): Buffer {
    if (this.freeFrames === 0) throw ringFull();
    return this.views.of(this.#slots.reserve(), length);
  }

  /** The slot of a reserved frame; undefined if `frame` is none. */
  slotOf(frame: unknown): number | undefined {
    const slot = this.views.slotOf(frame);
    return slot !== undefined && this.#slots.isReserved(slot) ? slot : undefined;
  }

  /**
   * Sends the frames in `slots`, which are the payloads of `job`: at once, or at the end of the present
   * callback together with others.
   */
  commit(slots: readonly number[], job: DatagramJob): void {
    for (let i = 0; i < slots.length; i++) {
      this.#commit(slots[i] as number, job, job.bytesOf(i), 'in-place');
    }
    job.pending = job.next = slots.length;
    this.#waiting += slots.length;
    // The tick at the end of this callback hands over what waits.
    const isSoon = this.#settler.isScheduled && nowMs() - this.#handedMs < LONG_AGO_MS;
    if (!isSoon || this.#waiting >= MOST_WAITING) this.handOver();
    this.#settler.schedule();
  }

  /** Calls the kernel for frames that were committed and wait for the end of this callback. */
  handOver(): void {
    if (this.#waiting > 0) this.#hand();
  }

  #commit(slot: number, job: DatagramJob, bytes: number, origin: RingFrame['origin']): void {
    if (job.prefix !== undefined) this.views.writePrefix(slot, job.prefix);
    const frame = this.#slots.frame(slot);
    frame.state = 'committed';
    frame.length = bytes + this.#ring.headroom;
    frame.origin = origin;
    frame.name = job.metadata.name;
    frame.job = job;
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
      while (!job.isSent && this.#freeSlots > 0) this.#copyToRing(job);
      if (!job.isSent) break;
      this.#queue.shift();
      // A barrier waits only for what came before it.
      if (job.isDone) this.#settler.finish(job);
    }
    this.#hand();
  }

  #copyToRing(job: DatagramJob): void {
    const bytes = job.bytesOf(job.next);
    this.#queue.bytes -= bytes;
    let pieces = job.gathered ? job.payloads : [job.payloads[job.next] as Uint8Array];
    if (pieces.some(mayGrow)) pieces = pieces.map((piece) => piece.subarray(0, piece.length));
    // A buffer that has grown since would overwrite the next slots.
    if (bytesOf(pieces) !== bytes) {
      job.skip(bufferDetached());
      if (job.callback === undefined) this.#host.counters.failedSends++;
      return;
    }
    const slot = this.#slots.reserve();
    this.views.write(slot, pieces);
    this.#commit(slot, job, bytes, 'copied');
    job.pending++;
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
    this.#slots.abandon((frame) => this.#fail(frame, error));
    this.#phase = 'closing';
    this.#collect();
    for (const waiting of this.#whenFree.splice(0)) waiting.reject(error);
    this.#closeIfReleased();
  }

  // --- the kernel's side ------------------------------------------------------------------------

  // Passes committed frames to the kernel, in order.
  #hand(): void {
    this.#waiting = 0;
    while (!this.#congested) {
      const run = this.#slots.nextRun(this.views.move);
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
    for (let i = 0; i < run.count; i++) {
      this.#lengths[i] = this.#slots.frame(run.first + i).length;
    }
    const taken = native.ringHand(this.port, run.first, this.#lengths, run.count, run.name);
    if (taken > 0) this.#took(run.first, taken);
    if (taken === run.count) return;
    const result = native.ringKicked(this.port);
    const rest = (run.first + taken) % this.#ring.frames;
    const isWrong = native.ringIsWrong(this.port, rest);
    native.ringRevoke(this.port, rest, run.count - taken);
    if (isWrong) this.#drop(1, (bytes) => frameRefused(result, bytes));
    else if (result >= 0 || result === -ENOBUFS || result === -EAGAIN) this.#congest(run, taken);
    else this.#drop(run.count - taken, () => systemError(result, 'send'));
  }

  #took(first: number, count: number): void {
    const { counters } = this.#host;
    const acceptedMs = nowMs();
    this.#progressMs = this.#handedMs = acceptedMs;
    const isHeard = channels.send.hasSubscribers;
    let inPlace = 0;
    for (let slot = first; slot < first + count; slot++) {
      const frame = this.#slots.frame(slot);
      const bytes = frame.length - this.#ring.headroom;
      if (frame.origin === 'copied') {
        counters.copiedBytes += bytes;
        continue;
      }
      frame.acceptedMs = acceptedMs;
      const id = counters.zeroCopySends++;
      if (isHeard) publish(channels.send, { socket: this.#host.socket, id, bytes });
      inPlace += bytes;
    }
    counters.zeroCopyBytes += inPlace;
    this.#pendingBytes += inPlace;
    this.#slots.taken(count);
  }

  // The next `count` frames fail; later ones go on.
  #drop(count: number, errorOf: (bytes: number) => Error): void {
    for (let i = 0; i < count; i++) {
      this.#slots.drop(i, (frame) =>
        this.#fail(frame, errorOf(frame.length - this.#ring.headroom)),
      );
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
      this.#slots.gaveBack(count, this.#released);
      this.#settler.schedule();
      const bytes = before - this.#pendingBytes;
      if (bytes > 0 && channels.release.hasSubscribers)
        publish(channels.release, { socket: this.#host.socket, bytes });
    }
    if (this.#slots.pending > 0) {
      this.#reactor.native.arm(this.port);
      this.#isArmed = true;
      this.#lookLater(LOOK_AGAIN_MS);
    } else if (this.#isArmed) {
      this.#reactor.native.disarm(this.port);
      this.#isArmed = false;
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

  // Of frames of one send that the kernel gave back together; `length` of all of them.
  readonly #released = (first: RingFrame, frames: number, length: number): void => {
    const { job, origin, acceptedMs } = first;
    if (job === undefined) return;
    const bytes = length - frames * this.#ring.headroom;
    job.pending -= frames;
    if (origin === 'in-place') {
      this.#host.counters.notifications += frames;
      releaseLatency.observe(this.#progressMs - acceptedMs, frames);
      this.#pendingBytes -= bytes;
      job.sent += frames;
      // The ring does not report whether a device or a tap made the kernel copy.
      job.tracker?.released(bytes, 'unknown', 'tx_ring');
    } else job.tracker?.copied(bytes, 'not-reserved');
    if (job.isDone) this.#settler.finish(job);
  };

  #fail({ job }: RingFrame, error: Error): void {
    if (job === undefined) return;
    job.pending--;
    job.error ??= error;
    if (job.callback === undefined) this.#host.counters.failedSends++;
    if (job.isDone) this.#settler.finish(job);
  }

  #onTick(): void {
    this.handOver();
    this.#settler.settle();
    if (this.#queue.size > 0) this.flush();
    if (this.#whenFree.length === 0 || this.freeFrames === 0) return;
    for (const waiting of this.#whenFree.splice(0)) waiting.resolve();
  }

  #closeIfReleased(): void {
    if (this.#phase !== 'closing' || this.#slots.pending > 0) return;
    this.#phase = 'closed';
    clearTimeout(this.#timer);
    this.#reactor.release(this.port);
    this.#host.finished();
  }
}
