// The MSG_ZEROCOPY engine of one TCP connection: sends jobs on a duplicate of the socket's
// descriptor, keeps their memory until the kernel's notifications, and outlives the socket for as
// long as that takes. Knows nothing of net.Socket; what it may not decide it asks its host.
import type { AsyncResource } from 'node:async_hooks';
import { constants as osConstants } from 'node:os';
import { channels, publish } from '../diagnostics.js';
import type { Job, Reason, Segment } from '../engine.js';
import { bufferDetached, systemError } from '../errors.js';
import { Handbacks } from '../handbacks.js';
import { InFlight, type SentEntry } from '../inflight.js';
import { roomBytes } from '../policy/budget.js';
import { Linger } from '../policy/linger.js';
import type { PortOwner, Reactor } from '../reactor.js';
import type { EngineHost, SendKind } from './engine-host.js';
import { JobCursor, type Share } from './job-cursor.js';

const { EAGAIN, EFAULT, ENOBUFS } = osConstants.errno;
/** UIO_MAXIOV: one sendmsg takes no more pieces. */
const MAX_PIECES = 1024;
/**
 * A program that writes without returning to the event loop gets no wake-up, so the error queue is
 * read after this many sends: read after each they cost a tenth more, read every 16 to 256 the same
 * (docs/performance.md).
 */
const SENDS_BETWEEN_REAPS = 64;

interface Sent extends SentEntry {
  readonly pieces: readonly Uint8Array[];
  readonly shares: readonly Share[] | undefined;
  readonly kind: SendKind;
}

type Phase = 'open' | 'lingering' | 'closed';

export class MsgZeroCopyEngine implements PortOwner {
  readonly handbacks = new Handbacks();
  readonly #inflight: InFlight<Sent>;
  #phase: Phase = 'open';
  #job: Job | undefined;
  #jobResource: AsyncResource | undefined;
  #cursor: JobCursor | undefined;
  #sendsSinceReap = 0;
  #waiting = false;
  #eager = false;
  #linger: Linger | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Set by every send; the idle sweep clears it. */
  touched = true;

  /**
   * @param firstId the id that the kernel gives to the next zero-copy send of this socket
   */
  constructor(
    readonly reactor: Reactor,
    readonly port: number,
    readonly host: EngineHost,
    firstId: number,
  ) {
    this.#inflight = new InFlight<Sent>(firstId);
    reactor.adopt(port, this);
  }

  get nextId(): number {
    return this.#inflight.nextId;
  }
  get pendingBytes(): number {
    return this.#inflight.pendingBytes;
  }
  get pendingSends(): number {
    return this.#inflight.pendingSends;
  }
  /** Part of a write waits for space in the send buffer. */
  get waiting(): boolean {
    return this.#waiting;
  }
  /** Nothing pending and nobody waiting: a callback would run at once. */
  get idle(): boolean {
    return this.#inflight.pendingSends === 0 && this.#job === undefined;
  }

  /** Sends a job. One at a time: the stream above keeps order. */
  submit(job: Job, resource: () => AsyncResource): void {
    this.touched = true;
    this.#job = job;
    this.#cursor = new JobCursor(job);
    this.#pump();
    if (this.#job !== undefined) this.#jobResource = resource();
  }

  /** Calls `callback` when everything accepted so far is released. */
  handBack(
    callback: (error?: Error | null) => void,
    receiver: unknown,
    error?: Error | null,
    resource?: AsyncResource,
  ): void {
    this.handbacks.add(this.#inflight.nextId, callback, receiver, error, resource);
    if (this.#inflight.pendingSends > 0) this.#setEager(true);
    this.handbacks.settle(this.#inflight.releasedBelow);
  }

  /**
   * The socket is going away. Nothing pending: the duplicate closes at once, so that FIN or RST are
   * not delayed. Something pending: FIN goes out behind it, and the descriptor stays until released.
   */
  close(reason: Error): void {
    if (this.#phase !== 'open') return;
    this.#failJob(reason);
    if (this.#closeIfReleased()) return;
    this.#phase = 'lingering';
    this.reactor.native.linger(this.port);
    this.#startLinger();
  }

  /** The descriptor goes to another owner: no FIN from here, and no more sends. */
  abandon(reason: Error): void {
    if (this.#phase !== 'open') return;
    this.#failJob(reason);
    if (this.#closeIfReleased()) return;
    this.#phase = 'lingering';
    this.#setEager(true);
  }

  /** Resets the connection: what was pending is released at once. */
  abort(reason: Error, why: string): void {
    if (this.#phase === 'closed') return;
    const { pendingBytes } = this;
    publish(channels.abort, { socket: this.host.socket, reason: why, pendingBytes });
    this.#failJob(reason);
    this.#phase = 'lingering';
    clearTimeout(this.#timer);
    this.reactor.native.abort(this.port);
    this.reactor.reap(this.port);
    // Callbacks run in a later turn: the caller may be in the middle of destroying the socket.
    process.nextTick(() => this.onRangesDone());
  }

  /** Closes the duplicate of a connection that stays open. Only when idle. */
  detach(): void {
    if (!this.idle) throw new Error('msg-zerocopy: detach of a busy port');
    this.#finish();
  }

  setReferenced(referenced: boolean): void {
    if (this.#phase !== 'closed') this.reactor.native.setReferenced(this.port, referenced);
  }

  // --- PortOwner ------------------------------------------------------------------------------

  onRange(lo: number, hi: number, copied: boolean): void {
    const { counters } = this.host;
    let bytes = 0;
    let kind: SendKind = 'ordinary';
    const strays = this.#inflight.complete(lo, hi, (entry, isFirst) => {
      bytes += entry.bytes;
      counters.notifications++;
      if (entry.kind === 'probe') kind = 'probe';
      // The flag speaks for the first id of a merged range only.
      if (isFirst && copied) counters.kernelCopiedSends++;
      if (!isFirst) counters.unknownSends++;
      if (entry.shares !== undefined) this.#tellTrackers(entry.shares, isFirst, copied);
      for (const piece of entry.pieces) if (piece.byteLength === 0) this.host.detachedInFlight();
    });
    counters.strayNotifications += strays;
    this.reactor.addPinned(-bytes);
    this.host.completed(copied, kind);
    this.#linger?.progressed(performance.now());
    if (channels.release.hasSubscribers) {
      publish(channels.release, { socket: this.host.socket, bytes });
    }
  }

  onRangesDone(): void {
    if (this.#phase === 'closed') return;
    this.handbacks.settle(this.#inflight.releasedBelow);
    if (this.#eager && this.handbacks.size === 0 && this.#phase === 'open') this.#setEager(false);
    if (this.#phase === 'lingering') this.#closeIfReleased();
  }

  onWritable(): void {
    if (this.#phase !== 'open' || !this.#waiting) return;
    this.#waiting = false;
    if (this.#cursor?.changedLength === true) this.#settleJob(bufferDetached());
    else this.#pump();
  }

  onHangup(): void {
    // libuv reads before it writes, so that a reading socket fails with what its read says. Its event
    // may be behind ours in the same turn of the loop.
    setImmediate(() => this.onWritable());
  }

  onPeerData(): void {
    // Core has closed by now and its kernel socket would answer RST: so do we.
    if (this.#phase === 'lingering') this.abort(new Error('late data'), 'peer-data');
  }

  // --- sending --------------------------------------------------------------------------------

  #pump(): void {
    const cursor = this.#cursor as JobCursor;
    while (cursor.segment !== undefined) {
      const accepted = this.#sendSome(cursor, cursor.segment);
      if (accepted < 0) {
        // EFAULT: no readable piece is left, which only a detached buffer brings about.
        this.#settleJob(accepted === -EFAULT ? bufferDetached() : systemError(accepted, 'write'));
        return;
      }
      if (this.#waiting) return;
    }
    this.#settleJob();
  }

  // One sendmsg of what is left of the segment. Answers bytes, or -errno for a dead connection; sets
  // `#waiting` when the send buffer is full.
  #sendSome(cursor: JobCursor, segment: Segment): number {
    const { SEND_MORE } = this.reactor.constants;
    let wanted = cursor.left;
    let copying = segment.zeroCopy ? this.host.refusal() : (segment.reason ?? 'below-threshold');
    if (copying === undefined) {
      const room = this.#roomFor(wanted);
      if (room < wanted && room < Math.max(1, this.host.threshold)) {
        copying = 'budget';
        this.host.counters.budgetCopies++;
      } else {
        wanted = Math.min(wanted, room);
      }
    }
    const more = cursor.hasMoreSegments || wanted < cursor.left ? SEND_MORE : 0;
    let accepted =
      copying === undefined
        ? this.#sendZeroCopy(cursor, wanted, more)
        : this.#send(cursor, wanted, more);
    if (accepted === -ENOBUFS) {
      // The socket stays writable, so waiting for space would spin: the same bytes go by copy.
      if (copying === undefined) this.host.outOfBuffers();
      copying = 'enobufs';
      accepted = this.#send(cursor, wanted, more);
    }
    if (accepted === -EAGAIN || accepted === -ENOBUFS) accepted = 0;
    if (accepted < 0) return accepted;
    const piecesFit = segment.pieces.length - cursor.piece <= MAX_PIECES;
    if (accepted > 0) this.#book(cursor, segment, accepted, copying);
    // Short: full. Sending again before there is space would charge memlock once more for nothing.
    if (accepted < wanted && (piecesFit || accepted === 0)) {
      if (accepted > 0) this.host.counters.partialSends++;
      this.#waiting = true;
      const armed = this.reactor.native.arm(this.port);
      if (armed < 0) return armed;
    }
    return accepted;
  }

  // Room for `wanted` bytes, after looking whether the kernel let go of some where there is too little.
  #roomFor(wanted: number): number {
    const room = this.#room();
    const due = this.#sendsSinceReap >= SENDS_BETWEEN_REAPS;
    if ((room >= wanted && !due) || this.#inflight.pendingSends === 0) return room;
    this.#reapNow();
    return this.#room();
  }

  #reapNow(): void {
    this.#sendsSinceReap = 0;
    this.reactor.reap(this.port);
    // No user code inside a submit.
    if (this.handbacks.size > 0) process.nextTick(() => this.onRangesDone());
  }

  #room(): number {
    return roomBytes(
      this.#inflight.pendingBytes,
      this.host.maxPendingBytes,
      this.reactor.processPinned,
      this.reactor.processBudget,
    );
  }

  #sendZeroCopy(cursor: JobCursor, wanted: number, more: number): number {
    const flags = more | this.reactor.constants.SEND_ZEROCOPY;
    let accepted = this.#send(cursor, wanted, flags);
    if (accepted === -ENOBUFS) {
      // Unread notifications hold optmem: read them, then try once more.
      this.host.counters.enobufs++;
      const before = this.#inflight.pendingSends;
      this.#reapNow();
      if (this.#inflight.pendingSends < before) accepted = this.#send(cursor, wanted, flags);
    }
    return accepted;
  }

  #send(cursor: JobCursor, wanted: number, flags: number): number {
    const { pieces } = cursor.segment as Segment;
    const { native } = this.reactor;
    return native.send(this.port, pieces, cursor.piece, cursor.offset, wanted, flags);
  }

  // Books accepted bytes. `copying`: why they were copied, undefined when they were not.
  #book(cursor: JobCursor, segment: Segment, accepted: number, copying: Reason | undefined): void {
    const { counters } = this.host;
    const shares = cursor.advance(accepted, copying);
    this.host.progressed();
    if (copying !== undefined) {
      counters.copiedBytes += accepted;
      return;
    }
    const kind = this.host.sent();
    const id = this.#inflight.add({ bytes: accepted, pieces: segment.pieces, shares, kind });
    this.#sendsSinceReap++;
    this.reactor.addPinned(accepted);
    counters.zeroCopySends++;
    counters.zeroCopyBytes += accepted;
    if (channels.send.hasSubscribers) {
      publish(channels.send, { socket: this.host.socket, id, bytes: accepted });
    }
  }

  #tellTrackers(shares: readonly Share[], isFirst: boolean, copied: boolean): void {
    const fate = !isFirst ? 'unknown' : copied ? 'copied' : 'zerocopy';
    for (const [tracker, bytes] of shares) tracker.released(bytes, fate, 'msg_zerocopy');
  }

  // --- settling -------------------------------------------------------------------------------

  #settleJob(error?: Error): void {
    this.#takeJob()?.(error);
  }

  // Behind the socket's 'error' and before its 'close', as libuv cancels what is queued when it
  // closes a handle.
  #failJob(reason: Error): void {
    const accepted = this.#takeJob();
    if (accepted !== undefined) setImmediate(accepted, reason);
  }

  // Ends the present job; answers what tells its writer, in the writer's async context.
  #takeJob(): ((error?: Error) => void) | undefined {
    const job = this.#job;
    const resource = this.#jobResource;
    this.#job = undefined;
    this.#jobResource = undefined;
    this.#cursor = undefined;
    this.#waiting = false;
    if (job === undefined || resource === undefined) return job?.accepted;
    return (error) => resource.runInAsyncScope(job.accepted, undefined, error);
  }

  #setEager(eager: boolean): void {
    if (this.#eager === eager) return;
    this.#eager = eager;
    const held = this.reactor.native.setEager(this.port, eager);
    if (held > 0) this.reactor.reap(this.port);
  }

  // --- the end --------------------------------------------------------------------------------

  // Native may hold ranges that nobody waited for, so it is asked before bytes are called pending.
  #isReleased(): boolean {
    if (this.#inflight.pendingSends > 0) this.reactor.reap(this.port);
    return this.#inflight.pendingSends === 0;
  }

  #closeIfReleased(): boolean {
    if (!this.#isReleased()) return false;
    this.#finish();
    return true;
  }

  #finish(): void {
    this.#phase = 'closed';
    clearTimeout(this.#timer);
    this.reactor.release(this.port);
    this.handbacks.settle(Infinity);
    this.host.finished(this);
  }

  #startLinger(): void {
    const unacknowledged = this.reactor.native.unacknowledged(this.port);
    this.#linger = new Linger(this.host.lingerTimeoutMs, performance.now(), unacknowledged);
    this.#scheduleLinger(this.#linger.check(performance.now(), unacknowledged));
  }

  #scheduleLinger(delayMs: number): void {
    // Unreferenced: the port itself keeps the loop alive, unless the socket was unref'ed.
    this.#timer = setTimeout(() => {
      const linger = this.#linger as Linger;
      const wait = linger.check(performance.now(), this.reactor.native.unacknowledged(this.port));
      if (wait === 0) this.abort(new Error('linger timeout'), 'linger-timeout');
      else this.#scheduleLinger(wait);
    }, delayMs).unref();
  }
}
