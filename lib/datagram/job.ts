// Sends of a datagram socket: one datagram, or many that settle together; their queue; and their callbacks, in order.
import type { AsyncResource } from 'node:async_hooks';
import { nextTick } from '../node/clock.js';
import { rethrowLater } from '../node/callbacks.js';
import { Fifo } from '../send/fifo.js';
import { partOf } from '../memory/allowed-memory.js';
import { bytesOf } from './arguments.js';
import { PLAIN, type DatagramMetadata } from './metadata.js';
import type { Reason } from '../names.js';
import { compareReleased, dueWatches, type MutationWatch } from '../memory/mutation.js';
import { pinAllUntil, pools } from '../memory/pool-pins.js';
import type { SegmentationRoutes } from '../policy/segmentation.js';
import type { SendTracker } from '../observe/report.js';

/** Called once, when the memory is the caller's again, also if it carries an error. */
export type SendCallback = (error: Error | null, bytes: number) => void;

/** The type of the AsyncResource in which a send's callback runs. */
export const SEND_CONTEXT = 'MSG_ZEROCOPY_SEND';

export interface JobShape {
  readonly payloads: readonly Uint8Array[];
  /** Their size when the payloads were passed, so that a buffer detached since is noticed. */
  readonly bytes: number;
  /** Likewise, of each payload, where every payload is a datagram. Undefined: they make up one. */
  readonly lengths: readonly number[] | undefined;
  readonly metadata: DatagramMetadata;
  /** Goes before every datagram and is none of the caller's bytes: a virtio header. Immutable. */
  readonly prefix?: Uint8Array | undefined;
  readonly callback?: SendCallback | undefined;
  /** Where the callback belongs. */
  readonly resource?: AsyncResource | undefined;
  readonly tracker?: SendTracker | undefined;
}

/** Datagrams of one promise with the same metadata. */
export type JobGroup = Pick<JobShape, 'payloads' | 'bytes' | 'lengths' | 'metadata' | 'prefix'>;

// What runs for every datagram reads properties and calls little. `declare`: the constructor sets each
// property once, and no initializer runs before it.
export class DatagramJob {
  declare payloads: readonly Uint8Array[];
  declare metadata: DatagramMetadata;
  declare readonly bytes: number;
  declare readonly prefix: Uint8Array | undefined;
  declare readonly callback: SendCallback | undefined;
  declare readonly resource: AsyncResource | undefined;
  declare readonly tracker: SendTracker | undefined;
  /** Bytes of each payload, where every payload is a datagram. Undefined: they make up one. */
  declare lengths: readonly number[] | undefined;
  /** How many datagrams are handed to the kernel in all. */
  declare count: number;
  /** The next datagram to send. */
  declare next: number;
  /** Datagrams that went out, as the caller counts them. */
  declare sent: number;
  /** Zero-copy sends that the kernel has not released. */
  declare pending: number;
  declare error: Error | undefined;
  /** Checks whether its payloads changed before its callback. */
  declare watch: MutationWatch | undefined;
  /** Its callback ran. */
  declare isSettled: boolean;
  /** Its segmentation was refused. That says something about the route only if the same bytes then go without. */
  declare refusal: { readonly segmentSize: number; readonly errno: number } | undefined;
  /** Why the next datagram is copied although it is large: a zero-copy send of it failed. */
  declare copyNext: Reason | undefined;
  /** Pieces that its one datagram was cut into, which count as one; else 0. Only this class sets it. */
  declare segmentsOfOne: number;

  constructor(shape: JobShape) {
    this.payloads = shape.payloads;
    this.bytes = shape.bytes;
    this.prefix = shape.prefix;
    this.metadata = shape.metadata;
    const { callback } = shape;
    this.callback =
      callback !== undefined && pools.any ? pinning(shape.payloads, callback) : callback;
    this.resource = shape.resource;
    this.tracker = shape.tracker;
    this.lengths = shape.lengths;
    this.count = shape.lengths === undefined ? 1 : shape.lengths.length;
    this.next = 0;
    this.sent = 0;
    this.pending = 0;
    this.error = undefined;
    this.watch = undefined;
    this.isSettled = false;
    this.refusal = undefined;
    this.copyNext = undefined;
    this.segmentsOfOne = 0;
  }

  get gathered(): boolean {
    return this.lengths === undefined;
  }

  get isSent(): boolean {
    return this.next >= this.count;
  }

  /** The job came to the head of its queue; a barrier waits for nothing else. */
  passed(): void {
    if (this.count === 0) this.pending = 0;
  }

  get isDone(): boolean {
    return this.pending === 0 && this.next >= this.count;
  }

  /** Memory of the next datagram was detached, or resized, since it was given. */
  get hasChanged(): boolean {
    const { next } = this;
    const payloads = this.gathered ? this.payloads : this.payloads.slice(next, next + 1);
    return bytesOf(payloads) !== this.bytesOf(next);
  }

  /** Bytes of the datagram `index`. */
  bytesOf(index: number): number {
    return this.lengths === undefined ? this.bytes : (this.lengths[index] as number);
  }

  /** The next `count` datagrams went out. @param routes learn that the route refuses segmentation, where it does */
  advance(count: number, routes?: SegmentationRoutes): void {
    if (this.refusal !== undefined) {
      routes?.refused(this.metadata, this.refusal.segmentSize, this.refusal.errno);
      this.refusal = undefined;
    }
    this.next += count;
    this.copyNext = undefined;
    if (this.segmentsOfOne === 0) this.sent += count;
    else if (this.isSent) this.sent = 1;
  }

  /** The next datagram failed; those behind it are tried all the same. */
  skip(error: Error): void {
    this.error ??= error;
    this.next++;
    this.copyNext = undefined;
    this.refusal = undefined;
  }

  /** Nothing more of it is sent. */
  fail(error: Error): void {
    this.error ??= error;
    this.next = this.count;
  }

  /**
   * Copies what is still to be sent, so that the caller's memory is free at once: for a send without a callback.
   */
  stage(): void {
    if (this.isSent) return;
    if (this.lengths === undefined) this.payloads = [Buffer.concat(this.payloads)];
    else {
      this.payloads = this.payloads.slice(this.next).map((payload) => Buffer.from(payload));
      this.lengths = this.lengths.slice(this.next);
      this.count = this.lengths.length;
    }
    this.next = 0;
  }

  /**
   * Replaces what is left by the datagrams that a device would have cut it into.
   * @returns how many those are
   */
  splitIntoSegments(): number {
    const { segmentSize, ...metadata } = this.metadata;
    const whole = this.gathered ? [joined(this.payloads)] : this.payloads.slice(this.next);
    const segments: Uint8Array[] = [];
    const lengths: number[] = [];
    whole.forEach((payload, index) => {
      const bytes = this.bytesOf(this.next + index);
      // The lengths of a buffer that changed since do not fit; the send call reports it.
      const isIntact = payload.length === bytes;
      for (let at = 0; at === 0 || at < bytes; at += segmentSize) {
        segments.push(isIntact ? partOf(payload, at, at + segmentSize) : NOTHING);
        lengths.push(Math.min(segmentSize, bytes - at));
      }
    });
    this.segmentsOfOne = whole.length === 1 ? segments.length : 0;
    this.payloads = segments;
    this.next = 0;
    this.lengths = lengths;
    this.count = lengths.length;
    this.metadata = Object.freeze({ ...metadata, segmentSize: 0 });
    return segments.length;
  }
}

const NOTHING = new Uint8Array(0);

/** The callback of a send of these payloads: pieces of pools among them stay pinned until it is called. */
export function pinning(
  payloads: readonly Uint8Array[],
  callback: SendCallback,
  unpin = pinAllUntil(payloads),
): SendCallback {
  if (unpin === undefined) return callback;
  return function (this: unknown, ...args) {
    unpin();
    callback.apply(this, args);
  };
}

function joined(payloads: readonly Uint8Array[]): Uint8Array {
  return payloads.length === 1 ? (payloads[0] as Uint8Array) : Buffer.concat(payloads);
}

/** An empty job, which is done when all before it are sent, that is when the engine calls passed(). */
export function barrier(callback: () => void): DatagramJob {
  const job = new DatagramJob({ payloads: [], bytes: 0, lengths: [], metadata: PLAIN, callback });
  job.pending = 1;
  return job;
}

/** Jobs that wait for space in the send buffer. */
export class DatagramQueue extends Fifo<DatagramJob> {
  /** Bytes that the kernel does not have yet; the engine keeps the count, from push() on. */
  bytes = 0;

  /** Removes a job of which nothing was sent. @returns whether it was here */
  override remove(job: DatagramJob): boolean {
    if (job.next > 0 || !super.remove(job)) return false;
    this.bytes -= job.bytes;
    return true;
  }

  addJobs(to: Set<DatagramJob>): void {
    for (let ahead = 0; ahead < this.size; ahead++) to.add(this.at(ahead));
  }

  override clear(): DatagramJob[] {
    this.bytes = 0;
    return super.clear();
  }
}

/**
 * Runs the callbacks of jobs that are done, in the order of their sends and at the end of a turn, because no user code
 * may run inside a submit.
 */
export class JobSettler {
  /** Jobs that an engine took: their callbacks run when they are done, in this order. */
  readonly expected = new Fifo<DatagramJob>();
  /** Jobs that wait for no other. */
  #finished: DatagramJob[] = [];
  /** Callbacks that wait for several jobs, and which of these are not done. */
  #waits: { readonly jobs: Set<DatagramJob>; readonly callback: () => void }[] = [];
  /** A tick will come that settles. Only this class sets it. */
  isScheduled = false;
  readonly #receiver: object;
  readonly #onTick: () => void;

  /**
   * @param receiver `this` of callbacks
   * @param onTick runs at the end of the turn after schedule(), and is to call settle() when it has sent what waited
   */
  constructor(receiver: object, onTick: () => void) {
    this.#receiver = receiver;
    this.#onTick = onTick;
  }

  /**
   * The job is done, and its callback waits for no other: nothing of it was sent, or the order of
   * sends is not that in which they were asked for (a ring's).
   */
  finish(job: DatagramJob): void {
    for (const { jobs } of this.#waits) {
      if (jobs.delete(job) && jobs.size === 0) this.schedule();
    }
    if (job.callback === undefined) return;
    this.#finished.push(job);
    this.schedule();
  }

  /** Calls `callback` when all of `jobs` went to finish(), after their own callbacks. */
  whenDone(jobs: Set<DatagramJob>, callback: () => void): void {
    this.#waits.push({ jobs, callback });
    this.schedule();
  }

  schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    nextTick(this.#onTick);
  }

  /** Runs the callbacks that are due. User code, which may send or close. */
  settle(): void {
    // Before the callbacks, which may send. What is done in the same tick before this needs no tick of its own.
    this.isScheduled = false;
    for (const job of this.#finished.splice(0)) settleJob(job, this.#receiver);
    const { expected } = this;
    while (expected.size > 0) {
      const { pending, next, count } = expected.head;
      if (pending > 0 || next < count) break;
      settleJob(expected.shift(), this.#receiver);
    }
    if (this.#waits.length === 0) return;
    const over = this.#waits.filter(({ jobs }) => jobs.size === 0);
    this.#waits = this.#waits.filter(({ jobs }) => jobs.size > 0);
    for (const { callback } of over) callback();
  }
}

function settleJob(job: DatagramJob, receiver: object): void {
  const { callback, resource, error, bytes, isSettled } = job;
  if (callback === undefined || isSettled) return;
  job.isSettled = true;
  job.watch?.release();
  if (dueWatches.length > 0) compareReleased();
  // Written out instead of runInContext(), whose rest parameters cost an array for every datagram.
  try {
    if (resource === undefined) callback.call(receiver, error ?? null, bytes);
    else if (error === undefined) resource.runInAsyncScope(callback, receiver, null, bytes);
    else resource.runInAsyncScope(callback as (error: Error) => void, receiver, error);
  } catch (thrown) {
    rethrowLater(thrown);
  }
}
