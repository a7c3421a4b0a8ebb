// The state behind the overrides of one upgraded net.Socket: how a write of the stream becomes a write of the
// connection, or a copy; which callbacks are held. Lean until the first large write.
import { isUint8Array } from 'node:util/types';
import type net from 'node:net';
import { bufferDetached } from '../errors.js';
import { hasDetached } from '../memory/detached.js';
import { dueWatches, watchChunks, type MutationSubject } from '../memory/mutation.js';
import { pinPieces } from '../memory/pool-pins.js';
import type { EngineName, Reason, State } from '../names.js';
import { DENIED, LARGE, SMALL, UNPINNABLE } from '../native/stream-words.js';
import {
  SocketControl,
  type ControlSource,
  type Thresholds,
  type ZeroCopyStats,
} from '../observe/control.js';
import { NO_BYTES, snapshotOf, zeroCounters, type Counters } from '../observe/counters.js';
import { accounts, type SocketAccount } from '../observe/aggregate.js';
import type { SendTracker } from '../observe/report.js';
import { Connection } from '../send/connection.js';
import { leastAnswerBytes } from '../send/decide.js';
import { HeldCallbacks, runReleaseCallback } from '../send/release-callbacks.js';
import type { QueuedWrite } from '../send/send-batch.js';
import { bytesDispatched, descriptorOf, handleOf, isPipe } from '../node/internals.js';
import { limitRate, rateLimit } from '../send/pacing.js';
import type { ResolvedOptions } from '../send/options.js';
import type { StreamPort } from '../send/port.js';
import { isUnpinnable } from '../memory/unpinnable.js';
import { Kept, stageIn, Write, type WriteCallback } from '../send/write.js';
import { afterConnect, type Chunk, type Trackers } from './chunks.js';
import { copyAll, type CopyHost } from './copy-now.js';
import { settleQueued } from './shared-calls.js';
import type { EndHost } from './http-end.js';
import type { OwnWrites } from './own-writes.js';

/** Methods of the socket as they were before the upgrade. */
export interface Base {
  readonly write: net.Socket['write'];
  readonly end: net.Socket['end'];
  readonly connect: net.Socket['connect'];
  readonly _write: net.Socket['_write'];
  readonly _writev: NonNullable<net.Socket['_writev']>;
  readonly _destroy: net.Socket['_destroy'];
  readonly resetAndDestroy: net.Socket['resetAndDestroy'];
  readonly setTimeout: net.Socket['setTimeout'];
  readonly setNoDelay: net.Socket['setNoDelay'];
  readonly ref: net.Socket['ref'];
  readonly unref: net.Socket['unref'];
}

export const upgradeOf = Symbol('msg-zerocopy.tcp');

export type Upgraded = net.Socket & { [upgradeOf]: TcpUpgrade };

export class TcpUpgrade
  implements ControlSource, CopyHost, EndHost, SocketAccount, MutationSubject
{
  /** What is absent until it is needed keeps idle sockets light. From the first large write on: */
  connection: Connection | undefined;
  /** From the first send() on. */
  trackers: Trackers | undefined;
  /** From the first write on. */
  own: OwnWrites | undefined;
  /** The http message whose end() runs at present. */
  ending: object | undefined;
  /** A write that shares a call with those of other connections, at the end of the turn. */
  queued: QueuedWrite | undefined;
  /** Bytes that were sent past libuv. */
  dispatched = NO_BYTES;
  counted: Readonly<Counters> | undefined;
  countedByNode: number | undefined;
  /** What was copied past libuv, and what libuv wrote of the connections before the present one. */
  #bytesBefore = NO_BYTES;
  /** All of these and of the present connection, as it was asked last. */
  #bytesByNode: number | undefined;
  #held: HeldCallbacks | undefined;
  #control: SocketControl | undefined;
  #limitsRateLater = false;

  constructor(
    readonly socket: net.Socket,
    readonly base: Base,
    public options: ResolvedOptions,
  ) {
    const handle = handleOf(socket);
    if (handle !== undefined) {
      if (isPipe(handle)) this.ensureConnection().health.refused = 'not-tcp';
      accounts.open(this);
    }
    this.#limitRate();
  }

  /** What sends its large writes. Made by the first that needs it. */
  ensureConnection(): Connection {
    return (this.connection ??= new Connection(this.socket, this.options, this));
  }

  /** New options: what waits in the stream was passed under the old ones, and is copied. */
  configure(options: ResolvedOptions): void {
    this.options = options;
    this.#limitRate();
    this.connection?.configure(options);
    this.own?.disown();
  }

  // --- what the control shows -------------------------------------------------------------------

  get control(): SocketControl {
    return (this.#control ??= new SocketControl(this));
  }
  get engineName(): EngineName {
    return this.ensureConnection().engine;
  }
  get state(): State {
    return this.socket.destroyed && this.pendingSends === 0
      ? 'closed'
      : this.ensureConnection().state;
  }
  get reason(): Reason | undefined {
    return this.ensureConnection().reason;
  }
  get pendingBytes(): number {
    return this.connection?.pendingBytes ?? 0;
  }
  get pendingSends(): number {
    return this.connection?.pendingSends ?? 0;
  }
  thresholds(): Thresholds {
    return { stream: this.options.threshold, response: leastAnswerBytes(this.options) };
  }

  /** Settles when what is written so far has gone to the kernel and been released. */
  async flush(): Promise<void> {
    if (this.socket.writableLength > 0 && !this.socket.destroyed) await this.#allAccepted();
    await this.connection?.flush();
  }

  // Settles when the kernel took all that was passed to the stream so far, or never will.
  #allAccepted(): Promise<void> {
    const { socket, base } = this;
    return new Promise((resolve) => {
      // The callback of an empty write comes behind everything written before it.
      if (socket.writable) base.write.call(socket, '', 'latin1', () => resolve());
      else socket.once('finish', resolve).once('close', () => resolve());
    });
  }

  // --- callbacks --------------------------------------------------------------------------------

  /**
   * Whether a callback that Node calls at acceptance may run then: nothing is pinned or may come to be, and
   * no held callback of an earlier write is still to come, which it must not overtake.
   */
  get quiet(): boolean {
    // Watched memory is compared before a callback, of whichever connection, may change it.
    if (dueWatches.length > 0 || this.#held?.any === true) return false;
    if (this.own?.largeWaits(this.socket.writableLength) === true) return false;
    const port = this.connection?.latest;
    return port === undefined || (port.pinsNothing && port.releases.watches === 0);
  }

  /** Wraps a callback passed with data, so that it fires when the memory is the caller's again. */
  hold(callback: WriteCallback): WriteCallback {
    this.#held ??= new HeldCallbacks((called, error, resource) => {
      const port = this.connection?.latest;
      // Node 26 calls a response's callbacks from one of its own, which was held itself: what that
      // stands for is released, and to queue once more would let later callbacks overtake.
      if (port !== undefined && !port.callbacks.running) {
        port.callAtRelease(called, this.socket, error, resource);
      } else {
        runReleaseCallback({ callback: called, receiver: this.socket, error, resource });
      }
    });
    return this.#held.hold(callback);
  }

  /** Node will not call what hold() answered: the write threw. */
  unhold(held: WriteCallback): void {
    this.#held?.forget(held);
  }

  // --- writing ----------------------------------------------------------------------------------

  get leavesCopiesToNode(): boolean {
    return this.options.engine === 'copy' || this.connection?.health.refused !== undefined;
  }

  get mayQueue(): boolean {
    const { engine } = this.options;
    return engine === 'auto' || engine === 'io_uring';
  }

  copiedNow(bytes: number): void {
    this.dispatched += bytes;
    this.#bytesBefore += bytes;
  }

  /** The kernel took bytes of a file, and of text in front of it, that Node does not count. */
  movedByFile(textBytes: number, fileBytes: number): void {
    this.dispatched += fileBytes;
    this.counting.fileBytes += fileBytes;
    if (textBytes > 0) this.copiedNow(textBytes);
  }

  /** Sends the chunks of a write. */
  write(chunks: readonly Chunk[], callback: WriteCallback, isOwn: boolean): void {
    const wanted = this.trackers?.withoutCancelled(chunks) ?? chunks;
    if (wanted.length === 0) callback();
    else if (hasDetached(wanted)) callback(bufferDetached());
    else this.#send(wanted, callback, isOwn);
  }

  #send(chunks: readonly Chunk[], callback: WriteCallback, isOwn: boolean): void {
    const { options } = this;
    const candidateBytes = this.#candidateBytes(chunks);
    if (candidateBytes < options.floor) return this.#copy(chunks, callback, 'below-threshold');
    if (this.socket.connecting) {
      // Meanwhile a send() may be aborted, or a buffer detached: as a new write.
      afterConnect(this.socket, chunks, callback, () => this.write(chunks, callback, isOwn));
      return;
    }
    const last = chunks[chunks.length - 1]?.chunk;
    const body = typeof last === 'object' ? last : undefined;
    const port = this.ensureConnection().choose(candidateBytes, isOwn, 'own-call', body);
    if (typeof port === 'string') return this.#copy(chunks, callback, port);
    this.#sendMany(chunks, callback, port);
  }

  // The bytes of those chunks that are large enough by themselves.
  #candidateBytes(chunks: readonly Chunk[]): number {
    const { minimumChunk } = this.options;
    let bytes = 0;
    for (const { chunk } of chunks) {
      if (chunk.length >= minimumChunk && !this.#isDenied(chunk)) bytes += chunk.length;
    }
    return bytes;
  }

  #copy(chunks: readonly Chunk[], callback: WriteCallback, reason: Reason): void {
    if (this.trackers?.any === true) this.#report(chunks, reason);
    copyAll(this, chunks, callback);
  }

  // What `source` refused did not count, so that the rest may have been too small.
  #report(chunks: readonly Chunk[], reason: Reason): void {
    for (const { chunk } of chunks) {
      const isDenied = reason === 'below-threshold' && this.#isDenied(chunk);
      this.trackers?.follow(chunk)?.copied(chunk.length, isDenied ? 'source' : reason);
    }
  }

  #isDenied(chunk: Uint8Array | string): boolean {
    const { minimumChunk, source } = this.options;
    return typeof chunk !== 'string' && chunk.length >= minimumChunk && source?.(chunk) === false;
  }

  #sendMany(chunks: readonly Chunk[], callback: WriteCallback, port: StreamPort): void {
    const { minimumChunk, source, detectMutation, pool, maxStagedBytes } = this.options;
    const pieces: Uint8Array[] = [];
    const kinds: number[] = [];
    const given: Uint8Array[] = [];
    const trackers: (SendTracker | undefined)[] = [];
    for (const { chunk, encoding } of chunks) {
      const piece = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
      if (piece.length === 0) continue; // text may be invalid in its encoding
      pieces.push(piece);
      trackers.push(this.trackers?.follow(chunk));
      if (piece.length < minimumChunk) kinds.push(SMALL);
      else if (isUint8Array(chunk) && source?.(chunk) === false) kinds.push(DENIED);
      else {
        kinds.push(isUnpinnable(piece) ? UNPINNABLE : LARGE);
        if (isUint8Array(chunk)) given.push(piece);
      }
    }
    const staged = pool === undefined ? undefined : stageIn(pool, pieces, kinds, maxStagedBytes);
    // Of Node's own pool: a typed array with memory of its own costs a microsecond.
    const ofEach = Buffer.from(kinds);
    const write = new Write(pieces, callback, undefined, ofEach);
    const watch = watchChunks(detectMutation, given, this, port.reactor);
    const pins = pinPieces(pieces);
    if (watch !== undefined || pins !== undefined || staged !== undefined)
      write.kept = new Kept(pins, watch, staged);
    if (trackers.some((tracker) => tracker !== undefined))
      write.followed = { pieces, kinds: ofEach, trackers };
    this.dispatched += write.bytes;
    port.write(write);
  }

  /** Another process is about to get the descriptor, too. */
  share(): void {
    settleQueued(this);
    this.ensureConnection().share();
  }

  // Now, or once the socket is connected, before writes that wait for the connection.
  #limitRate(): void {
    const { maxPacingRate } = this.options;
    if (maxPacingRate === undefined) return;
    const descriptor = this.#descriptor;
    if (descriptor !== undefined) {
      limitRate((native) => native.setPacingRate(descriptor, maxPacingRate));
    } else if (!this.#limitsRateLater) {
      this.#limitsRateLater = true;
      this.socket.prependOnceListener('connect', () => {
        this.#limitsRateLater = false;
        this.#limitRate();
      });
    }
  }

  /** As the kernel has it. */
  get maxPacingRate(): number | undefined {
    const descriptor = this.#descriptor;
    if (descriptor === undefined) return undefined;
    return rateLimit((native) => native.pacingRate(descriptor));
  }

  /** Of a connection over TCP. */
  get #descriptor(): number | undefined {
    const handle = handleOf(this.socket);
    if (handle === undefined || this.socket.connecting || isPipe(handle)) return undefined;
    return descriptorOf(handle);
  }

  /** The socket got another handle: core counts from 0 again, and had `bytesBefore` by the last one. */
  handleReplaced(bytesBefore: number): void {
    this.#bytesBefore += bytesBefore;
    accounts.open(this);
    this.dispatched = NO_BYTES;
    this.connection?.handleReplaced();
    this.#limitRate();
  }

  // --- what it counts, and how it takes part in the sums of its environment ---------------------

  /** What is counted; absent while nothing is. */
  get counters(): Counters | undefined {
    return this.connection?.counters;
  }
  /** The same, to count. */
  get counting(): Counters {
    return this.ensureConnection().counting;
  }
  get bytesByNode(): number {
    const bytes = this.#bytesBefore + bytesDispatched(this.socket);
    // Node reports 0 for a socket whose handle went to another process: keeps what was counted.
    return (this.#bytesByNode = Math.max(this.#bytesByNode ?? 0, bytes));
  }

  /** Notifications that nothing waits for are read late (docs/architecture.md); reading `stats` fetches them. */
  refresh(): void {
    for (const port of this.connection?.ports() ?? []) port.refresh();
  }

  stats(): ZeroCopyStats {
    this.refresh();
    const counters = this.counters ?? zeroCounters();
    // What libuv wrote is what core counts; it costs the fast path nothing.
    const copiedBytes = counters.copiedBytes + this.bytesByNode;
    return snapshotOf({ ...counters, copiedBytes });
  }

  /** The socket was destroyed, or one of its engines closed its descriptor. */
  ended(): void {
    if (this.socket.destroyed && !this.#hasPorts) accounts.end(this);
  }

  get isOver(): boolean {
    const { socket } = this;
    const isConnected = socket.connecting || handleOf(socket) !== undefined;
    return !isConnected && !this.#hasPorts;
  }

  get #hasPorts(): boolean {
    return this.connection !== undefined && this.connection.ports().length > 0;
  }

  /** Memory changed that detectMutation watches. */
  fail(error: Error): boolean {
    const { socket } = this;
    if (socket.destroyed) return false;
    socket.destroy(error);
    return true;
  }
}
