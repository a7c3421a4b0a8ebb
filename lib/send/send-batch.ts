// Responses that several connections send in one turn of the event loop share a system call, and so does a message to
// many connections: that saves a server under load a quarter of its work. Any further operation on a
// socket hands its queued response over first, and no response waits for more than 1.5 ms while JavaScript computes
// (native/kernel/send_batch.h). The addon counts whether responses come close enough together.
import { AsyncResource } from 'node:async_hooks';
import type net from 'node:net';
import { constants as osConstants } from 'node:os';
import { isMainThread } from 'node:worker_threads';
import type { Native } from '../native/binding.js';
import { getSubmitRing, SubmitRing } from '../native/submit-ring.js';
import { runInContext } from '../node/callbacks.js';
import { fallbacks } from '../observe/aggregate.js';
import { calledWithinWrite } from '../node/internals.js';

const { EAGAIN, ECANCELED, EFAULT, EINTR, EINVAL, ENOBUFS, ENOMEM, EOPNOTSUPP } = osConstants.errno;

/** The kernel's own ENOTSUPP, which is in no table of names (lib/errors.ts). */
const ENOTSUPP = 524;

/** Errors that end nothing: a call of its own for what is left of the write does what is right for each. */
const PASSING: ReadonlySet<number> = new Set(
  [EAGAIN, ECANCELED, EFAULT, EINTR, EINVAL, ENOBUFS, ENOMEM, EOPNOTSUPP, ENOTSUPP].map(
    (errno) => -errno,
  ),
);

/** Whether the result of a shared call says that the connection takes no more. */
export function endsWrite(result: number): boolean {
  return result < 0 && !PASSING.has(result);
}

/** A socket that may have one queued write. */
export interface QueueHost {
  readonly socket: net.Socket;
  /** Its queued write. */
  queued: QueuedWrite | undefined;
}

/** A write that the addon has. */
export class QueuedWrite extends AsyncResource {
  /** Bytes that the socket took, or -errno; once it is known. */
  accepted: number | undefined;

  /** @param done called with the bytes that the socket took, or -errno */
  constructor(
    readonly host: QueueHost,
    readonly number: number,
    readonly done: (accepted: number) => void,
  ) {
    super('MSG_ZEROCOPY_WRITE');
  }
}

export class SendBatch {
  readonly mostBytes: number;
  readonly #native: Native;
  readonly #results: Int32Array;
  readonly #most: number;
  #opened: boolean | undefined;
  #queued: QueuedWrite[] = [];

  constructor(native: Native) {
    const { MOST_BATCH, MOST_BATCH_BYTES } = native.constants;
    this.#native = native;
    this.#most = MOST_BATCH;
    this.mostBytes = MOST_BATCH_BYTES;
    this.#results = new Int32Array(MOST_BATCH + 1);
    native.shareBatchWords(this.#results);
  }

  /** One word: 1 while responses follow each other closely enough for a shared system call to pay. */
  get busy(): Int32Array {
    return this.#results.subarray(this.#most);
  }

  /** Opens the batch ring for the first response that may share a call. @returns whether it is there */
  open(): boolean {
    return (this.#opened ??= this.#make());
  }

  // The ring is tried as for large responses: where it cannot be had, capabilities() says why.
  #make(): boolean {
    if (!(getSubmitRing() instanceof SubmitRing)) return false;
    if (this.#native.openBatch((count) => this.#finish(count)) < 0) {
      fallbacks.add('io_uring-refused');
      return false;
    }
    this.#watchEnds();
    return true;
  }

  // What ends the process in the middle of a turn, and runs nothing else of ours. Memory is not pinned any more then.
  #watchEnds(): void {
    process.once('exit', () => {
      this.#native.copyBatch();
      // What later listeners of the same event write is sent at once.
      this.#opened = false;
    });
    // What process.kill() calls, which the program may have taken out before.
    this.#copyBefore('_kill' in process ? '_kill' : 'kill');
    // Workers have neither.
    if (!isMainThread) return;
    this.#copyBefore('abort');
    this.#copyBefore('execve');
  }

  #copyBefore(name: '_kill' | 'kill' | 'abort' | 'execve'): void {
    const ending = process as unknown as Partial<
      Record<typeof name, (...args: unknown[]) => unknown>
    >;
    const original = ending[name];
    // Node has execve() since 22.15.
    if (original === undefined) return;
    ending[name] = (...args) => {
      this.#native.copyBatch();
      return Reflect.apply(original, process, args);
    };
  }

  /**
   * Keeps a write that the addon has queued.
   * @param number of its result; what the write sends stays until `host.queued` is gone, as does its descriptor
   * @param done called with the bytes that the socket took, or -errno, in the present async context
   */
  keep(host: QueueHost, number: number, done: (accepted: number) => void): void {
    host.queued = this.#queued[number] = new QueuedWrite(host, number, done);
  }

  /** Submits what is queued, without reporting results yet. */
  submit(): void {
    if (this.#opened === true) this.#native.submitBatch();
  }

  /** Submits what is queued, and reports the result of `queued`. */
  settle(queued: QueuedWrite): void {
    if (queued.accepted === undefined) {
      this.#native.submitBatch();
      queued.accepted = this.#results[queued.number] as number;
    }
    calledWithinWrite(queued.host.socket, () => tell(queued));
  }

  #finish(count: number): void {
    const queued = this.#queued;
    this.#queued = [];
    // The callbacks may queue new writes, which reuse numbers and results, and may settle others of these.
    for (let i = 0; i < count; i++) {
      (queued[i] as QueuedWrite).accepted = this.#results[i] as number;
    }
    for (const one of queued) tell(one);
  }
}

function tell(queued: QueuedWrite): void {
  const { host } = queued;
  // It was settled before its turn ended.
  if (host.queued !== queued) return;
  host.queued = undefined;
  runInContext(queued, queued.done, undefined, queued.accepted as number);
}
