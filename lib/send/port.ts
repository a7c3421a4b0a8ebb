// One connection's half of a native port while it sends: a duplicate of its descriptor, the write that waits for
// space, the chunks that the kernel references, the callbacks that wait for their release; and its end, which
// lasts until the memory is free. The same for both engines: how bytes reach the kernel is the addon's.
import { AsyncResource } from 'node:async_hooks';
import { bufferDetached, systemError } from '../errors.js';
import { constants as osConstants } from 'node:os';
import type { Native } from '../native/binding.js';
import type { PortOwner, Reactor } from '../native/reactor.js';
import type { Reason } from '../names.js';
import * as word from '../native/stream-words.js';
import { nextTick, setImmediate } from '../node/clock.js';
import { refreshTimeout } from '../node/internals.js';
import type { AbortReason } from '../observe/aggregate.js';
import type { Counters } from '../observe/counters.js';
import { channels, publishAbort } from '../observe/diagnostics.js';
import type { StreamEngineName } from './decide.js';
import { heedEvents } from './events.js';
import type { ReleaseCallbacks } from './release-callbacks.js';
import { Releases, type PortHost } from './releases.js';
import { endsWrite, type QueueHost, type SendBatch } from './send-batch.js';
import { isWatched } from './reports.js';
import { Stay } from './stay.js';
import { bytesNow, Write, type Kept, type WriteCallback } from './write.js';

const { EFAULT } = osConstants.errno;

type Phase = 'open' | 'lingering' | 'closed';

export class StreamPort implements PortOwner {
  /** Another process has the descriptor, too. */
  shared = false;
  /** Set by every write; the idle sweep clears it. */
  touched = true;
  readonly #native: Native;
  /** The words that the addon keeps for it, from `at` on (native/stream-words.ts). */
  readonly words: Float64Array;
  readonly at: number;
  readonly releases: Releases;
  readonly #stay: Stay;
  #phase: Phase = 'open';
  /** The write that waits for space. */
  #write: Write | undefined;
  /** A write that shares a call is not sent yet. */
  #isQueued = false;

  constructor(
    readonly reactor: Reactor,
    readonly index: number,
    readonly engine: StreamEngineName,
    readonly host: PortHost,
  ) {
    this.#native = reactor.native;
    const { words, at } = reactor.wordsOf(index);
    this.words = words;
    this.at = at;
    this.#stay = new Stay(reactor, index);
    this.releases = new Releases(reactor, index, words, at, engine, host);
    reactor.adopt(index, this);
    this.configure();
  }

  /** The options changed. */
  configure(): void {
    const { maxPendingBytes, threshold, maxStagedBytes } = this.host.options;
    this.#native.setLimits(this.index, maxPendingBytes, threshold, maxStagedBytes);
  }

  // --- what is pending --------------------------------------------------------------------------

  /** The id of the next zero-copy send. */
  get nextId(): number {
    return this.#word(word.NEXT_ID);
  }
  get pendingBytes(): number {
    return this.#phase === 'closed' ? 0 : this.#word(word.PENDING_BYTES);
  }
  get pendingSends(): number {
    return this.#phase === 'closed' ? 0 : this.#word(word.PENDING_SENDS);
  }
  get callbacks(): ReleaseCallbacks {
    return this.releases.callbacks;
  }
  /** No memory is pinned or about to be, and no callback waits for a release. */
  get pinsNothing(): boolean {
    if (this.#write !== undefined || this.#isQueued) return false;
    return this.pendingSends === 0 && this.callbacks.size === 0;
  }
  /** Part of a write waits for space. */
  get waiting(): boolean {
    return this.#write !== undefined;
  }
  /** Adds what it has counted. */
  addCounters(counters: Counters): void {
    if (this.#phase !== 'closed') word.addWords(counters, this.words, this.at);
  }

  #word(which: number): number {
    return this.words[this.at + which] as number;
  }

  // --- writing ----------------------------------------------------------------------------------

  /**
   * Writes one chunk, behind a header in latin1 where there is one. `callback`: when the kernel took all of it, or
   * never will. `kept`: held until the release. One at a time. What is rare is asked in words that need no call.
   */
  writeOne(text: string | undefined, body: Uint8Array, callback: WriteCallback, kept?: Kept): void {
    const { words, at, releases, host, index, reactor } = this;
    this.touched = true;
    if (host.socket.timeout) refreshTimeout(host.socket);
    if (releases.count > 0) releases.dropBelow(words[at + word.RELEASED_BELOW] as number);
    const isPlain = !channels.send.hasSubscribers && !channels.release.hasSubscribers;
    const flags = isPlain && host.steady ? 0 : this.#flags();
    const first = words[at + word.NEXT_ID] as number;
    const status =
      text === undefined
        ? this.#native.writeOne(index, body, word.LARGE, 0, flags)
        : this.#native.writeAnswer(index, text, body, word.LARGE, 0, flags);
    if (status !== word.DONE || flags !== 0 || words[at + word.EVENTS] !== 0) {
      const write = new Write(body, callback, text);
      write.firstId = first;
      write.kept = kept;
      return this.#conclude(write, status, 0);
    }
    const next = words[at + word.NEXT_ID] as number;
    if (next !== first) releases.hold(next - 1, body, kept);
    else kept?.release();
    if (!this.#stay.referenced) this.#stay.sent();
    if (releases.awaited || reactor.words[reactor.recordsWait] !== 0) this.#lookSoon();
    callback();
  }

  /**
   * Queues the same for a call that several connections share (send-batch.ts). False: it is to be written at once.
   */
  queueOne(
    host: QueueHost,
    batch: SendBatch,
    text: string,
    body: Uint8Array,
    callback: WriteCallback,
  ): boolean {
    const isPlain = !channels.send.hasSubscribers && !channels.release.hasSubscribers;
    if (!isPlain || !this.host.steady || this.engine !== 'io_uring') return false;
    const number = this.#native.queueAnswer(this.index, text, body);
    if (number < 0) return false;
    this.#begin();
    const write = new Write(body, callback, text);
    write.firstId = this.nextId;
    this.#isQueued = true;
    batch.keep(host, number, (result) => this.#goOn(write, result));
    return true;
  }

  // The shared call is made. @param result bytes that the socket took, or -errno
  #goOn(write: Write, result: number): void {
    this.#isQueued = false;
    if (result === write.bytes) return this.#conclude(write, word.DONE, 0);
    if (endsWrite(result)) return this.#conclude(write, result, 0);
    write.accepted = Math.max(result, 0);
    this.#continue(write);
  }

  /** The same of any write. */
  write(write: Write): void {
    this.#begin();
    write.firstId = this.nextId;
    this.#go(write, 0, this.#flags(write));
  }

  #begin(): void {
    const { socket } = this.host;
    this.touched = true;
    if (socket.timeout) refreshTimeout(socket);
    this.releases.drop();
  }

  #flags(write?: Write): number {
    const probe = this.host.health.probes ? this.reactor.constants.WRITE_PROBE : 0;
    return isWatched() || write?.followed !== undefined ? probe | this.releases.logs() : probe;
  }

  // The call may have read releases of other ports: reports them, and runs this port's callbacks.
  #lookSoon(): void {
    if (this.engine === 'io_uring') this.reactor.deliverSoon();
    if (this.releases.awaited) this.releases.lookSoon(() => this.onRangesDone());
  }

  #go(write: Write, skip: number, flags: number): void {
    const { WRITE_CAUSE_SHIFT } = this.reactor.constants;
    const cause = write.refused === undefined ? 0 : word.ELSEWHERE << WRITE_CAUSE_SHIFT;
    const status = write.call(this.#native, this.index, skip, flags | cause);
    this.#conclude(write, status, skip);
  }

  // Handles the result of a call that began after `skip` bytes.
  #conclude(write: Write, status: number, skip: number): void {
    this.releases.book(write.followed, skip, write);
    if (this.nextId > write.firstId) {
      this.#stay.sent();
      if (this.host.health.probes) this.host.health.probed();
    }
    if (this.#word(word.EVENTS) !== 0) heedEvents(this, write);
    this.#lookSoon();
    if (status === word.AGAIN)
      return this.#go(write, this.#word(word.ACCEPTED), this.releases.logs());
    if (status === word.WAITING) {
      this.#write = write;
      write.accepted = this.#word(word.ACCEPTED);
      write.resource ??= new AsyncResource('MSG_ZEROCOPY_WRITE');
      return;
    }
    this.#endWrite(write);
    if (status === word.DONE) return write.settle();
    const isGone = status === -EFAULT && bytesNow(write) !== write.bytes;
    write.settle(isGone ? bufferDetached() : systemError(status, 'write'));
  }

  // The kernel took all of it, or will take no more.
  #endWrite(write: Write): void {
    this.#write = undefined;
    const { nextId } = this;
    if (nextId > write.firstId) this.releases.hold(nextId - 1, write.chunks, write.kept);
    else write.kept?.release();
  }

  // --- releases ---------------------------------------------------------------------------------

  /** Calls `callback` when everything accepted so far is released. */
  callAtRelease(
    callback: WriteCallback,
    receiver: unknown,
    error?: Error | null,
    resource?: AsyncResource,
  ): void {
    this.releases.callAtRelease(callback, receiver, error, resource);
  }

  /** Drops what is released, and looks how sends went. */
  sweep(): void {
    if (this.#phase === 'closed') return;
    this.releases.drop();
    this.releases.feedHealth();
  }

  /** Reads notifications now. Callbacks that are due run in a later tick. */
  refresh(): void {
    if (this.#phase === 'closed' || this.pendingSends === 0) return;
    this.reactor.reap(this.index);
    nextTick(() => this.onRangesDone());
  }

  // --- PortOwner --------------------------------------------------------------------------------

  onRange(id: number, _last: number, copied: boolean, copiedFlagIsReliable: boolean): void {
    this.releases.released(id, copied, copiedFlagIsReliable);
  }

  onNews(): void {
    if (this.#phase !== 'closed') this.releases.feedHealth();
  }

  onRangesDone(): void {
    if (this.#phase === 'closed') return;
    this.#stay.progressed(this.reactor.nowMs);
    this.releases.feedHealth();
    if (this.#write === undefined) this.releases.tellWriter();
    this.releases.settle();
    if (this.#phase === 'open' && this.callbacks.size === 0) this.releases.setEager(false);
    if (this.#phase === 'lingering') this.#closeIfReleased();
  }

  onWritable(): void {
    const write = this.#write;
    if (this.#phase !== 'open' || write === undefined) return;
    if (this.host.socket.timeout) refreshTimeout(this.host.socket);
    this.#continue(write);
  }

  // Goes on behind the bytes that the kernel took.
  #continue(write: Write): void {
    if (bytesNow(write) !== write.bytes) {
      this.#endWrite(write);
      return write.settle(bufferDetached());
    }
    write.refused = this.#refusal();
    this.#go(write, write.accepted, this.#flags(write));
  }

  #refusal(): Reason | undefined {
    const { health } = this.host;
    const ringRefused = this.engine === 'io_uring' && health.ringRefused;
    return health.refusal() ?? (ringRefused ? 'kernel-unsupported' : undefined);
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

  // --- the end ----------------------------------------------------------------------------------

  setReferenced(referenced: boolean): void {
    if (this.#phase === 'open') this.#stay.setReferenced(referenced, this.pendingSends > 0);
  }

  /** Closes the duplicate of a connection that stays open. False: something is pending. */
  detach(): boolean {
    if (!this.pinsNothing) return false;
    this.#finish();
    return true;
  }

  /**
   * The socket is going away. Nothing pending: the duplicate closes at once, so that FIN or RST are
   * not delayed. Something pending: FIN goes out behind it, and the descriptor stays until released.
   */
  close(reason: Error): void {
    if (this.#phase !== 'open') return;
    this.#failWrite(reason);
    if (this.#closeIfReleased()) return;
    this.#phase = 'lingering';
    this.#native.linger(this.index);
    this.#stay.linger(this.host.options.lingerTimeoutMs, () =>
      this.abort(new Error('linger timeout'), 'linger-timeout'),
    );
  }

  /** Another process gets the descriptor beside this one: the connection is never reset from here. */
  share(): void {
    this.shared = true;
    this.#native.abandon(this.index);
  }

  /** The descriptor goes to another owner: no FIN from here, and no more sends. */
  abandon(reason: Error): void {
    if (this.#phase !== 'open') return;
    this.#failWrite(reason);
    if (this.#closeIfReleased()) return;
    this.#phase = 'lingering';
    // No linger clock: its end would reset a connection that is another's to end.
    this.#native.disarm(this.index);
    this.#native.abandon(this.index);
    if (this.shared) this.#stay.giveUpSoon();
    else this.#stay.giveUp();
    this.releases.setEager(true);
  }

  /** Resets the connection: what was pending is released at once. */
  abort(reason: Error, why: AbortReason): void {
    if (this.#phase === 'closed') return;
    publishAbort(this.host.socket, why, this.pendingBytes);
    this.#failWrite(reason);
    this.#phase = 'lingering';
    this.#stay.giveUpSoon();
    this.#native.abort(this.index);
    this.reactor.reap(this.index);
    // Callbacks run in a later turn: the caller may be in the middle of destroying the socket.
    nextTick(() => this.onRangesDone());
  }

  // Behind the socket's 'error' and before its 'close', as libuv cancels what is queued when it
  // closes a handle.
  #failWrite(reason: Error): void {
    const write = this.#write;
    if (write === undefined) return;
    this.#endWrite(write);
    setImmediate(() => write.settle(reason));
  }

  #closeIfReleased(): boolean {
    // Releases may wait unread: reads them before bytes count as pending.
    if (this.pendingSends > 0) this.reactor.reap(this.index);
    if (this.pendingSends > 0) return false;
    this.#finish();
    return true;
  }

  #finish(): void {
    this.releases.end();
    word.addWords(this.host.counting, this.words, this.at);
    this.#phase = 'closed';
    this.#stay.end();
    this.reactor.release(this.index);
    // Before callbacks, which may read `pendingBytes`.
    this.host.ended(this);
    this.callbacks.settle(Infinity);
  }
}
