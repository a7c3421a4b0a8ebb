// Whether zero copy works for one connection at present: what its route shows, which it shares with
// others, what the kernel has room for on this socket, and whether its writer waits for each release.
import type net from 'node:net';
import { nowMs, setImmediate } from '../node/clock.js';
import { tellFallback, tellResume, warnOnce } from '../observe/diagnostics.js';
import type { SendKind } from '../send/engines/engine-host.js';
import { addressesOf } from '../node/internals.js';
import type { ResolvedOptions } from '../send/options.js';
import { Adaptive, type AdaptiveState, type PauseReason, type Want } from '../policy/adaptive.js';
import { Routes } from '../policy/routes.js';
import { WaitingWriter } from '../policy/waiting-writer.js';

/** Whose health it is. */
interface Subject {
  readonly socket: net.Socket;
  readonly options: ResolvedOptions;
}

const routes = new Routes();

const LIMIT_WARNING =
  'The kernel has no room for even one zero-copy send: RLIMIT_MEMLOCK or net.core.optmem_max is too low, ' +
  'or other processes of this user have all of it. Bytes are copied. Remedy: ulimit -l unlimited (or LimitMEMLOCK= of the service), and sysctl ' +
  'net.core.optmem_max=131072';

export class TcpHealth {
  #route: Adaptive | undefined;
  #buffers: Adaptive | undefined;
  #writer: WaitingWriter | undefined;

  /**
   * Another send. Who insists on zero copy is not bound to what the route shows: it goes on where the
   * kernel copies.
   * @param socket whose addresses are asked for once
   */
  follow(insists: boolean, socket: net.Socket): void {
    if (insists) this.#route = undefined;
    else this.#route ??= routeOf(socket);
  }

  /** Another connection begins. */
  leave(): void {
    this.#route = undefined;
    this.#buffers = undefined;
    this.#writer = undefined;
  }

  get state(): AdaptiveState {
    const states = [this.#route?.state, this.#buffers?.state, this.#writer?.state];
    if (states.includes('paused')) return 'paused';
    return states.includes('probing') ? 'probing' : 'active';
  }

  get reason(): PauseReason | 'waiting-writer' | undefined {
    const reason = this.#route?.reason ?? this.#buffers?.reason;
    if (reason !== undefined || (this.#writer?.state ?? 'active') === 'active') return reason;
    return 'waiting-writer';
  }

  /**
   * Callbacks are about to learn of releases.
   * @param waitMs since the last send was accepted
   * @param others sends that are still pending
   */
  handingBack({ socket, options }: Subject, waitMs: number, others: number): void {
    // Who forces zero copy gets it.
    if (others > 1 || options.insists || options.threshold <= 1) return;
    const writer = (this.#writer ??= new WaitingWriter());
    const cause = writer.handingBack(waitMs, socket.bytesRead, others);
    if (cause === 'at once') setImmediate(forget, writer);
  }

  /** A large write begins: whether it is copied, because its writer waits for callbacks. */
  waits(socket: net.Socket): boolean {
    const writer = this.#writer;
    if (writer?.watches !== true) return false;
    const now = nowMs();
    const changed = writer.wrote(now, socket.bytesRead);
    if (changed === 'paused') tellFallback(socket, 'waiting-writer');
    if (changed === 'active') tellResume(socket);
    return writer.copies(now);
  }

  /** Why the next send may not go zero-copy; undefined when it may. */
  refusal(): PauseReason | undefined {
    return refusalOf(this.#route) ?? refusalOf(this.#buffers);
  }

  /** A zero-copy send was accepted; whether it is a probe. */
  sent(): SendKind {
    const route = this.#route?.state === 'probing';
    const buffers = this.#buffers?.state === 'probing';
    if (!route && !buffers) return 'ordinary';
    const now = nowMs();
    if (route) this.#route?.sent(now);
    if (buffers) this.#buffers?.sent(now);
    return 'probe';
  }

  /**
   * A notification came.
   * @param insists whether zero copy goes on where the kernel copies
   * @returns the new state when this changed it
   */
  completed(copied: boolean, kind: SendKind, insists: boolean): AdaptiveState | undefined {
    // Any notification answers a probe after a want of buffers.
    const buffers = this.#buffers;
    let changed: AdaptiveState | undefined;
    if (buffers?.state === 'probing' && kind === 'probe') {
      changed = buffers.completed(false, nowMs());
    }
    if (insists) return changed;
    const route = (this.#route ??= new Adaptive());
    // A late notice of a send from before the pause is no verdict on the probe.
    if (route.state === 'probing' && kind === 'ordinary') return changed;
    return route.completed(copied, nowMs()) ?? changed;
  }

  /** The kernel refused a zero-copy send for want of room. */
  outOfBuffers(want: Want): void {
    (this.#buffers ??= new Adaptive()).outOfBuffers(want, nowMs());
    if (want === 'limit-too-low') warnOnce('ZC_LIMIT', LIMIT_WARNING);
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
