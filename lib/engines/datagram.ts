// Sends the datagrams of one socket, in order: batches by sendmmsg(2), large ones alone and
// zero-copy. Sends of one turn of the loop that somebody waits for are joined.
import { constants } from 'node:os';
import { DatagramJob, settleJob } from '../datagram-job.js';
import { isDetached } from '../detached.js';
import { channels, publish } from '../diagnostics.js';
import type { Reason } from '../engine.js';
import { PLAIN, type DatagramWords } from '../envelope.js';
import { addressError, bufferDetached, queueFull } from '../errors.js';
import { Handbacks } from '../handbacks.js';
import { InFlight } from '../inflight.js';
import { roomBytes } from '../policy/budget.js';
import type { PortOwner, Reactor } from '../reactor.js';
import { refusesSegmentation } from '../policy/segmentation.js';
import type { DatagramHost, DatagramSender } from './datagram-host.js';
import type { SendKind } from './engine-host.js';

const { EAGAIN, ECANCELED, EFAULT, ENOBUFS } = constants.errno;

/** After so many sends the error queue is read in passing (docs/performance.md). */
const SENDS_BETWEEN_REAPS = 16;

interface Sent {
  readonly bytes: number;
  /** Absent for the id of a send that failed. */
  readonly job?: DatagramJob;
  readonly payloads: readonly Uint8Array[];
  readonly kind: SendKind;
}

export class DatagramEngine implements PortOwner, DatagramSender {
  readonly port: number;
  readonly #reactor: Reactor;
  readonly #words: DatagramWords;
  readonly #host: DatagramHost;
  readonly #inflight = new InFlight<Sent>();
  readonly #handbacks = new Handbacks();
  readonly #pieces: Uint8Array[] = [];
  #queue: DatagramJob[] = [];
  #head = 0;
  #queuedBytes = 0;
  #deferred = 0;
  #finished: DatagramJob[] = [];
  #tickScheduled = false;
  #waiting = false;
  #sendsSinceReap = 0;
  #phase: 'open' | 'closing' | 'closed' = 'open';

  constructor(port: number, reactor: Reactor, words: DatagramWords, host: DatagramHost) {
    this.port = port;
    this.#reactor = reactor;
    this.#words = words;
    this.#host = host;
    reactor.adopt(port, this);
    reactor.native.setEager(port, true);
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }
  get queuedJobs(): number {
    return this.#queue.length - this.#head;
  }
  get pendingBytes(): number {
    return this.#inflight.pendingBytes;
  }
  get pendingSends(): number {
    return this.#inflight.pendingSends;
  }
  get idle(): boolean {
    return this.queuedJobs === 0 && this.pendingSends === 0 && this.#finished.length === 0;
  }

  submit(job: DatagramJob): void {
    const backlog = this.#queuedBytes;
    if (backlog > 0 && backlog + job.bytes > this.#host.maxQueuedBytes) {
      // What only waits for the end of the turn is no backlog.
      if (!this.#waiting) this.flush();
      if (this.#queuedBytes > 0 && this.#queuedBytes + job.bytes > this.#host.maxQueuedBytes) {
        job.fail(queueFull(this.#host.maxQueuedBytes));
        this.#finish(job);
        return;
      }
    }
    const { segmentSize } = job.envelope;
    if (segmentSize > 0 && this.#host.routes.refuses(job.envelope, segmentSize)) this.#split(job);
    this.#queue.push(job);
    this.#queuedBytes += job.bytes;
    if (job.callback === undefined) {
      this.flush();
      job.stage();
    } else if (!this.#waiting) {
      this.#deferred += job.count;
      if (this.#deferred >= this.#words.batch) this.flush();
      else this.#scheduleTick();
    }
  }

  flush(): void {
    this.#deferred = 0;
    if (this.#phase === 'closed') return;
    while (!this.#waiting && this.queuedJobs > 0) {
      if ((this.#queue[this.#head] as DatagramJob).isSent) this.#finishHead();
      else this.#sendBatch();
    }
  }

  whenReleased(callback: () => void): void {
    const afterReleases = (): void => {
      this.#handbacks.add(this.#inflight.nextId, callback, undefined);
      this.#handbacks.settle(this.#inflight.releasedBelow);
    };
    if (this.#phase !== 'open') afterReleases();
    else this.submit(barrier(afterReleases));
  }

  cancel(job: DatagramJob, error: Error): boolean {
    const at = this.#queue.indexOf(job, this.#head);
    if (at < 0 || job.next > 0) return false;
    this.#queue.splice(at, 1);
    this.#queuedBytes -= job.bytes;
    job.fail(error);
    this.#finish(job);
    return true;
  }

  close(): void {
    if (this.#phase !== 'open') return;
    if (!this.#waiting) this.flush();
    for (let i = this.#head; i < this.#queue.length; i++) {
      const job = this.#queue[i] as DatagramJob;
      const { address, port } = job.envelope;
      job.fail(addressError(-ECANCELED, 'send', address, port));
      if (job.isDone) this.#finish(job);
    }
    this.#queue = [];
    this.#head = 0;
    this.#queuedBytes = 0;
    this.#phase = 'closing';
    this.#reapNow();
    this.#closeIfReleased();
  }

  // --- PortOwner ------------------------------------------------------------------------------

  onRange(lo: number, hi: number, copied: boolean): void {
    const host = this.#host;
    const { counters } = host;
    let bytes = 0;
    let kind: SendKind = 'ordinary';
    const strays = this.#inflight.complete(lo, hi, (entry, isFirst) => {
      counters.notifications++;
      if (isFirst && copied) counters.kernelCopiedSends++;
      if (!isFirst) counters.unknownSends++;
      bytes += entry.bytes;
      if (entry.kind === 'probe') kind = 'probe';
      const { job } = entry;
      if (job === undefined) return;
      const fate = !isFirst ? 'unknown' : copied ? 'copied' : 'zerocopy';
      job.tracker?.released(entry.bytes, fate, 'msg_zerocopy');
      for (const piece of entry.payloads) if (isDetached(piece)) host.detachedInFlight();
      job.pending--;
      if (job.isDone) this.#finish(job);
    });
    if (strays > 0) {
      counters.strayNotifications += strays;
      host.strayed();
    }
    this.#reactor.addPinned(-bytes);
    host.completed(copied, kind);
    if (channels.release.hasSubscribers) publish(channels.release, { socket: host.socket, bytes });
  }

  onRangesDone(): void {
    this.#settle();
    if (this.#phase === 'closing') this.#closeIfReleased();
  }

  onWritable(): void {
    if (this.#phase !== 'open') return;
    this.#waiting = false;
    this.flush();
    this.#settle();
  }

  onHangup(): void {
    this.onWritable();
  }

  onPeerData(): void {}

  onReadable(): void {
    if (this.#phase === 'open') this.#host.onReadable();
  }

  // --- sending --------------------------------------------------------------------------------

  // One system call: as many copied datagrams as fit, or one without copying.
  #sendBatch(): void {
    const head = this.#queue[this.#head] as DatagramJob;
    const reason = this.#copyReason(head, head.next);
    if (reason === undefined) {
      this.#sendZeroCopy(head);
      return;
    }
    head.copyNext = reason;
    const count = this.#describe();
    const sent = this.#reactor.native.sendDatagrams(this.port, this.#pieces, 0, count, 0);
    if (sent >= 0) this.#bookCopied(sent);
    else this.#copyFailed(head, -sent);
  }

  // Describes datagrams from the head of the queue on, until one that goes zero-copy.
  #describe(): number {
    const words = this.#words;
    const pieces = this.#pieces;
    const most = this.#reactor.constants.PIECES_PER_BATCH;
    let slots = 0;
    let used = 0;
    for (let i = this.#head; i < this.#queue.length && slots < words.batch; i++) {
      const job = this.#queue[i] as DatagramJob;
      const { payloads, envelope, gathered, count } = job;
      for (let index = job.next; index < count && slots < words.batch; index++) {
        const parts = gathered ? payloads.length : 1;
        if (used + parts > most) break;
        if (slots > 0 && this.#copyReason(job, index) === undefined) return slots;
        if (gathered) for (const piece of payloads) pieces[used++] = piece;
        else pieces[used++] = payloads[index] as Uint8Array;
        words.write(slots++, envelope, parts, job.bytesOf(index));
      }
      if (used >= most) break;
    }
    return slots;
  }

  #copyReason(job: DatagramJob, index: number): Reason | undefined {
    if (index === job.next && job.copyNext !== undefined) return job.copyNext;
    const bytes = job.bytesOf(index);
    if (bytes < this.#host.threshold) return 'below-threshold';
    if (job.callback === undefined) return 'no-callback';
    const payloads = job.gathered ? job.payloads : [job.payloads[index] as Uint8Array];
    const reason = this.#host.copyReason(payloads, bytes);
    if (reason !== undefined) return reason;
    if (this.#room() >= bytes) return undefined;
    this.#reapNow();
    if (this.#room() >= bytes) return undefined;
    this.#host.counters.budgetCopies++;
    return 'budget';
  }

  #room(): number {
    return roomBytes(
      this.#inflight.pendingBytes,
      this.#host.maxPendingBytes,
      this.#reactor.processPinned,
      this.#reactor.processBudget,
    );
  }

  #bookCopied(sent: number): void {
    const { counters } = this.#host;
    for (let left = sent; left > 0;) {
      const job = this.#queue[this.#head] as DatagramJob;
      const reason = job.copyNext ?? 'below-threshold';
      for (; left > 0 && !job.isSent; left--) {
        const bytes = job.bytesOf(job.next);
        counters.copiedBytes += bytes;
        this.#queuedBytes -= bytes;
        job.tracker?.copied(bytes, reason);
        job.advance();
      }
      if (!job.isSent) return;
      this.#finishHead();
    }
  }

  #copyFailed(job: DatagramJob, errno: number): void {
    if (errno === EAGAIN) {
      const armed = this.#reactor.native.arm(this.port);
      this.#waiting = armed >= 0;
      if (armed >= 0) return;
    }
    if (job.envelope.segmentSize > 0 && refusesSegmentation(errno)) {
      this.#host.routes.refused(job.envelope, job.envelope.segmentSize, errno);
      this.#split(job);
      return;
    }
    const { address, port } = job.envelope;
    this.#failHead(
      job,
      errno === EFAULT ? bufferDetached() : addressError(-errno, 'send', address, port),
    );
  }

  #failHead(job: DatagramJob, error: Error): void {
    this.#queuedBytes -= job.bytesOf(job.next);
    job.skip(error);
    if (job.callback === undefined) this.#host.counters.failedSends++;
    if (job.isSent) this.#finishHead();
  }

  // All of the head went to the kernel; it is done unless the kernel still holds some of it.
  #finishHead(): void {
    const job = this.#queue[this.#head] as DatagramJob;
    this.#shift();
    if (job.isDone) this.#finish(job);
  }

  #split(job: DatagramJob): void {
    this.#host.counters.softwareSegments += job.splitIntoSegments();
  }

  #sendZeroCopy(job: DatagramJob): void {
    const { payloads, envelope, gathered } = job;
    const pieces = gathered ? payloads : [payloads[job.next] as Uint8Array];
    const bytes = job.bytesOf(job.next);
    if (++this.#sendsSinceReap > SENDS_BETWEEN_REAPS) this.#reapNow();
    let sent = this.#trySend(job, pieces, bytes);
    if (sent === -ENOBUFS) {
      // Unread notifications hold optmem: read them, then try once more.
      this.#host.counters.enobufs++;
      const before = this.#inflight.pendingSends;
      this.#reapNow();
      if (this.#inflight.pendingSends < before) sent = this.#trySend(job, pieces, bytes);
      if (sent === -ENOBUFS) {
        this.#host.outOfBuffers();
        job.copyNext = 'enobufs';
        return;
      }
    }
    if (sent < 0) {
      if (sent === -EAGAIN || sent === -EFAULT) this.#copyFailed(job, -sent);
      // More pages than fragments (EMSGSIZE), or what a copy will be told as well.
      else job.copyNext = 'send-failed';
      return;
    }
    const entry: Sent = { bytes, job, payloads: pieces, kind: this.#host.sent() };
    const id = this.#inflight.add(entry);
    this.#reactor.addPinned(bytes);
    const { counters } = this.#host;
    counters.zeroCopySends++;
    counters.zeroCopyBytes += bytes;
    this.#queuedBytes -= bytes;
    job.pending++;
    job.advance();
    if (job.isSent) this.#shift();
    if (channels.send.hasSubscribers) {
      publish(channels.send, { socket: this.#host.socket, id, bytes, envelope });
    }
  }

  #trySend(job: DatagramJob, pieces: readonly Uint8Array[], bytes: number): number {
    const { native, constants: numbers } = this.#reactor;
    this.#words.write(0, job.envelope, pieces.length, bytes);
    const sent = native.sendDatagrams(this.port, pieces, 0, 1, numbers.SEND_ZEROCOPY);
    if (sent > -numbers.ID_TAKEN) return sent;
    // It failed behind the point where it got its id, and that is notified: keep in step.
    this.#host.counters.zeroCopySends++;
    this.#inflight.add({ bytes: 0, payloads: [], kind: 'ordinary' });
    return sent + numbers.ID_TAKEN;
  }

  #reapNow(): void {
    this.#sendsSinceReap = 0;
    if (this.#inflight.pendingSends > 0) this.#reactor.reap(this.port);
  }

  // --- settling -------------------------------------------------------------------------------

  #shift(): void {
    this.#head++;
    if (this.#head === this.#queue.length) {
      this.#queue.length = 0;
      this.#head = 0;
    } else if (this.#head >= 1024) {
      this.#queue.splice(0, this.#head);
      this.#head = 0;
    }
  }

  #finish(job: DatagramJob): void {
    if (job.callback === undefined) return;
    this.#finished.push(job);
    this.#scheduleTick();
  }

  #scheduleTick(): void {
    if (this.#tickScheduled) return;
    this.#tickScheduled = true;
    process.nextTick(() => {
      this.#tickScheduled = false;
      this.flush();
      this.#settle();
    });
  }

  // Runs callbacks: user code, which may send or close in turn.
  #settle(): void {
    while (this.#finished.length > 0) {
      const jobs = this.#finished;
      this.#finished = [];
      for (const job of jobs) settleJob(job, this.#host.socket);
    }
    this.#handbacks.settle(this.#inflight.releasedBelow);
  }

  #closeIfReleased(): void {
    if (this.#phase !== 'closing' || this.#inflight.pendingSends > 0) return;
    this.#phase = 'closed';
    this.#reactor.release(this.port);
    this.#host.finished();
  }
}

function barrier(callback: () => void): DatagramJob {
  return new DatagramJob({ kind: 'each', payloads: [], bytes: 0, envelope: PLAIN, callback });
}
