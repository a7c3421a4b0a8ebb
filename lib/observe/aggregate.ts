// Sums over all sockets of this environment. Each socket counts for itself, so a send adds to no total. metrics()
// makes the sum, and each socket adds its counts once more when it ends.
import { zeroDatagramCounters, type Counters, type DatagramCounters } from './counters.js';
import type { Reason } from '../names.js';
import { LatencyHistogram } from './histogram.js';

/** Why a connection was reset to get its memory back. */
export type AbortReason =
  | 'linger-timeout' // destroyed, and no progress for lingerTimeoutMs
  | 'peer-data' // destroyed, and the peer went on sending
  | 'reset' // resetAndDestroy()
  | 'handle-taken'; // its handle went to another process in the middle of a write

/** What a socket offers to the sums. */
export interface SocketAccount {
  /** Its counters; undefined while it has none. */
  readonly counters: Readonly<Counters> | undefined;
  /** Bytes that Node's own write sent, and that no counter includes. Default 0. */
  readonly bytesByNode?: number;
  /** Brings its counters up to date, if that takes a call. */
  refresh?(): void;
  readonly pendingBytes: number;
  readonly pendingSends: number;
  /** It has no descriptor left, and the kernel none of its memory. Absent: it always calls end(). */
  readonly isOver?: boolean;
  /** What the sums of ended sockets already include of it: it may have been connected again since. */
  counted?: Readonly<Counters> | undefined;
  countedByNode?: number | undefined;
}

type Sums = DatagramCounters;
const KEYS = Object.keys(zeroDatagramCounters()) as (keyof Sums)[];

/** From so many accounts on, look for those that ended without calling end(). */
const FEWEST_BEFORE_SWEEP = 1024;

class Accounts {
  readonly #open = new Set<SocketAccount>();
  readonly #ended: Sums = zeroDatagramCounters();
  #sweepAt = FEWEST_BEFORE_SWEEP;

  open(account: SocketAccount): void {
    if (this.#open.size >= this.#sweepAt) this.sweep();
    this.#open.add(account);
  }

  /** Adds an account to the sums of ended sockets, without what was added before. */
  end(account: SocketAccount): void {
    this.#open.delete(account);
    const { counters, bytesByNode = 0 } = account;
    addTo(this.#ended, account);
    // Most connections send nothing large and have no counters to copy.
    if (counters !== undefined) account.counted = { ...counters };
    account.countedByNode = bytesByNode;
  }

  // A socket that was passed to another process loses its handle without an event
  // (lib/internal/child_process.js: handleConversion 'net.Socket').
  sweep(): void {
    for (const account of this.#open) if (account.isOver === true) this.end(account);
    this.#sweepAt = Math.max(FEWEST_BEFORE_SWEEP, 2 * this.#open.size);
  }

  get size(): number {
    return this.#open.size;
  }

  sums(): Sums {
    const sums = { ...this.#ended };
    for (const account of this.#open) addTo(sums, account);
    return sums;
  }

  pending(): { pendingBytes: number; pendingSends: number } {
    const sum = { pendingBytes: 0, pendingSends: 0 };
    for (const account of this.#open) {
      sum.pendingBytes += account.pendingBytes;
      sum.pendingSends += account.pendingSends;
    }
    return sum;
  }
}

// What an account counted that the sums do not include yet.
function addTo(sums: Sums, account: SocketAccount): void {
  account.refresh?.();
  sums.copiedBytes += (account.bytesByNode ?? 0) - (account.countedByNode ?? 0);
  const counters: Partial<Sums> | undefined = account.counters;
  if (counters === undefined) return;
  const before: Partial<Sums> | undefined = account.counted;
  for (const key of KEYS) sums[key] += (counters[key] ?? 0) - (before?.[key] ?? 0);
}

export class CountsByName<Name extends string> {
  readonly #counts = new Map<Name, number>();

  add(name: Name): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  snapshot(): Readonly<Partial<Record<Name, number>>> {
    return Object.freeze(Object.fromEntries(this.#counts)) as Partial<Record<Name, number>>;
  }
}

export const accounts = new Accounts();
export const fallbacks = new CountsByName<Reason>();
export const aborts = new CountsByName<AbortReason>();
/** By the name of the errno. */
export const refusedRegistrations = new CountsByName<string>();

/** Small responses that shared a system call with those of other connections. */
export const shared = { copies: 0, sends: 0 };
/** Time from a zero-copy send's acceptance to its release. */
export const releaseLatency = new LatencyHistogram();
