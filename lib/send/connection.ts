// One connection's sends: which engine it sends by, or why it copies; the port that works for it, and those
// that still wait for memory of earlier connections of the same socket. Takes the duplicate at the first large
// write, gives it back when it is idle, and sees to it that the kernel's counter of sends is never lost.
import { constants as osConstants } from 'node:os';
import type net from 'node:net';
import { handleTaken, streamDestroyed } from '../errors.js';
import type { EngineName, Reason, State } from '../names.js';
import { getReactor, Reactor } from '../native/reactor.js';
import { getSubmitRing, seenSubmitRing, SubmitRing } from '../native/submit-ring.js';
import { PROBE, KNOWN_COPIES } from '../native/stream-words.js';
import { nextTick, nowMs, setImmediate } from '../node/clock.js';
import * as internals from '../node/internals.js';
import { NO_BYTES, zeroCounters, type Counters } from '../observe/counters.js';
import { leastAnswerBytes, isTooSmall, sends, wantedEngine } from './decide.js';
import type { Company, StreamEngineName, WriteKind } from './decide.js';
import { Health } from './health.js';
import { forget, keepWarm, sweepIdle } from './idle-ports.js';
import type { ResolvedOptions } from './options.js';
import { StreamPort } from './port.js';
import type { PortHost } from './releases.js';

const { EALREADY, EBUSY, EMFILE, ENOMEM, ENOSPC, EPROTONOSUPPORT } = osConstants.errno;

/** How long to wait before descriptors are tried again. */
const DESCRIPTOR_RETRY_MS = 1_000;

/** What was sent last and by whom. Hot in the cache, copying it costs less than pinning it. Kept for a tick. */
let lastBody: Uint8Array | undefined, lastConnection: Connection | undefined;
const forgetBody = (): void => void (lastBody = lastConnection = undefined);

const NO_PORTS: readonly StreamPort[] = [];

export class Connection implements PortHost {
  readonly health: Health;
  #port: StreamPort | undefined;
  #leaving = NO_PORTS;
  #handle: internals.Handle | undefined;
  #nextId = 0;
  #ownsZeroCopy = false;
  #descriptorsShort = false;
  #retryAt = 0;
  /** Bytes that the peer had sent at the last write that could go with or without copying. */
  #heard = NO_BYTES;
  /** Its last large message went to other connections, too. */
  #isOneOfMany = false;
  #counters: Counters | undefined;
  /** Nothing that the choice of an engine depends on has changed, except health. */
  steady = false;
  /** An answer of so many bytes is large enough. */
  #leastAnswer = Infinity;

  /** @param owner of the socket; told when a port closed its descriptor */
  constructor(
    readonly socket: net.Socket,
    public options: ResolvedOptions,
    readonly owner: { ended(): void },
  ) {
    this.health = new Health(socket);
  }

  /** New options for later writes. */
  configure(options: ResolvedOptions): void {
    this.options = options;
    this.steady = false;
    this.#port?.configure();
  }

  // --- deciding ---------------------------------------------------------------------------------

  /**
   * What sends a write, or why it is copied.
   * @param bytes of its chunks that are large enough by themselves
   * @param isOwn all of it came by the socket's own write(), so that its callback is held
   * @param body the last of those chunks
   */
  choose(bytes: number, isOwn: boolean, by: Company, body?: Uint8Array): StreamPort | Reason {
    const { options, health } = this;
    const heard = this.socket.bytesRead;
    let answers = heard !== this.#heard;
    // Once the peer has sent data, another engine may be better.
    if (answers && this.#heard === 0) this.steady = false;
    this.#heard = heard;
    // One message to many connections is as hot in the cache as the body of an answer. The first connection learns of
    // the others only afterwards, so its next message counts as one of many.
    if (this.#isOneOfMany) answers = true;
    this.#isOneOfMany = false;
    const last = body !== undefined && body === lastBody ? lastConnection : undefined;
    if (last && last !== this) answers = last.#isOneOfMany = this.#isOneOfMany = true;
    if (lastBody === undefined) nextTick(forgetBody);
    lastBody = body;
    lastConnection = this;
    const port = this.#port;
    // Nothing has changed since the last write: a few comparisons, no calls.
    if (
      port !== undefined &&
      this.steady &&
      isOwn &&
      bytes >= options.threshold &&
      (!answers || by === 'shared-call' || bytes >= this.#leastAnswer) &&
      !this.socket.pending
    ) {
      const { releases, words, at } = port;
      // Sends that were not copied change nothing: the sweep reports them.
      if (words[at + KNOWN_COPIES] !== releases.knownCopies || words[at + PROBE] !== 0)
        releases.feedHealth();
      if (
        health.refused === undefined &&
        (health.route === undefined || health.route.state === 'active') &&
        (health.buffers === undefined || health.buffers.state === 'active') &&
        (health.writer === undefined || !health.writer.watches)
      ) {
        return port;
      }
    }
    const kind = !answers ? 'stream' : by === 'shared-call' ? 'shared-answer' : 'answer';
    return this.#chooseAnew(bytes, isOwn, kind, heard > 0);
  }

  #chooseAnew(bytes: number, isOwn: boolean, kind: WriteKind, hears: boolean): StreamPort | Reason {
    const { options, health } = this;
    const refused = this.#refusal();
    if (refused !== undefined) return health.refuse(refused);
    const wanted = this.#wanted(hears);
    if (!sends(wanted)) return health.refuse(wanted);
    if (this.#lacksRing(wanted)) health.lackRing();
    this.#port?.releases.feedHealth();
    health.follow(options.insists);
    const paused = health.refusal();
    if (paused !== undefined) return paused;
    if (health.waits()) {
      this.counting.waitingCopies++;
      return 'waiting-writer';
    }
    if (!isOwn && options.holdCallbacks) return health.refuse('foreign-write');
    if (isTooSmall(bytes, kind, options)) return 'below-threshold';
    const port = this.#attached(wanted);
    // Not while another engine is about to take over, nor for a probe.
    this.steady = typeof port !== 'string' && port.engine === wanted && !health.probes;
    this.#leastAnswer = leastAnswerBytes(options);
    return port;
  }

  // Why nothing of the connection goes zero-copy.
  #refusal(): Reason | undefined {
    if (this.options.engine === 'copy') return 'disabled';
    if (this.health.refused !== undefined) return this.health.refused;
    if (this.#descriptorsShort && nowMs() >= this.#retryAt) this.#descriptorsShort = false;
    return this.#descriptorsShort ? 'fd-limit' : undefined;
  }

  // The engine that is available, or why none is.
  #wanted(hears: boolean, find: typeof seenSubmitRing = getSubmitRing): StreamEngineName | Reason {
    const { engine, pool } = this.options;
    const { ringRefused } = this.health;
    const wanted = wantedEngine(engine, { hears, pooled: pool !== undefined, ringRefused });
    if (wanted === 'copy') return 'disabled';
    const reactor = getReactor();
    if (!(reactor instanceof Reactor)) return reactor.reason;
    if (wanted === 'msg_zerocopy') return wanted;
    const ring = find();
    // Nobody has used one yet: it will be tried.
    return ring === undefined || ring instanceof SubmitRing ? 'io_uring' : 'msg_zerocopy';
  }

  // It was asked for by name, and the next engine in order sends.
  #lacksRing(engine: StreamEngineName): boolean {
    return this.options.engine === 'io_uring' && engine !== 'io_uring';
  }

  // --- what socket.zeroCopy and metrics() read --------------------------------------------------

  get engine(): EngineName {
    const engine = this.#expected;
    return sends(engine) && this.health.reason === undefined ? engine : 'copy';
  }

  get state(): State {
    const engine = this.#expected;
    if (engine === 'fd-limit') return 'paused';
    return sends(engine) ? this.health.state : 'unsupported';
  }

  get reason(): Reason | undefined {
    const engine = this.#expected;
    if (!sends(engine)) return engine;
    return this.health.reason ?? (this.#lacksRing(engine) ? 'io_uring-refused' : undefined);
  }

  // What would send now, or why nothing would.
  get #expected(): StreamEngineName | Reason {
    const hears = this.#heard > 0 || this.socket.bytesRead > 0;
    return this.#refusal() ?? this.#wanted(hears, seenSubmitRing);
  }

  get pendingBytes(): number {
    return this.ports().reduce((bytes, port) => bytes + port.pendingBytes, 0);
  }
  get pendingSends(): number {
    return this.ports().reduce((sends, port) => sends + port.pendingSends, 0);
  }
  /** Counters kept in JavaScript; those that the addon keeps for open ports are added to them. */
  get counting(): Counters {
    return (this.#counters ??= zeroCounters());
  }
  /** All that is counted; undefined while nothing is. */
  get counters(): Counters | undefined {
    const ports = this.ports();
    if (ports.length === 0) return this.#counters;
    const counters = { ...this.counting };
    for (const port of ports) port.addCounters(counters);
    return counters;
  }

  /** The port of the present connection. */
  get port(): StreamPort | undefined {
    return this.#port;
  }

  /** The port that accepted last: of the present connection, or of the one that just ended. */
  get latest(): StreamPort | undefined {
    return this.#port ?? this.#leaving.at(-1);
  }

  /** Every port that may reference memory. */
  ports(): readonly StreamPort[] {
    return this.#port === undefined ? this.#leaving : [...this.#leaving, this.#port];
  }

  /** Settles when all that was accepted so far is released. */
  async flush(): Promise<void> {
    const released = this.ports().map(
      (port) => new Promise<void>((resolve) => port.callAtRelease(() => resolve(), undefined)),
    );
    await Promise.all(released);
  }

  // --- PortHost ---------------------------------------------------------------------------------

  ended(port: unknown): void {
    this.#leaving = this.#leaving.filter((one) => one !== port);
    if (this.#port === port) this.#port = undefined;
    this.owner.ended();
  }

  // --- the port ---------------------------------------------------------------------------------

  // The port that sends by `engine`, created if necessary; or why there is none.
  #attached(engine: StreamEngineName): StreamPort | Reason {
    const handle = internals.handleOf(this.socket);
    const present = this.#port;
    if (present !== undefined && this.#handle === handle) {
      // Another engine is wanted. The present port stays until nothing of its is pending: otherwise callbacks of
      // later writes would overtake its own.
      if (present.engine === engine || !this.#detach(present)) return present;
    }
    const attached = this.#attach(handle, engine);
    if (typeof attached !== 'string') {
      this.health.announced = undefined;
      return attached;
    }
    if (attached !== 'fd-limit') this.health.refused = attached;
    return this.health.refuse(attached);
  }

  #attach(handle: internals.Handle | undefined, engine: StreamEngineName): StreamPort | Reason {
    const reactor = getReactor();
    if (handle === undefined || !(reactor instanceof Reactor)) return 'no-descriptor';
    if (this.#handle !== handle) this.#forgetHandle();
    const descriptor = internals.descriptorOf(handle);
    if (descriptor === undefined) return 'no-descriptor';
    const byRing = engine === 'io_uring';
    const firstId = byRing ? 0 : this.#nextId;
    const index = reactor.native.attach(descriptor, byRing, this.#ownsZeroCopy, firstId);
    if (index < 0) return this.#attachFailed(index);
    if (!byRing) this.#ownsZeroCopy = true;
    const port = new StreamPort(reactor, index, engine, this);
    this.#handle = handle;
    this.#port = port;
    keepWarm(this);
    if (!internals.isReferenced(handle)) port.setReferenced(false);
    return port;
  }

  #attachFailed(errno: number): Reason {
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

  // The kernel's counter of MSG_ZEROCOPY sends goes on: so does ours.
  #detach(port: StreamPort): boolean {
    const { nextId } = port;
    if (!port.detach()) return false;
    if (port.engine === 'msg_zerocopy') this.#nextId = nextId;
    return true;
  }

  /** Drops what is released meanwhile. */
  sweep(): void {
    for (const port of this.ports()) port.sweep();
  }

  /** Gives the idle duplicate back. */
  dropIdle(): boolean {
    const port = this.#port;
    if (port === undefined) return true;
    if (port.touched || !port.pinsNothing) {
      port.touched = false;
      return false;
    }
    return this.#detach(port);
  }

  /** Whether this descriptor is the socket's. */
  has(descriptor: number): boolean {
    return this.#handle !== undefined && internals.descriptorOf(this.#handle) === descriptor;
  }

  // --- ends and owners --------------------------------------------------------------------------

  /** The socket is destroyed; `how`: by destroy() or by resetAndDestroy(). */
  destroyed(how: 'close' | 'reset', error: Error | null): void {
    const port = this.#port;
    if (port === undefined) return;
    const reason = error ?? streamDestroyed();
    this.#leave(port);
    // Another process goes on with the connection: neither FIN nor RST, as when plain Node closes.
    if (port.shared) port.abandon(reason);
    else if (how === 'reset' && !port.pinsNothing) port.abort(reason, 'reset');
    else port.close(reason);
  }

  /** Something may have taken the handle off the socket (child.send): no byte of ours may follow. */
  handleMayBeGone(): void {
    const port = this.#port;
    if (port === undefined || this.socket.destroyed) return;
    if (internals.handleOf(this.socket) === this.#handle) return;
    const error = handleTaken();
    const cut = port.waiting;
    this.#leave(port);
    if (cut) port.abort(error, 'handle-taken');
    else port.abandon(error);
    if (cut) this.socket.destroy(error);
  }

  /**
   * Another process is about to get the descriptor: from here on everything is copied. What is pinned may
   * raise an error event yet, for which libuv reads: where the other process made the descriptor blocking, as
   * libuv does for a child's standard streams, that read would stop the event loop for ever
   * (deps/uv/src/unix/stream.c:uv__stream_io).
   */
  share(): void {
    // First: what of the present write waits for space goes by copy as well.
    this.steady = false;
    this.health.refused ??= this.health.refuse('shared-descriptor');
    const port = this.#port;
    const handle = this.#handle;
    if (port === undefined || handle === undefined || port.shared) return;
    port.share();
    if (port.engine !== 'msg_zerocopy' || port.pendingSends === 0) return;
    const letRead = internals.holdReads(handle);
    // In a later phase of the loop's turn: libuv may have fetched the event already.
    const onReleased = (): void =>
      void setImmediate(() => letRead(internals.handleOf(this.socket)));
    port.callAtRelease(onReleased, undefined);
  }

  /** The socket got another handle. */
  handleReplaced(): void {
    this.#heard = NO_BYTES;
    this.#forgetHandle();
    this.health.leave();
  }

  // A new connection on the same net.Socket: its kernel socket counts from 0.
  #forgetHandle(): void {
    const port = this.#port;
    if (port !== undefined) {
      this.#leave(port);
      port.abandon(handleTaken());
    }
    this.#handle = undefined;
    this.#nextId = 0;
    this.#ownsZeroCopy = false;
  }

  #leave(port: StreamPort): void {
    this.steady = false;
    this.#leaving = [...this.#leaving, port];
    this.#port = undefined;
    forget(this);
  }
}
