// Jobs that an AbortSignal cancels. One listener for each signal, however many sends share it.
import type { DatagramJob } from './job.js';
import type { DatagramSender } from './host.js';
import { abortError } from '../send/arguments.js';

interface Watch {
  readonly jobs: Set<DatagramJob>;
  readonly onAbort: () => void;
}

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
