// Jobs that wait for space in a socket, first in first out.
import type { DatagramJob } from './job.js';

/** Beyond this many jobs taken the array is cut: a shift of each would move all. */
const CUT_AFTER = 1024;

export class DatagramQueue {
  #jobs: (DatagramJob | undefined)[] = [];
  #first = 0;
  /** Bytes that are not handed to the kernel yet; those who send keep it. */
  bytes = 0;

  get size(): number {
    return this.#jobs.length - this.#first;
  }

  get head(): DatagramJob {
    return this.#jobs[this.#first] as DatagramJob;
  }

  /** The job `ahead` places behind the head. */
  at(ahead: number): DatagramJob {
    return this.#jobs[this.#first + ahead] as DatagramJob;
  }

  push(job: DatagramJob): void {
    this.#jobs.push(job);
    this.bytes += job.bytes;
  }

  /** Takes the head out, all of which is handed over. */
  shift(): DatagramJob {
    const job = this.head;
    this.#jobs[this.#first++] = undefined;
    if (this.#first === this.#jobs.length) {
      this.#jobs.length = 0;
      this.#first = 0;
    } else if (this.#first >= CUT_AFTER) {
      this.#jobs.splice(0, this.#first);
      this.#first = 0;
    }
    return job;
  }

  /** Takes a job out of which nothing was sent. Whether it was here. */
  remove(job: DatagramJob): boolean {
    const at = this.#jobs.indexOf(job, this.#first);
    if (at < 0 || job.next > 0) return false;
    this.#jobs.splice(at, 1);
    this.bytes -= job.bytes;
    return true;
  }

  addJobs(to: Set<DatagramJob>): void {
    for (let ahead = 0; ahead < this.size; ahead++) to.add(this.at(ahead));
  }

  /** Takes all out. */
  clear(): DatagramJob[] {
    const jobs = this.#jobs.slice(this.#first) as DatagramJob[];
    this.#jobs = [];
    this.#first = 0;
    this.bytes = 0;
    return jobs;
  }
}
