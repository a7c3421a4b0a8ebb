// Who is to be told that a job is done: callbacks run in the order of their sends, at the end of a turn,
// because no user code runs inside a submit.
import { nextTick } from '../node/clock.js';
import type { DatagramJob } from './job.js';
import { runInContext } from '../node/callbacks.js';
import { compareReleased } from '../memory/mutation.js';

/** Beyond this many jobs told the array is cut: a shift of each would move all. */
const CUT_AFTER = 1024;

export class JobSettler {
  #expected: (DatagramJob | undefined)[] = [];
  #first = 0;
  /** Jobs that wait for no other. */
  #finished: DatagramJob[] = [];
  /** Those who wait for jobs, and which of these are not done. */
  #waits: { readonly jobs: Set<DatagramJob>; readonly callback: () => void }[] = [];
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

  /** The job was taken: its callback runs when it is done, behind those before it. */
  expect(job: DatagramJob): void {
    if (job.callback !== undefined) this.#expected.push(job);
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

  /** Calls back when all of `jobs` went to finish(), behind what waits for them. */
  whenDone(jobs: Set<DatagramJob>, callback: () => void): void {
    this.#waits.push({ jobs, callback });
    this.schedule();
  }

  schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    nextTick(() => {
      this.#isScheduled = false;
      this.#onTick();
    });
  }

  /** Tells those who wait that their memory is theirs again. User code, which may send or close. */
  settle(): void {
    this.#tellCallbacks();
    if (this.#waits.length === 0) return;
    const over = this.#waits.filter(({ jobs }) => jobs.size === 0);
    this.#waits = this.#waits.filter(({ jobs }) => jobs.size > 0);
    for (const { callback } of over) callback();
  }

  #tellCallbacks(): void {
    for (const job of this.#finished.splice(0)) settleJob(job, this.#receiver);
    while (this.#first < this.#expected.length) {
      const job = this.#expected[this.#first] as DatagramJob;
      if (!job.isDone) return;
      // What was told must not live on behind what was not.
      this.#expected[this.#first++] = undefined;
      if (this.#first === this.#expected.length) {
        this.#expected = [];
        this.#first = 0;
      } else if (this.#first >= CUT_AFTER) {
        this.#expected.splice(0, this.#first);
        this.#first = 0;
      }
      settleJob(job, this.#receiver);
    }
  }
}

function settleJob(job: DatagramJob, receiver: object): void {
  const { callback, resource, error, bytes, isSettled } = job;
  if (callback === undefined || isSettled) return;
  job.isSettled = true;
  job.watch?.release();
  compareReleased();
  if (error === undefined || resource === undefined) {
    runInContext(resource, callback, receiver, error ?? null, bytes);
  } else {
    runInContext(resource, callback as (error: Error) => void, receiver, error);
  }
}
