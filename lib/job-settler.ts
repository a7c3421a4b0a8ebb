// Jobs that are done, until the tick in which their callbacks run: no user code runs inside a submit.
import type { DatagramJob } from './datagram-job.js';
import { rethrowLater } from './handbacks.js';

export class JobSettler {
  #done: DatagramJob[] = [];
  #isScheduled = false;
  readonly #receiver: object;
  readonly #onTick: () => void;

  /**
   * @param receiver `this` of callbacks
   * @param onTick runs at the end of the turn after schedule(), and is to call settle()
   */
  constructor(receiver: object, onTick: () => void) {
    this.#receiver = receiver;
    this.#onTick = onTick;
  }

  /** Nothing of the job is sent or referenced any more. */
  add(job: DatagramJob): void {
    if (job.callback === undefined) return;
    this.#done.push(job);
    this.schedule();
  }

  schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    process.nextTick(() => {
      this.#isScheduled = false;
      this.#onTick();
    });
  }

  /** Tells those who wait that their memory is theirs again. User code, which may send or close. */
  settle(): void {
    while (this.#done.length > 0) {
      const jobs = this.#done;
      this.#done = [];
      for (const job of jobs) settleJob(job, this.#receiver);
    }
  }
}

function settleJob(job: DatagramJob, receiver: object): void {
  const { callback, resource, error, bytes } = job;
  if (callback === undefined) return;
  try {
    if (resource === undefined) callback(error ?? null, bytes);
    else if (error === undefined) resource.runInAsyncScope(callback, receiver, null, bytes);
    else resource.runInAsyncScope(callback as (error: Error) => void, receiver, error);
  } catch (thrown) {
    rethrowLater(thrown);
  }
}
