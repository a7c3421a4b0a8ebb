// One upgraded net.Socket: the own-property overrides that route large writes to an engine and leave
// everything else to Node, and the state behind them. Lean until the first large write: descriptor,
// SO_ZEROCOPY and epoll entry are taken then.
import { AsyncResource } from 'node:async_hooks';
import type net from 'node:net';
import { afterConnect } from './after-connect.js';
import { ChunkTrackers } from './chunk-trackers.js';
import {
  SocketControl,
  type ControlSource,
  type Thresholds,
  type ZeroCopyStats,
} from '../observe/control.js';
import { copyAll, type CopyHost } from './copy-now.js';
import { NO_BYTES, type Counters } from '../observe/counters.js';
import { tellFallback, tellResume } from '../observe/diagnostics.js';
import type { EngineName, Reason, State } from '../names.js';
import type { Job } from '../send/job.js';
import type { EngineHost, SendKind } from '../send/engines/engine-host.js';
import type { StreamEngine } from '../send/engines/stream-engine.js';
import { hasDetached } from '../memory/detached.js';
import { bufferDetached } from '../errors.js';
import { runHandback } from '../send/handbacks.js';
import { HeldCallbacks } from '../send/held-callbacks.js';
import type { EndHost } from './http-end.js';
import { firstOfLadder, lookAtLadder, type Standing } from '../send/choose-engine.js';
import { watchSegments } from '../memory/mutation.js';
import * as nodePrivate from '../node/internals.js';
import type { ResolvedOptions } from '../send/options.js';
import { OwnWrites } from './own-writes.js';
import type { Want } from '../policy/adaptive.js';
import { Reactor } from '../native/reactor.js';
import { commonArea, Staging } from '../memory/staging.js';
import { SubmitRing } from '../native/submit-ring.js';
import { TcpAccount } from './account.js';
import { TcpAttachment } from './attachment.js';
import { TcpChoice } from './choice.js';
import type { TcpFiles } from './files.js';
import { TcpHealth } from './health.js';
import { buildSegments, sizeOfAll, worthBytes, type Chunk } from './job.js';
import { allAccepted } from './writes.js';
import { tuning } from '../send/tuning.js';

type WriteCallback = (error?: Error | null) => void;

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
  readonly ref: net.Socket['ref'];
  readonly unref: net.Socket['unref'];
}

export class TcpUpgrade implements EngineHost, ControlSource, CopyHost, EndHost {
  options: ResolvedOptions;
  readonly socket: net.Socket;
  readonly base: Base;
  /** A fixed reason why this socket never goes zero-copy. */
  refused: Reason | undefined;
  readonly account: TcpAccount;
  readonly #health = new TcpHealth();
  readonly #choice: TcpChoice;
  /** As files see it; absent until the first one. */
  files: TcpFiles | undefined;
  /** The engines of this socket; absent until the first large write. */
  attachment: TcpAttachment | undefined;
  #dispatched = NO_BYTES;
  /** The peer has sent something. */
  #hears = false;
  readonly #held = new HeldCallbacks((callback, error, resource) => {
    const engine = this.attachment?.latest;
    // Node 26 calls a response's callbacks from one of its own, which was held itself: what that
    // stands for is released, and to queue once more would let later callbacks overtake.
    if (engine !== undefined && !engine.handbacks.running) {
      engine.handBack(callback, this.socket, error, resource);
    } else {
      runHandback({ callback, receiver: this.socket, error, resource });
    }
  });
  /** The kernel does not send this connection's bytes by the ring. */
  #ringRefused = false;
  /** The refusal that was announced last. */
  #announced: Reason | undefined;
  readonly trackers = new ChunkTrackers();
  readonly own = new OwnWrites();
  #control: SocketControl | undefined;
  ending: object | undefined;

  constructor(socket: net.Socket, base: Base, options: ResolvedOptions) {
    this.socket = socket;
    this.base = base;
    this.options = options;
    this.#choice = new TcpChoice(socket);
    this.account = new TcpAccount(this);
    const handle = nodePrivate.handleOf(socket);
    if (handle !== undefined && nodePrivate.isPipe(handle)) this.refused = 'not-tcp';
  }

  // --- what the control shows -------------------------------------------------------------------

  get control(): SocketControl {
    return (this.#control ??= new SocketControl(this));
  }

  get engineName(): EngineName {
    const means = this.#seen();
    if (typeof means === 'string' || this.#health.reason !== undefined) return 'copy';
    return means instanceof Reactor ? 'msg_zerocopy' : 'io_uring';
  }

  get state(): State {
    if (this.socket.destroyed && this.pendingSends === 0) return 'closed';
    const standing = this.#seen();
    if (typeof standing === 'string') return standing === 'fd-limit' ? 'paused' : 'unsupported';
    return this.#health.state;
  }

  get reason(): Reason | undefined {
    const standing = this.#seen();
    return typeof standing === 'string' ? standing : this.#health.reason;
  }

  get pendingBytes(): number {
    return this.account.pendingBytes;
  }

  get pendingSends(): number {
    return this.account.pendingSends;
  }

  stats(): ZeroCopyStats {
    return this.account.stats();
  }

  thresholds(): Thresholds {
    return this.#choice.thresholds(this.engineName, this.options);
  }

  /** Settles when what is written so far has gone to the kernel and been released. */
  async flush(): Promise<void> {
    if (this.socket.writableLength > 0 && !this.socket.destroyed) await allAccepted(this);
    await this.attachment?.flush();
  }

  // --- EngineHost -------------------------------------------------------------------------------

  get counters(): Counters {
    return this.account.counting;
  }
  get maxPendingBytes(): number {
    return this.options.maxPendingBytes;
  }
  get lingerTimeoutMs(): number {
    return this.options.lingerTimeoutMs;
  }
  get threshold(): number {
    return this.options.threshold;
  }
  get minimumChunk(): number {
    return this.options.minimumChunk;
  }

  refusal(): Reason | undefined {
    return this.refused ?? this.#health.refusal();
  }

  sent(): SendKind {
    return this.#health.sent();
  }

  completed(copied: boolean, kind: SendKind): void {
    const changed = this.#health.completed(copied, kind, this.options.insists);
    if (changed === 'paused') tellFallback(this.socket, 'kernel-copied');
    if (changed === 'active') tellResume(this.socket);
  }

  outOfBuffers(want: Want): void {
    this.#health.outOfBuffers(want);
    tellFallback(this.socket, want);
  }

  engineRefused(engine: EngineName): void {
    if (engine === 'io_uring') this.#ringRefused = true;
    else this.refused = this.#announced = 'kernel-unsupported';
    tellFallback(this.socket, 'kernel-unsupported');
  }

  handingBack(waitMs: number, others: number): void {
    this.#health.handingBack(this, waitMs, others);
  }

  progressed(): void {
    if (!this.socket.destroyed) nodePrivate.refreshTimeout(this.socket);
  }

  detachedInFlight(): void {
    this.account.detachedInFlight();
  }

  finished(engine: unknown): void {
    this.attachment?.finished(engine);
    this.account.ended();
  }

  // --- writing ----------------------------------------------------------------------------------

  /**
   * Whether a callback that Node calls at acceptance may run then: nothing is pinned or may come to be, and
   * no held callback of an earlier write is still to come, which it must not overtake.
   */
  get quiet(): boolean {
    if (this.#held.any || this.own.largeWaits(this.socket.writableLength)) return false;
    return this.attachment?.latest?.pinsNothing ?? true;
  }

  /** Wraps a callback passed with data, so that it fires when the memory is the caller's again. */
  hold(callback: WriteCallback): WriteCallback {
    return this.#held.hold(callback);
  }

  /** Node will not call what hold() answered: the write threw. */
  unhold(held: WriteCallback): void {
    this.#held.forget(held);
  }

  get leavesCopiesToNode(): boolean {
    return this.options.engine === 'copy' || this.refused !== undefined;
  }

  copiedNow(bytes: number): void {
    this.#dispatched += bytes;
    this.account.copiedNow(bytes);
  }

  /** The kernel took bytes of a file, and of text in front of it, that Node does not count. */
  movedByFile(textBytes: number, fileBytes: number): void {
    this.#dispatched += fileBytes;
    this.counters.fileBytes += fileBytes;
    if (textBytes > 0) this.copiedNow(textBytes);
  }

  /** Another process is about to get the descriptor, too: from here on everything is copied. */
  share(): void {
    // First: what of the present write waits for space goes by copy as well.
    this.refused ??= this.#refuse('shared-descriptor');
    this.attachment?.share();
  }

  /** Sends the chunks of a write, by the engine or by copy. @param refused why not by the engine */
  write(chunks: readonly Chunk[], callback: WriteCallback, refused?: Reason): void {
    const wanted = this.trackers.withoutCancelled(chunks);
    if (wanted.length === 0) callback();
    else if (hasDetached(wanted)) callback(bufferDetached());
    else this.#send(wanted, callback, refused);
  }

  #send(chunks: readonly Chunk[], callback: WriteCallback, refused: Reason | undefined): void {
    tuning.countWrite(sizeOfAll(chunks));
    const worth = worthBytes(chunks, this.options);
    if (worth < this.options.floor) return this.#copy(chunks, callback, 'below-threshold');
    if (this.socket.connecting) {
      // Meanwhile a send() may be aborted, or a buffer detached: as a new write.
      afterConnect(this.socket, chunks, callback, () => this.write(chunks, callback, refused));
      return;
    }
    const means = this.#means();
    if (typeof means === 'string') return this.#copy(chunks, callback, means);
    if (refused !== undefined && this.options.holdCallbacks)
      return this.#copy(chunks, callback, this.#refuse(refused));
    const engine = means instanceof SubmitRing ? 'io_uring' : 'msg_zerocopy';
    const reason = this.#choice.copies(worth, engine, this.options)
      ? 'below-threshold'
      : this.#attach(means);
    if (reason === undefined) this.#submit(chunks, callback);
    else this.#copy(chunks, callback, reason);
  }

  #copy(chunks: readonly Chunk[], callback: WriteCallback, reason: Reason): void {
    this.trackers.copied(chunks, reason);
    copyAll(this, chunks, callback);
  }

  #submit(chunks: readonly Chunk[], callback: WriteCallback): void {
    const engine = this.attachment?.engine as StreamEngine;
    const { trackers } = this;
    const staging = new Staging(this.options.staging);
    const { segments, bytes } = buildSegments(
      chunks,
      this.options,
      trackers.any ? (chunk) => trackers.follow(chunk) : undefined,
      staging,
    );
    const { detectMutation } = this.options;
    const watch = watchSegments(detectMutation, segments, chunks, this.account, engine.reactor);
    const job: Job = { segments, bytes, lease: staging.lease, watch, accepted: callback };
    this.#dispatched += bytes;
    engine.submit(job, newWriteResource);
  }

  // --- the engine -------------------------------------------------------------------------------

  // What this socket sends by, or why it copies.
  #standing(): SubmitRing | Reactor | Reason {
    return this.#copyReason() ?? firstOfLadder(this.options.engine, this.#situation());
  }

  // The same without making a ring; undefined: by one that nobody has used yet.
  #seen(): SubmitRing | Reactor | Reason | undefined {
    return this.#copyReason() ?? lookAtLadder(this.options.engine, this.#situation());
  }

  #copyReason(): Reason | undefined {
    if (this.options.engine === 'copy') return 'disabled';
    if (this.refused !== undefined) return this.refused;
    return this.attachment?.short === true ? 'fd-limit' : undefined;
  }

  #situation(): Standing {
    this.#hears ||= this.socket.bytesRead > 0;
    const registered = this.options.staging !== commonArea;
    return { answersOrRegistered: this.#hears || registered, ringRefused: this.#ringRefused };
  }

  // The same, or why it pauses.
  #means(): SubmitRing | Reactor | Reason {
    const means = this.#standing();
    if (typeof means === 'string') return this.#refuse(means);
    this.#health.follow(this.options.insists, this.socket);
    const refused = this.refusal();
    if (refused !== undefined || !this.#health.waits(this.socket)) return refused ?? means;
    this.counters.waitingCopies++;
    return 'waiting-writer';
  }

  // Why there is no engine; undefined when one is attached.
  #attach(means: SubmitRing | Reactor): Reason | undefined {
    const attachment = (this.attachment ??= new TcpAttachment(this.socket, this));
    const refused = attachment.attach(means);
    if (refused === undefined) {
      this.#announced = undefined;
      return undefined;
    }
    if (refused !== 'fd-limit') this.refused = refused;
    return this.#refuse(refused);
  }

  // Every large write is refused alike: told once. What the program switched off is no news to it.
  #refuse(reason: Reason): Reason {
    if (reason !== this.#announced && reason !== 'disabled') tellFallback(this.socket, reason);
    this.#announced = reason;
    return reason;
  }

  get dispatched(): number {
    return this.#dispatched;
  }

  /** The socket got another handle: core counts from 0 again, and had `bytesBefore` by the last one. */
  handleReplaced(bytesBefore: number): void {
    this.account.connected(bytesBefore);
    this.#dispatched = NO_BYTES;
    this.refused = undefined;
    this.#ringRefused = false;
    this.#hears = false;
    this.#health.leave();
    this.#choice.leave();
  }
}

const newWriteResource = (): AsyncResource => new AsyncResource('MSG_ZEROCOPY_WRITE');
