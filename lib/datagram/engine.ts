// Sends the datagrams of one socket, in order: batches by sendmmsg(2), large ones zero-copy. Sends with a callback
// wait for the end of the turn of the event loop, and leave together.
import { constants } from 'node:os';
import { barrier, DatagramQueue, JobSettler, type DatagramJob } from './job.js';
import { isDetached } from '../memory/detached.js';
import { channels, publish } from '../observe/diagnostics.js';
import type { Reason } from '../names.js';
import { addressError, bufferDetached, queueFull } from '../errors.js';
import { ReleaseCallbacks } from '../send/release-callbacks.js';
import { InFlight } from './inflight.js';
import { roomBytes } from '../policy/budget.js';
import { refusesSegmentation } from '../policy/segmentation.js';
import type { PortOwner, Reactor } from '../native/reactor.js';
import { releaseLatency } from '../observe/aggregate.js';
import { bookCopied, DatagramBatch } from './batch.js';
import type { DatagramSender, SenderContext } from './sender.js';
import type { SendKind } from '../policy/adaptive.js';

const { EAGAIN, ECANCELED, EFAULT, ENOBUFS } = constants.errno;

/** After so many sends, read the error queue in passing (docs/performance.md). */
const SENDS_BETWEEN_REAPS = 16;

interface Sent {
  readonly bytes: number;
  /** Absent for the id of a send that failed. */
  readonly job?: DatagramJob;
  readonly payloads: readonly Uint8Array[];
  readonly kind: SendKind;
  readonly acceptedMs: number;
}

export class DatagramEngine implements PortOwner, DatagramSender {
  readonly port: number;
  readonly #reactor: Reactor;
  readonly #host: SenderContext;
  readonly #inflight = new InFlight<Sent>();
  readonly #releaseCallbacks = new ReleaseCallbacks();
  readonly #batch: DatagramBatch;
  readonly #queue = new DatagramQueue();
  #deferred = 0;
  readonly #settler: JobSettler;
  #waiting = false;
  #sendsSinceReap = 0;
  #phase: 'open' | 'closing' | 'closed' = 'open';

  constructor(port: number, host: SenderContext) {
    const { reactor, words } = host;
    this.port = port;
    this.#reactor = reactor;
    this.#host = host;
    const { PIECES_PER_BATCH } = reactor.constants;
    const { floor } = host.zeroCopy;
    this.#batch = new DatagramBatch(words, PIECES_PER_BATCH, floor, (job, index, described) =>
      this.#copyReason(job, index, described),
    );
    this.#settler = new JobSettler(host.socket, () => {
      this.flush();
      this.#settle();
    });
    reactor.adopt(port, this);
    reactor.native.setEager(port, true);
  }

  get queuedBytes(): number {
    return this.#queue.bytes;
  }
  get queuedJobs(): number {
    return this.#queue.size;
  }
  get pendingBytes(): number {
    return this.#inflight.pendingBytes;
  }
  get pendingSends(): number {
    return this.#inflight.pendingSends;
  }

  submit(job: DatagramJob): void {
    const { zeroCopy } = this.#host;
    if (zeroCopy.looksAtChunks) zeroCopy.expect(job, this.#reactor);
    if (this.#queue.bytes + job.bytes > this.#host.maxQueuedBytes && !this.#admits(job)) {
      job.fail(queueFull(this.#host.maxQueuedBytes));
      if (job.callback === undefined) this.#host.counters.failedSends++;
      this.#settler.finish(job);
      return;
    }
    const { segmentSize } = job.metadata;
    if (segmentSize > 0 && this.#host.routes.refuses(job.metadata, segmentSize)) this.#split(job);
    this.#queue.push(job);
    this.#queue.bytes += job.bytes;
    if (job.callback === undefined) {
      this.flush();
      job.stage();
      return;
    }
    this.#settler.expected.push(job);
    if (!this.#waiting) {
      this.#deferred += job.count;
      if (this.#deferred >= this.#host.words.batch) this.flush();
      else if (!this.#settler.isScheduled) this.#settler.schedule();
    }
  }

  #admits(job: DatagramJob): boolean {
    if (this.#fits(job)) return true;
    // Jobs that only wait for the end of the turn are no backlog.
    if (!this.#waiting) this.flush();
    return this.#fits(job);
  }

  #fits(job: DatagramJob): boolean {
    const { size, bytes } = this.#queue;
    // A barrier takes no room in a full queue.
    return size === 0 || job.count === 0 || bytes + job.bytes <= this.#host.maxQueuedBytes;
  }

  flush(): void {
    this.#deferred = 0;
    if (this.#phase === 'closed') return;
    while (!this.#waiting && this.#queue.size > 0) {
      const { head } = this.#queue;
      if (head.next >= head.count) this.#finishHead();
      else this.#sendBatch(head);
    }
    this.#batch.release();
  }

  whenReleased(callback: () => void): void {
    const afterReleases = (): void => {
      this.#releaseCallbacks.add(this.#inflight.nextId, callback, undefined);
      this.#releaseCallbacks.settle(this.#inflight.releasedBelow);
    };
    if (this.#phase !== 'open') afterReleases();
    else this.submit(barrier(afterReleases));
  }

  cancel(job: DatagramJob, error: Error): boolean {
    if (!this.#queue.remove(job)) return false;
    job.fail(error);
    this.#settler.finish(job);
    return true;
  }

  close(): void {
    if (this.#phase !== 'open') return;
    if (!this.#waiting) this.flush();
    for (const job of this.#queue.clear()) {
      const { address, port } = job.metadata;
      job.fail(addressError(-ECANCELED, 'send', address, port));
      job.passed();
      if (job.isDone) this.#settler.schedule();
    }
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
    const { nowMs } = this.#reactor;
    const strays = this.#inflight.complete(lo, hi, (entry, isFirst) => {
      counters.notifications++;
      releaseLatency.observe(nowMs - entry.acceptedMs);
      if (isFirst && copied) counters.kernelCopiedSends++;
      if (!isFirst) counters.unknownSends++;
      bytes += entry.bytes;
      if (entry.kind === 'probe') kind = 'probe';
      const { job } = entry;
      if (job === undefined) return;
      const fate = !isFirst ? 'unknown' : copied ? 'copied' : 'zerocopy';
      job.tracker?.released(entry.bytes, fate, 'msg_zerocopy');
      for (const piece of entry.payloads) if (isDetached(piece)) host.zeroCopy.detachedInFlight();
      job.pending--;
      if (job.isDone) this.#settler.schedule();
    });
    if (strays > 0) {
      counters.strayNotifications += strays;
      host.zeroCopy.strayed();
    }
    this.#reactor.addPinned(-bytes);
    host.zeroCopy.completed(copied, kind);
    if (channels.release.hasSubscribers) publish(channels.release, { socket: host.socket, bytes });
  }

  onLost(entries: number): void {
    this.#host.counters.lostNotifications += entries;
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
    if (this.#phase === 'open') this.#host.receive();
  }

  // --- sending --------------------------------------------------------------------------------

  // One system call: as many datagrams as fit, all copied or all without copying.
  #sendBatch(head: DatagramJob): void {
    const isSmall = head.lengths === undefined && head.bytes < this.#host.zeroCopy.floor;
    const reason = isSmall ? 'below-threshold' : this.#copyReason(head, head.next, 0);
    if (reason === undefined) return this.#sendZeroCopy(head);
    head.copyNext = reason;
    const count = this.#batch.describe(this.#queue, 'copied');
    const { native } = this.#reactor;
    const { pieces } = this.#batch;
    let sent = native.sendDatagrams(this.port, count, 0, ...pieces);
    if (sent === -ENOBUFS && !this.#isFull()) {
      // Space may have become free between the failure and the check.
      sent = native.sendDatagrams(this.port, count, 0, ...pieces);
    }
    if (sent < 0) return this.#copyFailed(head, -sent);
    for (let left = sent; left > 0;) {
      const job = this.#queue.head;
      const { next, count: all } = job;
      const end = Math.min(all, next + left);
      this.#queue.bytes -= bookCopied(this.#host, job, end);
      left -= end - next;
      if (end < all) return;
      this.#finishHead();
    }
  }

  // `described`: bytes of the batch so far that will be pinned.
  #copyReason(job: DatagramJob, index: number, described: number): Reason | undefined {
    if (index === job.next && job.copyNext !== undefined) return job.copyNext;
    const bytes = job.bytesOf(index);
    if (bytes < this.#host.zeroCopy.floor) return 'below-threshold';
    if (job.callback === undefined) return 'no-callback';
    const payloads = job.gathered ? job.payloads : [job.payloads[index] as Uint8Array];
    const reason = this.#host.zeroCopy.copyReason(payloads, bytes);
    if (reason !== undefined) return reason;
    if (this.#room() >= described + bytes) return undefined;
    this.#reapNow();
    if (this.#room() >= described + bytes) return undefined;
    if (described === 0) this.#host.counters.budgetCopies++;
    return 'budget';
  }

  #room(): number {
    return roomBytes(
      this.#inflight.pendingBytes,
      this.#host.zeroCopy.maxPendingBytes,
      this.#reactor.processBudget - this.#reactor.processPinned,
      this.#reactor.pageBytes,
    );
  }

  #copyFailed(job: DatagramJob, errno: number): void {
    if (errno === EAGAIN || (errno === ENOBUFS && this.#isFull())) {
      const armed = this.#reactor.native.arm(this.port);
      this.#waiting = armed >= 0;
      if (armed >= 0) return;
    }
    if (job.metadata.segmentSize > 0 && refusesSegmentation(errno)) {
      job.refusal = { segmentSize: job.metadata.segmentSize, errno };
      this.#split(job);
      return;
    }
    const { address, port } = job.metadata;
    const isGone = errno === EFAULT && job.hasChanged;
    this.#failHead(job, isGone ? bufferDetached() : addressError(-errno, 'send', address, port));
  }

  // A raw socket without IP_HDRINCL says ENOBUFS where others say EAGAIN (net/ipv4/ip_output.c:
  // __ip_append_data). It is writable again below half of its send buffer.
  #isFull(): boolean {
    const { native } = this.#reactor;
    const { SOL_SOCKET, SO_SNDBUF } = native.kernel;
    const queued = native.unacknowledged(this.port);
    return queued * 2 > native.getOption(this.port, SOL_SOCKET, SO_SNDBUF);
  }

  #failHead(job: DatagramJob, error: Error): void {
    this.#queue.bytes -= job.bytesOf(job.next);
    job.skip(error);
    if (job.callback === undefined) this.#host.counters.failedSends++;
    if (job.isSent) this.#finishHead();
  }

  // All of the head went to the kernel; it is done unless the kernel still holds some of it.
  #finishHead(): void {
    const job = this.#queue.shift();
    if (job.count === 0) job.passed();
    if (job.pending === 0 && !this.#settler.isScheduled) this.#settler.schedule();
  }

  #split(job: DatagramJob): void {
    this.#host.counters.softwareSegments += job.splitIntoSegments();
  }

  #sendZeroCopy(head: DatagramJob): void {
    if (this.#sendsSinceReap >= SENDS_BETWEEN_REAPS) this.#reapNow();
    const count = this.#batch.describe(this.#queue, 'zero-copy');
    const before = this.#inflight.pendingSends;
    let sent = this.#trySend(count);
    if (sent === -ENOBUFS) {
      // Unread notifications hold optmem: they are read by now, so try once more.
      this.#host.counters.enobufs++;
      if (this.#inflight.pendingSends < before) sent = this.#trySend(count);
      if (sent === -ENOBUFS) {
        this.#host.zeroCopy.outOfBuffers();
        head.copyNext = 'enobufs';
        return;
      }
    }
    if (sent === -EAGAIN) this.#copyFailed(head, -sent);
    // If the buffer was detached, the copy fails as well and shows it.
    else if (sent === -EFAULT) head.copyNext = 'unpinnable-memory';
    // More pages than fragments (EMSGSIZE), or an error that the copy will get as well.
    else if (sent < 0) head.copyNext = 'send-failed';
  }

  // Sends what is described, and books what went. Answers -errno of the first, or how many.
  #trySend(count: number): number {
    const { native, constants: numbers } = this.#reactor;
    const { pieces } = this.#batch;
    const result = native.sendDatagrams(this.port, count, numbers.SEND_ZEROCOPY, ...pieces);
    const isIdTaken = result >= numbers.ID_TAKEN || result <= -numbers.ID_TAKEN;
    const sent = isIdTaken ? result - Math.sign(result) * numbers.ID_TAKEN : result;
    const { nowMs: acceptedMs } = this.#reactor;
    for (let i = 0; i < sent; i++) this.#bookZeroCopy(acceptedMs);
    if (isIdTaken) {
      // One failed behind the point where it got its id, and that is notified: keep in step.
      this.#host.counters.zeroCopySends++;
      this.#inflight.add({ bytes: 0, payloads: [], kind: 'ordinary', acceptedMs });
    }
    // The addon read the error queue to learn that, and no event will report what it found.
    if (sent < count && sent !== -EAGAIN) this.#reapNow();
    return sent;
  }

  #bookZeroCopy(acceptedMs: number): void {
    // A flush() between two sends comes before the second.
    while (this.#queue.head.isSent) this.#finishHead();
    const job = this.#queue.head;
    const payloads = job.gathered ? job.payloads : [job.payloads[job.next] as Uint8Array];
    const bytes = job.bytesOf(job.next);
    const kind = this.#host.zeroCopy.sent();
    const id = this.#inflight.add({ bytes, job, payloads, kind, acceptedMs });
    this.#sendsSinceReap++;
    this.#reactor.addPinned(bytes);
    const { counters } = this.#host;
    counters.zeroCopySends++;
    counters.zeroCopyBytes += bytes;
    this.#queue.bytes -= bytes;
    job.pending++;
    job.advance(1, this.#host.routes);
    if (job.isSent) this.#queue.shift();
    if (channels.send.hasSubscribers)
      publish(channels.send, { socket: this.#host.socket, id, bytes });
  }

  #reapNow(): void {
    this.#sendsSinceReap = 0;
    if (this.#inflight.pendingSends === 0) return;
    this.#reactor.reap(this.port);
    this.#settler.schedule();
  }

  // --- settling -------------------------------------------------------------------------------

  // Runs callbacks: user code, which may send or close in turn.
  #settle(): void {
    this.#settler.settle();
    if (this.#releaseCallbacks.size > 0)
      this.#releaseCallbacks.settle(this.#inflight.releasedBelow);
  }

  #closeIfReleased(): void {
    if (this.#phase !== 'closing' || this.#inflight.pendingSends > 0) return;
    this.#phase = 'closed';
    this.#reactor.release(this.port);
    this.#host.finished();
  }
}
