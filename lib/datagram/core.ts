// What UDP, raw and packet sockets share behind their surface: a descriptor of their own, an engine that sends, a
// receiver, and the teardown. The owner interprets the datagrams.
import { constants } from 'node:os';
import { nextTick, nowMs } from '../node/clock.js';
import type { Native } from '../native/binding.js';
import { accounts, type SocketAccount } from '../observe/aggregate.js';
import { limitRate, rateLimit } from '../send/pacing.js';
import { SocketControl, type ControlSource, type Thresholds } from '../observe/control.js';
import { snapshotOf, zeroDatagramCounters, type DatagramCounters } from '../observe/counters.js';
import type { MutationSubject } from '../memory/mutation.js';
import { DatagramJob, type JobGroup, type JobShape, type SendCallback } from './job.js';
import type { ResolvedDatagramOptions } from './options.js';
import { DatagramReceiver, type DatagramOwner } from './receive.js';
import { AbortJobs, type DatagramSender, type SenderContext } from './sender.js';
import { DatagramZeroCopy } from './zero-copy.js';
import { DatagramEngine } from './engine.js';
import type { EngineName, Reason, State } from '../names.js';
import { DatagramWords } from './metadata.js';
import {
  bufferSizeError,
  notRunning,
  systemError,
  unavailable,
  type ZeroCopyError,
} from '../errors.js';
import { SegmentationRoutes } from '../policy/segmentation.js';
import { getReactor, Reactor } from '../native/reactor.js';
import { SendTracker, type SendReport } from '../observe/report.js';
import { abortError } from '../send/arguments.js';

const { EBADF, EINVAL } = constants.errno;

/** Counters of one datagram socket. A snapshot: read it again for newer numbers. */
export type DatagramStats = Readonly<DatagramCounters>;

/** This environment's reactor. Throws: ERR_ZC_UNAVAILABLE. */
export function requireReactor(what: string): Reactor {
  const reactor = getReactor();
  if (reactor instanceof Reactor) return reactor;
  throw unavailable(what, reactor.why);
}

let sharedWords: DatagramWords | undefined;

export class DatagramCore<Info> implements ControlSource, SocketAccount, MutationSubject {
  readonly reactor: Reactor;
  readonly words: DatagramWords;
  readonly options: ResolvedDatagramOptions;
  readonly counters: DatagramCounters = zeroDatagramCounters();
  readonly zeroCopy: DatagramZeroCopy;
  readonly receiver: DatagramReceiver<Info>;
  readonly routes = new SegmentationRoutes(nowMs);
  readonly socket: DatagramOwner<Info>;
  readonly context: SenderContext;
  readonly control: SocketControl = new SocketControl(this);
  counted: DatagramStats | undefined;
  countedByNode = 0;
  readonly #aborts = new AbortJobs();
  /** The engine, once there is a descriptor. Only this class sets it. */
  engine: DatagramSender | undefined;
  /** close() was called. Only this class sets it. */
  isClosed = false;
  #referenced = true;

  /**
   * @param refused a fixed reason why this socket never goes zero-copy
   * @param engine the engine that sends where zero copy is possible
   */
  constructor(
    socket: DatagramOwner<Info>,
    reactor: Reactor,
    options: ResolvedDatagramOptions,
    refused: Reason | undefined,
    engine: EngineName = 'msg_zerocopy',
  ) {
    this.socket = socket;
    this.reactor = reactor;
    this.words = sharedWords ??= new DatagramWords(reactor.native);
    this.options = options;
    const { counters, words, routes } = this;
    this.receiver = new DatagramReceiver(socket, words, counters);
    const zeroCopy = new DatagramZeroCopy(options, this, counters, refused, engine);
    this.zeroCopy = zeroCopy;
    const { maxQueuedBytes } = options;
    const receive = (): void => this.receiver.receive();
    const finished = (): void => this.#finished();
    this.context = {
      socket,
      reactor,
      words,
      counters,
      zeroCopy,
      routes,
      maxQueuedBytes,
      receive,
      finished,
    };
    this.#closeOnAbort(options.signal);
  }

  #closeOnAbort(signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    const onAbort = (): void => {
      if (!this.isClosed) this.socket.close();
    };
    if (signal.aborted) {
      this.isClosed = true;
      this.receiver.close();
      this.#finished();
    } else {
      signal.addEventListener('abort', onAbort, { once: true });
      this.socket.once('close', () => signal.removeEventListener('abort', onAbort));
    }
  }

  // --- the descriptor ---------------------------------------------------------------------------

  /**
   * @param batch datagrams to receive with one system call
   * @param engine the sender; default the engine of all sockets
   */
  attach(port: number, batch = this.words.receiveBatch, engine?: DatagramSender): void {
    this.engine = engine ?? new DatagramEngine(port, this.context);
    this.receiver.open(port, batch);
    if (!this.#referenced) this.native.setReferenced(port, false);
    accounts.open(this);
    this.zeroCopy.opened(() => this.#enableZeroCopy());
    const { maxPacingRate } = this.options.zeroCopy;
    if (maxPacingRate !== undefined)
      limitRate((native) => native.setPortPacingRate(port, maxPacingRate));
  }

  get native(): Native {
    return this.reactor.native;
  }

  get isAttached(): boolean {
    return this.engine !== undefined;
  }

  /** Throws: ERR_SOCKET_DGRAM_NOT_RUNNING. */
  checkRunning(): void {
    if (this.isClosed) throw notRunning();
  }

  /** Runs `ask` with the native port. @returns its answer, or -EBADF before bind() and after close() */
  withPort<T>(ask: (native: Native, port: number) => T): T | number {
    if (this.engine === undefined || this.isClosed) return -EBADF;
    return ask(this.native, this.engine.port);
  }

  /** setsockopt(2). Throws: a system error of `syscall`. */
  setOption(syscall: string, level: number, name: number, value: number | Uint8Array): void {
    const set = this.withPort((native, port) => native.setOption(port, level, name, value));
    if (set < 0) throw systemError(set, syscall);
  }

  /** SO_RCVBUF or SO_SNDBUF in bytes; sets it unless `bytes` is 0. */
  bufferSize(which: 'recv' | 'send', bytes: number): number {
    const { SOL_SOCKET, SO_RCVBUF, SO_SNDBUF } = this.native.kernel;
    const name = which === 'recv' ? SO_RCVBUF : SO_SNDBUF;
    const result = this.withPort((native, port) => {
      if (bytes === 0) return native.getOption(port, SOL_SOCKET, name);
      return bytes > 0x7fffffff ? -EINVAL : native.setOption(port, SOL_SOCKET, name, bytes);
    });
    if (result >= 0) return result;
    throw bufferSizeError(result, `uv_${which}_buffer_size`);
  }

  setReferenced(referenced: boolean): void {
    this.#referenced = referenced;
    this.withPort((native, port) => {
      native.setReferenced(port, referenced);
      return 0;
    });
  }

  // --- sending ----------------------------------------------------------------------------------

  submit(shape: JobShape): DatagramJob {
    const job = new DatagramJob(shape);
    (this.engine as DatagramSender).submit(job);
    return job;
  }

  /**
   * Sends groups of datagrams as one promise. Tries all of them.
   * Rejects: with the first error, whose `sentDatagrams` says how many went out, once all memory is the caller's
   * again.
   */
  report(groups: readonly JobGroup[], signal: AbortSignal | undefined): Promise<SendReport> {
    if (signal?.aborted === true) return Promise.reject(abortError(signal));
    const jobs: DatagramJob[] = [];
    const reported = this.#settled(groups, jobs, (shape) => this.submit(shape));
    if (signal === undefined) return reported;
    this.#aborts.watch(signal, jobs, this.engine as DatagramSender);
    return reported.finally(() => this.#aborts.unwatch(signal, jobs));
  }

  /** The same for one group, whose job `start` passes to an engine. */
  reportJob(group: JobGroup, start: (job: DatagramJob) => void): Promise<SendReport> {
    const { payloads, bytes, lengths, metadata, prefix } = group;
    const tracker = new SendTracker(bytes);
    return new Promise((resolve, reject) => {
      const resource = undefined;
      const callback: SendCallback = (error) => {
        if (error === null) resolve(tracker.report());
        else reject(Object.assign(error, { sentDatagrams: job.sent }));
      };
      const job = new DatagramJob({
        payloads,
        bytes,
        lengths,
        metadata,
        prefix,
        callback,
        resource,
        tracker,
      });
      start(job);
    });
  }

  /** The same for jobs that `submit` passes to an engine. */
  reportJobs(
    groups: readonly JobGroup[],
    submit: (shape: JobShape) => DatagramJob,
  ): Promise<SendReport> {
    return this.#settled(groups, [], submit);
  }

  #settled(
    groups: readonly JobGroup[],
    jobs: DatagramJob[],
    submit: (shape: JobShape) => DatagramJob,
  ): Promise<SendReport> {
    const tracker = new SendTracker(groups.reduce((sum, group) => sum + group.bytes, 0));
    if (groups.length === 0) return Promise.resolve(tracker.report());
    return new Promise((resolve, reject) => {
      let left = groups.length;
      let failure: Error | null = null;
      const callback: SendCallback = (error) => {
        failure ??= error;
        if (--left > 0) return;
        if (failure === null) return resolve(tracker.report());
        const sentDatagrams = jobs.reduce((sum, job) => sum + job.sent, 0);
        reject(Object.assign(failure, { sentDatagrams }));
      };
      for (const { payloads, bytes, lengths, metadata, prefix } of groups) {
        // Written out: V8 makes a new hidden class for every spread object.
        const resource = undefined;
        jobs.push(
          submit({ payloads, bytes, lengths, metadata, prefix, callback, resource, tracker }),
        );
      }
    });
  }

  get queuedBytes(): number {
    return this.engine?.queuedBytes ?? 0;
  }

  get queuedSends(): number {
    return this.engine?.queuedJobs ?? 0;
  }

  // --- for socket.zeroCopy, metrics() and detectMutation -----------------------------------------

  get engineName(): EngineName {
    return this.zeroCopy.engineName;
  }
  get state(): State {
    return this.isOver ? 'closed' : this.zeroCopy.state;
  }
  get reason(): Reason | undefined {
    return this.zeroCopy.reason;
  }
  get pendingBytes(): number {
    return this.engine?.pendingBytes ?? 0;
  }
  get pendingSends(): number {
    return this.engine?.pendingSends ?? 0;
  }
  get isOver(): boolean {
    return this.isClosed && this.pendingSends === 0;
  }
  stats(): DatagramStats {
    this.refresh();
    return snapshotOf(this.counters);
  }
  get maxPacingRate(): number | undefined {
    return rateLimit(() => this.withPort((native, port) => native.portPacingRate(port)));
  }
  thresholds(): Thresholds {
    return this.zeroCopy.thresholds();
  }
  get counting(): DatagramCounters {
    return this.counters;
  }
  fail(error: ZeroCopyError): boolean {
    if (this.isClosed) return false;
    this.receiver.emitError(error);
    return true;
  }

  /** Asks the kernel how many datagrams it dropped on this socket. */
  refresh(): void {
    const drops = this.withPort((native, port) => native.receiveDrops(port));
    if (drops >= 0) this.counters.receiveDrops = drops;
  }

  #enableZeroCopy(): Reason | undefined {
    const { SOL_SOCKET, SO_ZEROCOPY } = this.native.kernel;
    const get = (): number =>
      this.withPort((native, port) => native.getOption(port, SOL_SOCKET, SO_ZEROCOPY));
    if (get() > 0) return 'foreign-owner';
    const set = this.withPort((native, port) => native.setOption(port, SOL_SOCKET, SO_ZEROCOPY, 1));
    // A sandbox may accept the call and ignore it: sends would be copied and never notified.
    return set < 0 || get() !== 1 ? 'kernel-unsupported' : undefined;
  }

  flush(): Promise<void> {
    const engine = this.engine;
    if (engine === undefined) return Promise.resolve();
    return new Promise((resolve) => engine.whenReleased(resolve));
  }

  // --- the end ----------------------------------------------------------------------------------

  /** Stops sending and receiving. 'close' comes when the kernel has released all memory. */
  close(): void {
    this.refresh();
    this.receiver.close();
    const engine = this.engine;
    engine?.flush();
    this.isClosed = true;
    if (engine === undefined) this.#finished();
    else engine.close();
  }

  #finished(): void {
    nextTick(() => {
      this.receiver.end();
      accounts.end(this);
      this.socket.emit('close');
    });
  }
}
