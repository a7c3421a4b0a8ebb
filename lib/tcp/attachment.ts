// Which engine works for a socket's present connection, and which still wait for memory of earlier
// ones. Takes the duplicate at the first large write, gives it back when it is idle, and sees to it
// that the kernel's counter of sends is never lost from sight.
import { constants as osConstants } from 'node:os';
import type net from 'node:net';
import { nowMs, setImmediate } from '../node/clock.js';
import type { Reason } from '../names.js';
import type { EngineHost } from '../send/engines/engine-host.js';
import { IoUringEngine } from '../send/engines/io-uring.js';
import { MsgZeroCopyEngine } from '../send/engines/msg-zerocopy.js';
import type { StreamEngine } from '../send/engines/stream-engine.js';
import { handleTaken, streamDestroyed } from '../errors.js';
import { forget, keepWarm, sweepIdle } from '../send/idle-ports.js';
import * as nodePrivate from '../node/internals.js';
import type { Reactor } from '../native/reactor.js';
import { SubmitRing } from '../native/submit-ring.js';

const { EALREADY, EBUSY, EMFILE, ENOMEM, ENOSPC, EPROTONOSUPPORT } = osConstants.errno;

/** How long to wait before descriptors are tried again. */
const DESCRIPTOR_RETRY_MS = 1_000;

export class TcpAttachment {
  #engine: StreamEngine | undefined;
  readonly #leaving = new Set<StreamEngine>();
  #handle: nodePrivate.Handle | undefined;
  #nextId = 0;
  #ownsZeroCopy = false;
  #descriptorsShort = false;
  #retryAt = 0;

  constructor(
    readonly socket: net.Socket,
    readonly host: EngineHost,
  ) {}

  /** The engine of the present connection. */
  get engine(): StreamEngine | undefined {
    return this.#engine;
  }

  /** The engine that accepted last: of the present connection, or of the one that just ended. */
  get latest(): StreamEngine | undefined {
    return this.#engine ?? [...this.#leaving].at(-1);
  }

  /** Every engine that may reference memory. */
  engines(): StreamEngine[] {
    return this.#engine === undefined ? [...this.#leaving] : [...this.#leaving, this.#engine];
  }

  /** Settles when what was accepted so far is released. */
  async flush(): Promise<void> {
    const released = this.engines().map(
      (engine) => new Promise<void>((resolve) => engine.handBack(() => resolve(), undefined)),
    );
    await Promise.all(released);
  }

  /** Too few descriptors are left; tried again after a while. */
  get short(): boolean {
    if (this.#descriptorsShort && nowMs() >= this.#retryAt) this.#descriptorsShort = false;
    return this.#descriptorsShort;
  }

  /**
   * Makes sure that an engine is attached to the present connection.
   * @param means what the engine sends by: the ring, or the reactor for MSG_ZEROCOPY
   * @returns why there is none; undefined when there is
   */
  attach(means: SubmitRing | Reactor): Reason | undefined {
    const handle = nodePrivate.handleOf(this.socket);
    const wanted = means instanceof SubmitRing ? 'io_uring' : 'msg_zerocopy';
    if (this.#engine !== undefined && this.#handle === handle) {
      if (this.#engine.name === wanted || !this.#retire(this.#engine)) return undefined;
    }
    if (handle === undefined) return 'no-descriptor';
    if (this.#handle !== handle) this.#forgetHandle();
    const descriptor = nodePrivate.descriptorOf(handle);
    if (descriptor === undefined) return 'no-descriptor';
    const engine =
      means instanceof SubmitRing
        ? this.#attachToRing(means, descriptor)
        : this.#attachToReactor(means, descriptor);
    if (typeof engine === 'string') return engine;
    this.#handle = handle;
    this.#engine = engine;
    keepWarm(this);
    if (!nodePrivate.isReferenced(handle)) engine.setReferenced(false);
    return undefined;
  }

  #attachToRing(ring: SubmitRing, descriptor: number): StreamEngine | Reason {
    const port = ring.reactor.native.attachToRing(descriptor);
    return port < 0 ? this.#refused(port) : new IoUringEngine(ring, port, this.host);
  }

  #attachToReactor(reactor: Reactor, descriptor: number): StreamEngine | Reason {
    const port = reactor.native.attach(descriptor, this.#ownsZeroCopy);
    if (port < 0) return this.#refused(port);
    this.#ownsZeroCopy = true;
    return new MsgZeroCopyEngine(reactor, port, this.host, this.#nextId);
  }

  // Another engine is wanted. The present one goes when nothing of its is pending, or callbacks of its
  // writes would be overtaken; until then it goes on. False: not yet.
  #retire(engine: StreamEngine): boolean {
    if (!engine.idle) return false;
    this.#detach(engine);
    return true;
  }

  // The kernel's counter of MSG_ZEROCOPY sends goes on: so does ours.
  #detach(engine: StreamEngine): void {
    if (engine.name === 'msg_zerocopy') this.#nextId = engine.nextId;
    engine.detach();
  }

  /** An engine closed its descriptor. */
  finished(engine: unknown): void {
    this.#leaving.delete(engine as StreamEngine);
    if (this.#engine === engine) this.#engine = undefined;
  }

  /** Gives the idle duplicate back. */
  dropIdle(): boolean {
    const engine = this.#engine;
    if (engine === undefined) return true;
    if (engine.touched || !engine.idle) {
      engine.touched = false;
      return false;
    }
    this.#detach(engine);
    return true;
  }

  /** The socket is destroyed; `how`: by destroy() or by resetAndDestroy(). */
  destroyed(how: 'close' | 'reset', error: Error | null): void {
    const engine = this.#engine;
    if (engine === undefined) return;
    const reason = error ?? streamDestroyed();
    this.#leave(engine);
    // Another process goes on with the connection: neither FIN nor RST, as when plain Node closes.
    if (engine.shared) engine.abandon(reason);
    else if (how === 'reset' && !engine.idle) engine.abort(reason, 'reset');
    else engine.close(reason);
  }

  /** Something may have taken the handle off the socket (child.send): no byte of ours may follow. */
  handleMayBeGone(): void {
    const engine = this.#engine;
    if (engine === undefined || this.socket.destroyed) return;
    if (nodePrivate.handleOf(this.socket) === this.#handle) return;
    const error = handleTaken();
    const cut = engine.waiting;
    this.#leave(engine);
    if (cut) engine.abort(error, 'handle-taken');
    else engine.abandon(error);
    if (cut) this.socket.destroy(error);
  }

  /** Whether this descriptor is the socket's. */
  has(descriptor: number): boolean {
    return this.#handle !== undefined && nodePrivate.descriptorOf(this.#handle) === descriptor;
  }

  /**
   * Another process is about to get the descriptor. What was written goes to the kernel before anything
   * that it sends. What is pinned may raise an error event yet, for which libuv reads: where the other
   * process made the descriptor blocking, as libuv does for a child's standard streams, that read would
   * stop the event loop for ever (deps/uv/src/unix/stream.c:uv__stream_io).
   */
  share(): void {
    const engine = this.#engine;
    const handle = this.#handle;
    if (engine === undefined || handle === undefined || engine.shared) return;
    engine.share();
    if (engine.name !== 'msg_zerocopy' || engine.pendingSends === 0) return;
    const letRead = nodePrivate.holdReads(handle);
    // In a later phase of the loop's turn: libuv may have fetched the event already.
    const onReleased = (): void =>
      void setImmediate(() => letRead(nodePrivate.handleOf(this.socket)));
    engine.handBack(onReleased, undefined);
  }

  // A new connection on the same net.Socket: its kernel socket counts from 0.
  #forgetHandle(): void {
    const engine = this.#engine;
    if (engine !== undefined) {
      this.#leave(engine);
      engine.abandon(handleTaken());
    }
    this.#handle = undefined;
    this.#nextId = 0;
    this.#ownsZeroCopy = false;
  }

  #leave(engine: StreamEngine): void {
    this.#leaving.add(engine);
    this.#engine = undefined;
    forget(this);
  }

  #refused(errno: number): Reason {
    if (errno === -EALREADY) return 'foreign-owner';
    if (errno === -EBUSY) return 'shared-descriptor';
    if (errno === -EPROTONOSUPPORT) return 'not-tcp';
    // No room in epoll (fs.epoll.max_user_watches) passes, too.
    if (![-EMFILE, -ENOSPC, -ENOMEM].includes(errno)) return 'kernel-unsupported';
    this.#descriptorsShort = true;
    this.#retryAt = nowMs() + DESCRIPTOR_RETRY_MS;
    sweepIdle();
    return 'fd-limit';
  }
}
