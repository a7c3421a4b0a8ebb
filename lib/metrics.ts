// metrics(): what this environment (the main thread, or one worker) has done so far, for monitoring.
import { snapshotOf, type DatagramCounters } from './observe/counters.js';
import { fileTotals, type FileTotals } from './files/index.js';
import type { Reason } from './names.js';
import type { Histogram } from './observe/histogram.js';
import { startedReactor } from './native/reactor.js';
import {
  accounts,
  aborts,
  fallbacks,
  refusedRegistrations,
  shared,
  releaseLatency,
  type AbortReason,
} from './observe/aggregate.js';

/** Counters of one environment since it loaded this package. A snapshot. */
export interface ProcessMetrics {
  /** `zeroCopy.stats` of all sockets of this package, summed, including closed ones. */
  readonly totals: Readonly<DatagramCounters>;
  /** Sockets that have a descriptor, or memory that the kernel still references. */
  readonly openSockets: number;
  /** Bytes that the kernel references for these sockets now. */
  readonly pendingBytes: number;
  /** Sends of these sockets that the kernel has not released. */
  readonly pendingSends: number;
  /** Bytes that sends of the whole process have pinned now, including other threads. */
  readonly pinnedBytes: number;
  /**
   * Bytes of pools that this environment has registered with io_uring: sends from them pin nothing.
   */
  readonly registeredBytes: number;
  /**
   * How often io_uring refused to register a pool, by errno; its memory is then pinned for each send. ENOMEM:
   * RLIMIT_MEMLOCK is too low (remedy: `ulimit -l`, LimitMEMLOCK=); ENOBUFS: 256 pools are registered.
   */
  readonly refusedRegistrations: Readonly<Partial<Record<string, number>>>;
  /**
   * Small responses that were copied by one system call together with those of other connections, at the end of the
   * turn of the event loop and within 1.5 ms.
   */
  readonly sharedCopies: number;
  /** Responses that went without copying and shared a system call with others. */
  readonly sharedSends: number;
  /** Bytes that the process may pin; beyond it, writes are copied. 0 before the first socket. */
  readonly budgetBytes: number;
  /** Descriptors that this package holds for sockets: TCP duplicates, and datagram sockets. */
  readonly openPorts: number;
  /** Files, including those to sockets that are not upgraded. */
  readonly files: FileTotals;
  /** How often zero copy was paused or refused, by reason, as on the channel `msg-zerocopy:fallback`. */
  readonly fallbacks: Readonly<Partial<Record<Reason, number>>>;
  /** How often a connection was reset to get its memory back, by reason. */
  readonly aborts: Readonly<Partial<Record<AbortReason, number>>>;
  /**
   * Seconds from the moment the kernel accepted a zero-copy send to its release; one observation for
   * each of `totals.notifications`. Notifications that no callback waits for may be read 2 ms late, and those
   * read together share one time stamp.
   */
  readonly releaseLatency: Histogram;
}

/**
 * Totals over all sockets of this environment: the main thread and every worker have their own. A call takes some
 * microseconds, and one more for each open socket; each send pays one look at the clock. Works without the addon,
 * too.
 */
export function metrics(): ProcessMetrics {
  accounts.sweep();
  const reactor = startedReactor();
  return Object.freeze({
    totals: snapshotOf(accounts.sums()),
    openSockets: accounts.size,
    ...accounts.pending(),
    pinnedBytes: reactor?.processPinned ?? 0,
    registeredBytes: reactor?.native.describe().registeredBytes ?? 0,
    refusedRegistrations: refusedRegistrations.snapshot(),
    sharedCopies: shared.copies,
    sharedSends: shared.sends,
    budgetBytes: reactor?.processBudget ?? 0,
    openPorts: reactor?.native.describe().openPorts ?? 0,
    files: fileTotals(),
    fallbacks: fallbacks.snapshot(),
    aborts: aborts.snapshot(),
    releaseLatency: releaseLatency.snapshot(),
  });
}
