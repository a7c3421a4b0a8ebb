// The interface of a datagram socket's engines, and the abort signals that cancel jobs.
import type { DatagramCounters } from '../observe/counters.js';
import type { SegmentationRoutes } from '../policy/segmentation.js';
import type { Reactor } from '../native/reactor.js';
import { abortError } from '../send/arguments.js';
import type { DatagramJob } from './job.js';
import type { DatagramWords } from './metadata.js';
import type { DatagramZeroCopy } from './zero-copy.js';

/** What an engine shares with its socket. */
export interface SenderContext {
  readonly socket: object;
  readonly reactor: Reactor;
  readonly words: DatagramWords;
  readonly counters: DatagramCounters;
  readonly zeroCopy: DatagramZeroCopy;
  readonly routes: SegmentationRoutes;
  /** Bytes that may wait for space in the send buffer. */
  readonly maxQueuedBytes: number;
  /** Datagrams, or the socket's error, wait to be received. */
  readonly receive: () => void;
  /** The descriptor is closed. */
  readonly finished: () => void;
}

/** An engine of a datagram socket: the copying and zero-copying one, or a packet socket's ring. */
export interface DatagramSender {
  readonly port: number;
  readonly queuedBytes: number;
  readonly queuedJobs: number;
  /** What the kernel still references. */
  readonly pendingBytes: number;
  readonly pendingSends: number;
  /**
   * Takes a job. With a callback it may wait until the end of the turn, to leave with others; without one its bytes are
   * sent or copied when this returns. Runs no user code.
   */
  submit(job: DatagramJob): void;
  /** Sends what is queued now. */
  flush(): void;
  /** Drops `job` if nothing of it went out. @returns whether it did */
  cancel(job: DatagramJob, error: Error): boolean;
  /** Calls `callback` when all that was submitted so far is sent and released. */
  whenReleased(callback: () => void): void;
  /** Sends what can be sent at once, fails the rest, and closes when the kernel holds nothing. */
  close(): void;
}

interface Watch {
  readonly jobs: Set<DatagramJob>;
  readonly onAbort: () => void;
}

/** Jobs that an AbortSignal cancels. One listener for each signal, however many sends share it. */
export class AbortJobs {
  readonly #watches = new Map<AbortSignal, Watch>();

  /** Cancels `jobs` in `engine` when the signal aborts; of those that went out in part, nothing. */
  watch(signal: AbortSignal, jobs: readonly DatagramJob[], engine: DatagramSender): void {
    let watch = this.#watches.get(signal);
    if (watch === undefined) {
      const all = new Set<DatagramJob>();
      const onAbort = (): void => {
        for (const job of all) engine.cancel(job, abortError(signal));
      };
      watch = { jobs: all, onAbort };
      this.#watches.set(signal, watch);
      signal.addEventListener('abort', onAbort, { once: true });
    }
    for (const job of jobs) watch.jobs.add(job);
  }

  unwatch(signal: AbortSignal, jobs: readonly DatagramJob[]): void {
    const watch = this.#watches.get(signal);
    if (watch === undefined) return;
    for (const job of jobs) watch.jobs.delete(job);
    if (watch.jobs.size > 0) return;
    this.#watches.delete(signal);
    signal.removeEventListener('abort', watch.onAbort);
  }
}
