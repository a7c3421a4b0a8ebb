// Common to every engine of a TCP connection: keeps the memory of sends until the kernel's notifications,
// hands buffers back in write order, outlives the socket for as long as that takes. Knows nothing of
// net.Socket; asks its host what it may not decide. How bytes reach the kernel is its heirs' business.
import type { AsyncResource } from 'node:async_hooks';
import { nextTick, setImmediate } from '../../node/clock.js';
import { channels, publish, tellAbort } from '../../observe/diagnostics.js';
import type { EngineName, Reason } from '../../names.js';
import type { Job, Segment } from '../job.js';
import { bufferDetached } from '../../errors.js';
import { Handbacks } from '../handbacks.js';
import { InFlight, type SentEntry } from '../inflight.js';
import type { Want } from '../../policy/adaptive.js';
import { roomBytes } from '../../policy/budget.js';
import type { MutationWatch } from '../../memory/mutation.js';
import { pinPieces, pinSegments, unpinPieces, type PoolPiece } from '../../memory/pool-pins.js';
import type { PortOwner, Reactor } from '../../native/reactor.js';
import type { Lease } from '../../memory/staging.js';
import { releaseLatency, type AbortReason } from '../../observe/aggregate.js';
import type { EngineHost, SendKind } from './engine-host.js';
import { JobCursor, type Share } from './job-cursor.js';
import { Stay } from './stay.js';

interface Sent extends SentEntry {
  readonly pieces: readonly Uint8Array[];
  readonly shares: readonly Share[] | undefined;
  readonly kind: SendKind;
  /** Whether a report that the kernel copied speaks of this send. */
  readonly telling: boolean;
  readonly lease: Lease | undefined;
  readonly poolPieces: readonly PoolPiece[] | undefined;
  readonly watch: MutationWatch | undefined;
  readonly acceptedMs: number;
}

type Phase = 'open' | 'lingering' | 'closed';

export abstract class StreamEngine implements PortOwner {
  abstract readonly name: EngineName;
  readonly handbacks = new Handbacks();
  protected readonly inflight: InFlight<Sent>;
  protected cursor: JobCursor | undefined;
  /** Part of a write waits for space in the send buffer. */
  waiting = false;
  #phase: Phase = 'open';
  #job: Job | undefined;
  #jobResource: AsyncResource | undefined;
  #jobPieces: readonly PoolPiece[] | undefined;
  #eager = false;
  #acceptedMs = NaN; // of the last zero-copy send
  readonly #stay: Stay;
  /** Another process has the descriptor, too. */
  shared = false;
  /** Set by every send; the idle sweep clears it. */
  touched = true;

  /** @param firstId the id that the next zero-copy send of this port gets */
  constructor(
    readonly reactor: Reactor,
    readonly port: number,
    readonly host: EngineHost,
    firstId: number,
  ) {
    this.inflight = new InFlight<Sent>(firstId);
    this.#stay = new Stay(reactor, port);
    reactor.adopt(port, this);
  }

  /** Sends what the cursor stands at, as far as the socket takes it. Runs no user code. */
  protected abstract start(): void;
  /** Learns what the kernel released, without running user code. */
  protected abstract reap(): void;
  /** Whether `copied` of a notification speaks of this entry. */
  protected abstract isTold(entry: Sent, isFirst: boolean, copied: boolean): boolean;

  get nextId(): number {
    return this.inflight.nextId;
  }
  get pendingBytes(): number {
    return this.inflight.pendingBytes;
  }
  get pendingSends(): number {
    return this.inflight.pendingSends;
  }
  /** Nothing pending and nobody waiting, nor due to be called: a callback would run at once. */
  get idle(): boolean {
    return this.pinsNothing && this.#job === undefined;
  }
  /** No memory is pinned or will be, and nobody waits for a release. */
  get pinsNothing(): boolean {
    if (this.inflight.pendingSends > 0 || this.handbacks.size > 0) return false;
    return this.#job?.segments.every(({ zeroCopy }) => !zeroCopy) ?? true;
  }
  protected get open(): boolean {
    return this.#phase === 'open';
  }

  /** Sends a job. One at a time: the stream above keeps order. */
  submit(job: Job, resource: () => AsyncResource): void {
    this.touched = true;
    this.#job = job;
    // While it waits, too, a piece that is freed keeps its memory.
    this.#jobPieces = pinSegments(job.segments);
    this.cursor = new JobCursor(job);
    this.start();
    if (this.#job !== undefined) this.#jobResource = resource();
  }

  /** Calls `callback` when everything accepted so far is released. */
  handBack(
    callback: (error?: Error | null) => void,
    receiver: unknown,
    error?: Error | null,
    resource?: AsyncResource,
  ): void {
    this.handbacks.add(this.inflight.nextId, callback, receiver, error, resource);
    if (this.inflight.pendingSends > 0) this.#setEager(true);
    this.handbacks.settle(this.inflight.releasedBelow);
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
    this.#stay.linger(this.host.lingerTimeoutMs, () =>
      this.abort(new Error('linger timeout'), 'linger-timeout'),
    );
  }

  /** Another process gets the descriptor beside this one: the connection is never reset from here. */
  share(): void {
    this.shared = true;
    this.reactor.native.abandon(this.port);
  }

  /** The descriptor goes to another owner: no FIN from here, and no more sends. */
  abandon(reason: Error): void {
    if (this.#phase !== 'open') return;
    this.#failJob(reason);
    if (this.#closeIfReleased()) return;
    this.#phase = 'lingering';
    // No linger clock: its end would reset a connection that is another's to end.
    this.reactor.native.disarm(this.port);
    this.reactor.native.abandon(this.port);
    if (this.shared) this.#stay.giveUpSoon();
    else this.#stay.giveUp();
    this.#setEager(true);
  }

  /** Resets the connection: what was pending is released at once. */
  abort(reason: Error, why: AbortReason): void {
    if (this.#phase === 'closed') return;
    tellAbort(this.host.socket, why, this.pendingBytes);
    this.#failJob(reason);
    this.#phase = 'lingering';
    this.#stay.giveUpSoon();
    this.reactor.native.abort(this.port);
    this.reap();
    // Callbacks run in a later turn: the caller may be in the middle of destroying the socket.
    nextTick(() => this.onRangesDone());
  }

  /** Closes the duplicate of a connection that stays open. Only when idle. */
  detach(): void {
    if (!this.idle) throw new Error('msg-zerocopy: detach of a busy port');
    this.#finish();
  }
  /** Learns what the kernel released, where that costs little. Callbacks due run in a later tick. */
  refresh(): void {}

  setReferenced(referenced: boolean): void {
    if (this.#phase === 'open')
      this.#stay.setReferenced(referenced, this.inflight.pendingSends > 0);
  }

  // --- PortOwner ------------------------------------------------------------------------------

  onRange(lo: number, hi: number, copied: boolean): void {
    const { counters } = this.host;
    let bytes = 0;
    let kind: SendKind = 'ordinary';
    let told = false;
    const { nowMs } = this.reactor;
    const strays = this.inflight.complete(lo, hi, (entry, isFirst) => {
      entry.lease?.release();
      entry.watch?.release();
      if (entry.poolPieces !== undefined) unpinPieces(entry.poolPieces);
      if (entry.bytes === 0) return; // it failed, and took an id all the same
      bytes += entry.bytes;
      counters.notifications++;
      releaseLatency.observe(nowMs - entry.acceptedMs);
      if (entry.kind === 'probe') kind = 'probe';
      const isTold = this.isTold(entry, isFirst, copied);
      told ||= isTold;
      if (!isTold) counters.unknownSends++;
      else if (copied) counters.kernelCopiedSends++;
      if (entry.shares !== undefined) this.#tellTrackers(entry.shares, isTold, copied);
      for (const piece of entry.pieces) if (piece.byteLength === 0) this.host.detachedInFlight();
    });
    counters.strayNotifications += strays;
    this.reactor.addPinned(-bytes);
    if (told) this.host.completed(copied, kind);
    this.#stay.progressed(nowMs);
    if (channels.release.hasSubscribers) {
      publish(channels.release, { socket: this.host.socket, bytes });
    }
  }

  onLost(entries: number): void {
    this.host.counters.lostNotifications += entries;
  }

  onRangesDone(): void {
    if (this.#phase === 'closed') return;
    if (this.handbacks.size > 0 && this.#job === undefined)
      this.host.handingBack(this.reactor.nowMs - this.#acceptedMs, this.pendingSends);
    this.handbacks.settle(this.inflight.releasedBelow);
    if (this.#eager && this.handbacks.size === 0 && this.#phase === 'open') this.#setEager(false);
    if (this.#phase === 'lingering') this.#closeIfReleased();
  }

  onWritable(): void {
    if (this.#phase !== 'open' || !this.waiting) return;
    this.waiting = false;
    if (this.cursor?.changedLength === true) this.settleJob(bufferDetached());
    else this.start();
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

  // --- for the engines ------------------------------------------------------------------------

  /** Waits until the send buffer takes bytes again. 0 or -errno. */
  protected waitForSpace(): number {
    const armed = this.reactor.native.arm(this.port);
    this.waiting = armed >= 0;
    return armed;
  }

  /** Bytes that may be pinned beyond what is. */
  protected room(): number {
    return roomBytes(
      this.inflight.pendingBytes,
      this.host.maxPendingBytes,
      this.reactor.processBudget - this.reactor.processPinned,
      this.reactor.pageBytes,
    );
  }

  /** How much of `wanted` bytes may go zero-copy with `room` left; 0: too little, so copy. */
  protected withinRoom(wanted: number, room: number): number {
    if (room >= wanted) return wanted;
    if (room >= Math.max(1, this.host.threshold)) return room;
    this.host.counters.budgetCopies++;
    return 0;
  }

  /** The kernel refused a zero-copy send for want of room; what of. */
  protected outOfBuffers(): Want {
    const { reactor } = this;
    const want = reactor.processPinned > 0 ? 'enobufs' : 'limit-too-low';
    reactor.outOfBuffers();
    this.host.outOfBuffers(want);
    return want;
  }

  /** Books bytes that the kernel accepted and copied. */
  protected bookCopied(accepted: number, why: Reason): void {
    (this.cursor as JobCursor).advance(accepted, why);
    this.host.progressed();
    this.host.counters.copiedBytes += accepted;
  }

  /**
   * Books a zero-copy send that took an id.
   * @param accepted bytes; 0 for one that failed after it took the id
   * @param telling whether a report that the kernel copied would be true
   */
  protected bookZeroCopy(accepted: number, telling: boolean): void {
    const cursor = this.cursor as JobCursor;
    const { pieces } = cursor.segment as Segment;
    const { counters } = this.host;
    const { lease, watch } = this.#job as Job;
    const shares = accepted > 0 ? cursor.advance(accepted, undefined) : undefined;
    const kind = accepted > 0 && telling ? this.host.sent() : 'ordinary';
    const poolPieces = this.#pinFor(pieces);
    lease?.retain();
    watch?.retain();
    const acceptedMs = (this.#acceptedMs = this.reactor.nowMs);
    const bytes = accepted;
    const sent = { bytes, pieces, shares, kind, telling, lease, poolPieces, watch, acceptedMs };
    const id = this.inflight.add(sent);
    if (accepted === 0) return;
    this.#stay.sent();
    this.host.progressed();
    this.reactor.addPinned(accepted);
    counters.zeroCopySends++;
    counters.zeroCopyBytes += accepted;
    if (channels.send.hasSubscribers) {
      publish(channels.send, { socket: this.host.socket, id, bytes: accepted });
    }
  }

  // The pieces of a job that went as a whole are pinned already.
  #pinFor(pieces: readonly Uint8Array[]): readonly PoolPiece[] | undefined {
    if (this.cursor?.segment !== undefined) return pinPieces(pieces);
    const pinned = this.#jobPieces;
    this.#jobPieces = undefined;
    return pinned;
  }

  protected settleJob(error?: Error): void {
    this.#takeJob()?.(error);
  }

  // --- settling -------------------------------------------------------------------------------

  #tellTrackers(shares: readonly Share[], isTold: boolean, copied: boolean): void {
    const fate = !isTold ? 'unknown' : copied ? 'copied' : 'zerocopy';
    for (const [tracker, bytes] of shares) tracker.released(bytes, fate, this.name);
  }

  // Behind the socket's 'error' and before its 'close', as libuv cancels what is queued when it
  // closes a handle.
  #failJob(reason: Error): void {
    const done = this.#job !== undefined && this.cursor?.segment === undefined;
    const accepted = this.#takeJob();
    if (accepted === undefined) return;
    if (done) nextTick(accepted);
    else setImmediate(accepted, reason);
  }

  // Ends the present job; answers what tells its writer, in the writer's async context.
  #takeJob(): ((error?: Error) => void) | undefined {
    const job = this.#job;
    const resource = this.#jobResource;
    this.#job = undefined;
    this.#jobResource = undefined;
    this.cursor = undefined;
    this.waiting = false;
    job?.lease?.release();
    job?.watch?.release();
    if (this.#jobPieces !== undefined) unpinPieces(this.#jobPieces);
    this.#jobPieces = undefined;
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

  #closeIfReleased(): boolean {
    // Native may hold ranges that nobody waited for, so it is asked before bytes are called pending.
    if (this.inflight.pendingSends > 0) this.reap();
    if (this.inflight.pendingSends > 0) return false;
    this.#finish();
    return true;
  }

  #finish(): void {
    this.#phase = 'closed';
    this.#stay.end();
    this.reactor.release(this.port);
    this.handbacks.settle(Infinity);
    this.host.finished(this);
  }
}
