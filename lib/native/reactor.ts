// The JavaScript side of this environment's reactor: starts it on first use and passes each record to the
// owner of its port. The addon makes one call for each wake-up of the event loop.
import os from 'node:os';
import { isMainThread } from 'node:worker_threads';
import { errnoName } from '../errors.js';
import { nextTick, nowMs } from '../node/clock.js';
import { releaseLatency } from '../observe/aggregate.js';
import type { NativeConstants } from './binding-constants.js';
import { loadNative, type Native } from './binding.js';
import { type Missing, missing } from './loader.js';
import { pinLimitsOf } from './pin-limits.js';
import { rethrowLater } from '../node/callbacks.js';
import { memlockOf, processBudgetBytes, WorkingBudget } from '../policy/budget.js';
import { LET_GO_MS } from '../policy/linger.js';

/** The events of a port. `onRange` must not run user code; the others may. */
export interface PortOwner {
  /** @param copiedFlagIsReliable whether `copied` means anything; for a datagram socket, of the range's first send */
  onRange(lo: number, hi: number, copied: boolean, copiedFlagIsReliable: boolean): void;
  /** The socket takes bytes again, or is dead: the next send shows which. */
  onWritable(): void;
  /** The connection is dead; a send would show the error. */
  onHangup(): void;
  /** Data from the peer arrived after this side was destroyed. */
  onPeerData(): void;
  /** Notifications were lost: the sends they named stay referenced. Must not run user code. */
  onLost?(entries: number): void;
  /** The kernel released something that a callback waits for; all ranges of this wake-up are booked. */
  onRangesDone(): void;
  /** Streams only: the words say how sends went. */
  onNews?(): void;
  /** Datagrams, or the socket's error, wait to be received. */
  onReadable?(): void;
  /** The process exits: calls the kernel for what waits for the end of the callback. Must not run user code. */
  handOver?(): void;
}

/** Owners with callbacks to run once all records of a wake-up are read, and which records they had. */
export type Calls = [PortOwner, number][];

/** Records that the shared words hold: as many come at most at a time. */
const RECORDS = 1024;

/** How long the teardown of the main environment waits for the kernel to release memory. A worker's memory is
 * freed at once, so its connections are aborted at once. */
const EXIT_GRACE_MS = LET_GO_MS;

export class Reactor {
  readonly native: Native;
  readonly #budget: WorkingBudget;
  readonly #owners: (PortOwner | undefined)[] = [];
  /** Records of the addon; the last word: not 0 where a write found some for other ports. */
  readonly words: Uint32Array;
  readonly recordsWait: number;
  readonly #streamWords: Float64Array[] = [];
  /** How the parts of the last logging write were sent: the count, and pairs of bytes and fate. */
  readonly log: Float64Array;
  #delivers = false;
  #readingMs: number | undefined;
  /** A plain copy: properties of an object that native made are slow to read. */
  readonly constants: NativeConstants;
  readonly pageBytes: number;

  constructor(native: Native) {
    this.native = native;
    this.constants = { ...native.constants };
    const described = native.describe();
    this.pageBytes = described.pageBytes;
    const limits = pinLimitsOf(described);
    this.#budget = new WorkingBudget(processBudgetBytes(limits), memlockOf(limits));
    this.recordsWait = RECORDS * this.constants.RECORD_WORDS;
    this.words = new Uint32Array(this.recordsWait + 1);
    this.log = new Float64Array(1 + 2 * this.constants.LOG_ENTRIES);
    const onRecords = (count: number): void => this.#dispatch(count);
    const graceMs = isMainThread ? EXIT_GRACE_MS : 0;
    const started = native.start(this.words, onRecords, graceMs, releaseLatency.words, this.log);
    if (started === -os.constants.errno.EALREADY) {
      throw new Error(
        'another copy of the package in this thread uses this file of the addon already',
      );
    }
    if (started < 0) throw new Error(`epoll_create1 failed with ${errnoName(started)}`);
    native.setBudget(this.#budget.most);
    process.once('exit', () => this.#owners.forEach((owner) => owner?.handOver?.()));
  }

  /** Bytes that the process has pinned. */
  get processPinned(): number {
    return this.native.addPinned(0);
  }

  /** Bytes that the process may pin. */
  get processBudget(): number {
    const budget = this.#budget;
    return budget.shrunk ? budget.bytes(nowMs()) : budget.most;
  }

  /** Lets the budget of streams grow again, if it had to shrink. */
  followBudget(): void {
    if (this.#budget.shrunk) this.native.setBudget(this.processBudget);
  }

  /** The kernel refused to pin more, even after completions were read. */
  outOfBuffers(): void {
    this.#budget.refused(this.processPinned, nowMs());
    this.native.setBudget(this.processBudget);
  }

  /** As performance.now(), but read once for all records of a wake-up. */
  get nowMs(): number {
    return this.#readingMs ?? nowMs();
  }

  adopt(port: number, owner: PortOwner): void {
    this.#owners[port] = owner;
  }

  /** Closes the port's descriptor. Only when nothing is pending on it. */
  release(port: number): void {
    this.#owners[port] = undefined;
    this.native.detach(port);
  }

  /** Bytes of a zero-copy send were accepted, or, negative, released. */
  addPinned(delta: number): void {
    this.native.addPinned(delta);
  }

  /** The words of a stream, and where they begin. */
  wordsOf(port: number): { words: Float64Array; at: number } {
    const { PORTS_PER_CHUNK, STREAM_WORDS } = this.constants;
    const chunk = Math.floor(port / PORTS_PER_CHUNK);
    const words = (this.#streamWords[chunk] ??= this.native.streamWords(chunk));
    return { words, at: (port % PORTS_PER_CHUNK) * STREAM_WORDS };
  }

  /**
   * Records that a write found for other ports are delivered in the next tick: no user code runs inside a write.
   */
  deliverSoon(): void {
    if (this.#delivers || this.words[this.recordsWait] === 0) return;
    this.#delivers = true;
    nextTick(() => {
      this.#delivers = false;
      let count: number;
      do {
        count = this.native.takeRecords();
        this.#dispatch(count);
      } while (count === RECORDS);
    });
  }

  /**
   * Reads a port's notifications now. Runs no user code: the caller must call a datagram socket's onRangesDone();
   * streams get theirs in the next tick.
   */
  reap(port: number): void {
    let count: number;
    const calls: Calls = [];
    do {
      count = this.native.reap(port);
      this.read(count, calls);
    } while (count === RECORDS);
    const { RECORD_RELEASED, RECORD_NEWS } = this.constants;
    const awaited = calls.filter(([, flags]) => (flags & (RECORD_RELEASED | RECORD_NEWS)) !== 0);
    if (awaited.length > 0) nextTick(() => this.run(awaited));
    this.deliverSoon();
  }

  /**
   * Reads the first `count` records of the shared words. Runs no user code: run(calls) does that later, because user
   * code may send, destroy or reap, and so overwrite the words.
   */
  read(count: number, calls: Calls): void {
    if (count === 0) return;
    this.#readingMs = nowMs();
    try {
      this.#read(count, calls);
    } finally {
      this.#readingMs = undefined;
    }
  }

  #read(count: number, calls: Calls): void {
    const { RECORD_WORDS, RECORD_RANGE, RECORD_COPIED, RECORD_LOST, RECORD_UNKNOWN } =
      this.constants;
    const { words } = this;
    for (let i = 0; i < count; i++) {
      const at = i * RECORD_WORDS;
      const owner = this.#owners[words[at] as number];
      if (owner === undefined) continue;
      const flags = words[at + 3] as number;
      const lo = words[at + 1] as number;
      if ((flags & RECORD_RANGE) !== 0) {
        const copiedFlagIsReliable = (flags & RECORD_UNKNOWN) === 0;
        const copied = (flags & RECORD_COPIED) !== 0;
        owner.onRange(lo, words[at + 2] as number, copied, copiedFlagIsReliable);
      } else if ((flags & RECORD_LOST) !== 0) {
        owner.onLost?.(lo);
      }
      const last = calls[calls.length - 1];
      if (last !== undefined && last[0] === owner) last[1] |= flags;
      else calls.push([owner, flags]);
    }
  }

  /** Calls the owners for what read() found. Runs user code. */
  run(calls: Calls): void {
    const { RECORD_RANGE, RECORD_WRITABLE, RECORD_PEER_DATA, RECORD_HANGUP } = this.constants;
    const { RECORD_READABLE, RECORD_RELEASED, RECORD_NEWS } = this.constants;
    for (const [owner, flags] of calls) {
      try {
        if ((flags & RECORD_NEWS) !== 0) owner.onNews?.();
        if ((flags & (RECORD_RANGE | RECORD_RELEASED)) !== 0) owner.onRangesDone();
        if ((flags & RECORD_HANGUP) !== 0) owner.onHangup();
        else if ((flags & RECORD_WRITABLE) !== 0) owner.onWritable();
        if ((flags & RECORD_PEER_DATA) !== 0) owner.onPeerData();
        if ((flags & RECORD_READABLE) !== 0) owner.onReadable?.();
      } catch (thrown) {
        rethrowLater(thrown);
      }
    }
  }

  #dispatch(count: number): void {
    const calls: Calls = [];
    this.read(count, calls);
    this.run(calls);
  }
}

let reactor: Reactor | undefined;

/** This environment's reactor, if it was started. */
export function startedReactor(): Reactor | undefined {
  return reactor;
}

/** This environment's reactor, or why there is none. */
export function getReactor(): Reactor | Missing {
  if (reactor !== undefined) return reactor;
  const loaded = loadNative();
  if (loaded.native === undefined) return loaded;
  try {
    reactor = new Reactor(loaded.native);
    return reactor;
  } catch (error) {
    // Not cached: a process that is out of descriptors now may have some later.
    return missing(error instanceof Error ? error.message : String(error));
  }
}
