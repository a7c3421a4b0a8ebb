// Whether zero copy works for one connection at present: what refuses it for good, what its route shows, which
// it shares with others, what the kernel has room for, and whether its writer waits for each release.
import type net from 'node:net';
import type { EngineName, Reason } from '../names.js';
import { nowMs, setImmediate } from '../node/clock.js';
import { addressesOf } from '../node/internals.js';
import { publishFallback, publishResume, warnOnce } from '../observe/diagnostics.js';
import {
  Adaptive,
  Routes,
  type AdaptiveState,
  type PauseReason,
  type Want,
} from '../policy/adaptive.js';
import { WaitingWriter } from '../policy/waiting-writer.js';
import type { ResolvedOptions } from './options.js';

const routes = new Routes();

/** Further reports say nothing new about a route. */
const MOST_RECORDED = 16;

const LIMIT_WARNING =
  'The kernel has no room for even one zero-copy send: RLIMIT_MEMLOCK or net.core.optmem_max is too low, ' +
  'or other processes of this user have used it up. Bytes are copied instead. Remedy: ulimit -l unlimited ' +
  '(or LimitMEMLOCK= of the service), and sysctl net.core.optmem_max=131072';

export class Health {
  /** Why this connection never goes zero-copy. */
  refused: Reason | undefined;
  /** The kernel does not send this connection's bytes by the ring. */
  ringRefused = false;
  #lackedRing = false;
  /** The refusal that was announced last. */
  announced: Reason | undefined;
  /** The next three: set here only, and properties because every write looks at them. */
  route: Adaptive | undefined;
  buffers: Adaptive | undefined;
  writer: WaitingWriter | undefined;

  constructor(readonly socket: net.Socket) {}

  /** Another connection of the same socket begins. */
  leave(): void {
    this.refused = undefined;
    this.ringRefused = false;
    this.#lackedRing = false;
    this.route = undefined;
    this.buffers = undefined;
    this.writer = undefined;
  }

  get state(): AdaptiveState {
    const states = [this.route?.state, this.buffers?.state, this.writer?.state];
    if (states.includes('paused')) return 'paused';
    return states.includes('probing') ? 'probing' : 'active';
  }

  get reason(): PauseReason | 'waiting-writer' | undefined {
    const reason = this.route?.reason ?? this.buffers?.reason;
    if (reason !== undefined || (this.writer?.state ?? 'active') === 'active') return reason;
    return 'waiting-writer';
  }

  /**
   * A write begins. With a named engine and a numeric threshold the route's history does not count: zero copy
   * goes on where the kernel copies.
   */
  follow(insists: boolean): void {
    if (insists) this.route = undefined;
    else this.route ??= routeOf(this.socket);
  }

  /** Why the next send may not go zero-copy; undefined when it may. */
  refusal(): Reason | undefined {
    return this.refused ?? refusalOf(this.route) ?? refusalOf(this.buffers);
  }

  /** Whether the next send finds out, after a pause, whether the kernel still copies, or has room again. */
  get probes(): boolean {
    return this.route?.state === 'probing' || this.buffers?.state === 'probing';
  }

  /** That send was accepted. */
  probed(): void {
    const now = nowMs();
    this.route?.sent(now);
    this.buffers?.sent(now);
  }

  /**
   * The kernel said how sends went.
   * @param sends since the last call, not counting probes
   * @param copies of those, that it copied
   * @param probe how a probe went
   */
  record(
    sends: number,
    copies: number,
    probe: 'copied' | 'sent' | undefined,
    insists: boolean,
  ): void {
    // Any answer to a probe says that there is room again.
    if (probe !== undefined && this.buffers?.state === 'probing')
      this.#changed(this.buffers.completed(false, nowMs()));
    if (insists) return;
    const route = (this.route ??= routeOf(this.socket));
    if (route.state === 'probing') {
      if (probe !== undefined) this.#changed(route.completed(probe === 'copied', nowMs()));
      return;
    }
    // As many copies among them as among all, evenly spread.
    const looked = Math.min(sends, MOST_RECORDED);
    const before = (send: number): number => Math.round((send * copies) / sends);
    for (let send = 0; send < looked; send++)
      this.#changed(route.completed(before(send + 1) > before(send), nowMs()));
  }

  /** The kernel refused a zero-copy send for want of room. */
  outOfBuffers(want: Want): void {
    (this.buffers ??= new Adaptive()).outOfBuffers(want, nowMs());
    if (want === 'limit-too-low') warnOnce('ZC_LIMIT', LIMIT_WARNING);
    publishFallback(this.socket, want);
  }

  /** The kernel does not send this connection's bytes by the engine of this name. */
  engineRefused(engine: EngineName): void {
    if (engine === 'io_uring') this.ringRefused = true;
    else this.refused = this.announced = 'kernel-unsupported';
    publishFallback(this.socket, 'kernel-unsupported');
  }

  /** Another engine sends although the ring was asked for by name. Publishes once, unless engineRefused() did. */
  lackRing(): void {
    if (this.#lackedRing) return;
    this.#lackedRing = true;
    if (!this.ringRefused) publishFallback(this.socket, 'io_uring-refused');
  }

  /** Every large write is refused alike, so this publishes once. What the program switched off is no news to it. */
  refuse(reason: Reason): Reason {
    if (reason !== this.announced && reason !== 'disabled') publishFallback(this.socket, reason);
    this.announced = reason;
    return reason;
  }

  /**
   * Callbacks are about to learn of releases, and no write is being sent.
   * @param waitMs since the last send was accepted
   * @param others sends that are still pending
   */
  handingBack(options: ResolvedOptions, waitMs: number, others: number): void {
    // The program insists on zero copy.
    if (others > 1 || options.insists || options.threshold <= 1) return;
    const writer = (this.writer ??= new WaitingWriter());
    const cause = writer.handingBack(waitMs, this.socket.bytesRead, others);
    if (cause === 'at once') setImmediate(forget, writer);
  }

  /** A large write begins: whether it is copied, because its writer waits for callbacks. */
  waits(): boolean {
    const writer = this.writer;
    if (writer?.watches !== true) return false;
    const now = nowMs();
    const changed = writer.wrote(now, this.socket.bytesRead);
    if (changed === 'paused') publishFallback(this.socket, 'waiting-writer');
    if (changed === 'active') publishResume(this.socket);
    return writer.copies(now);
  }

  #changed(state: AdaptiveState | undefined): void {
    if (state === 'paused') publishFallback(this.socket, 'kernel-copied');
    if (state === 'active') publishResume(this.socket);
  }
}

function forget(writer: WaitingWriter): void {
  writer.forget();
}

function routeOf(socket: net.Socket): Adaptive {
  const { local, remote } = addressesOf(socket);
  return routes.of(`${local} ${remote}`);
}

function refusalOf(adaptive: Adaptive | undefined): PauseReason | undefined {
  if (adaptive === undefined || adaptive.state === 'active') return undefined;
  return adaptive.mayZeroCopy(nowMs()) ? undefined : adaptive.reason;
}
