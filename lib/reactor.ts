// This environment's side of the native reactor: starts it on first use and hands each record to the
// owner of its port. One call for each wake-up of the event loop.
import os from 'node:os';
import { isMainThread } from 'node:worker_threads';
import { loadNative, type Native, type NativeConstants } from './binding.js';
import { rethrowLater } from './handbacks.js';
import { processBudgetBytes } from './policy/budget.js';

/** What a port's owner is told. `onRange` must not run user code; the others may. */
export interface PortOwner {
  onRange(lo: number, hi: number, copied: boolean): void;
  /** The socket takes bytes again, or is dead: the next send tells. */
  onWritable(): void;
  /** The connection is dead, and a send would say how. */
  onHangup(): void;
  /** Data of the peer arrived after our side was destroyed. */
  onPeerData(): void;
  /** All ranges of this wake-up are in. */
  onRangesDone(): void;
  /** Datagrams, or the socket's error, wait to be received. */
  onReadable?(): void;
}

const RECORDS = 1024;

/** How long the end of the main environment waits for the kernel to release memory: about the
 * longest round trip. A worker's memory is freed at once, so its connections are aborted at once. */
const EXIT_GRACE_MS = 500;

export class Reactor {
  readonly native: Native;
  /** Bytes that the process may pin. */
  readonly processBudget: number;
  /** Bytes that the process has pinned, as of the last send or release here. */
  processPinned = 0;
  readonly #owners: (PortOwner | undefined)[] = [];
  readonly #words: Uint32Array;
  /** A plain copy: properties of an object that native made are slow to read. */
  readonly constants: NativeConstants;

  constructor(native: Native) {
    this.native = native;
    this.constants = { ...native.constants };
    const { memlockBytes, ipcLock } = native.describe();
    this.processBudget = processBudgetBytes({
      memlockBytes,
      ipcLock,
      totalMemoryBytes: os.totalmem(),
    });
    this.#words = new Uint32Array(RECORDS * this.constants.RECORD_WORDS);
    const onRecords = (count: number): void => this.#dispatch(count);
    const started = native.start(this.#words, onRecords, isMainThread ? EXIT_GRACE_MS : 0);
    if (started < 0) throw new Error(`epoll_create1 failed with errno ${-started}`);
  }

  adopt(port: number, owner: PortOwner): void {
    this.#owners[port] = owner;
  }

  /** Closes the port's descriptor. Only when nothing is pending on it. */
  release(port: number): void {
    this.#owners[port] = undefined;
    this.native.detach(port);
  }

  addPinned(delta: number): void {
    this.processPinned = this.native.addPinned(delta);
  }

  /** Reads a port's error queue now. Runs no user code: onRangesDone() is left to the caller. */
  reap(port: number): void {
    let count: number;
    do {
      count = this.native.reap(port);
      for (let i = 0; i < count; i++) this.#range(i);
    } while (count === RECORDS);
  }

  #range(index: number): PortOwner | undefined {
    const { RECORD_WORDS, RECORD_COPIED } = this.constants;
    const at = index * RECORD_WORDS;
    const words = this.#words;
    const owner = this.#owners[words[at] as number];
    const copied = ((words[at + 3] as number) & RECORD_COPIED) !== 0;
    owner?.onRange(words[at + 1] as number, words[at + 2] as number, copied);
    return owner;
  }

  // Two passes: first the bookkeeping of every record, then what may run user code, which may send,
  // destroy or reap in turn and so overwrite the shared words.
  #dispatch(count: number): void {
    const { RECORD_WORDS, RECORD_RANGE, RECORD_WRITABLE, RECORD_PEER_DATA, RECORD_HANGUP } =
      this.constants;
    const { RECORD_READABLE } = this.constants;
    const calls: [PortOwner, number][] = [];
    for (let i = 0; i < count; i++) {
      const flags = this.#words[i * RECORD_WORDS + 3] as number;
      const owner =
        (flags & RECORD_RANGE) !== 0
          ? this.#range(i)
          : this.#owners[this.#words[i * RECORD_WORDS] as number];
      if (owner === undefined) continue;
      const last = calls[calls.length - 1];
      if (last !== undefined && last[0] === owner) last[1] |= flags;
      else calls.push([owner, flags]);
    }
    for (const [owner, flags] of calls) {
      try {
        if ((flags & RECORD_RANGE) !== 0) owner.onRangesDone();
        if ((flags & RECORD_HANGUP) !== 0) owner.onHangup();
        else if ((flags & RECORD_WRITABLE) !== 0) owner.onWritable();
        if ((flags & RECORD_PEER_DATA) !== 0) owner.onPeerData();
        if ((flags & RECORD_READABLE) !== 0) owner.onReadable?.();
      } catch (thrown) {
        rethrowLater(thrown);
      }
    }
  }
}

let reactor: Reactor | undefined;
let failure: string | undefined;

/** This environment's reactor, or why there is none. */
export function getReactor(): Reactor | { readonly why: string } {
  if (reactor !== undefined) return reactor;
  if (failure !== undefined) return { why: failure };
  const loaded = loadNative();
  if (loaded.native === undefined) {
    failure = loaded.why;
    return { why: failure };
  }
  try {
    reactor = new Reactor(loaded.native);
    return reactor;
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
    return { why: failure };
  }
}
