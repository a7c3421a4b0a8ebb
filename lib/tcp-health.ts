// Whether zero copy works for one connection at present: what its route shows, which it shares with
// others, and what the kernel has room for on this socket.
import { warnOnce } from './diagnostics.js';
import type { EngineOption } from './options.js';
import type { SendKind } from './engines/engine-host.js';
import { Adaptive, type AdaptiveState, type PauseReason, type Want } from './policy/adaptive.js';
import { Routes } from './policy/routes.js';

const routes = new Routes();

const LIMIT_WARNING =
  'The kernel has no room for even one zero-copy send: RLIMIT_MEMLOCK or net.core.optmem_max is too low, ' +
  'or other processes of this user have all of it. Bytes are copied. Remedy: ulimit -l unlimited (or LimitMEMLOCK= of the service), and sysctl ' +
  'net.core.optmem_max=131072';

export class TcpHealth {
  #route: Adaptive | undefined;
  #buffers: Adaptive | undefined;

  /**
   * The next send goes by this engine. One that was asked for by name is not bound to what the route
   * shows: it goes on where the kernel copies.
   * @param addresses those of both ends, asked for once
   */
  follow(engine: EngineOption, addresses: () => string): void {
    if (engine !== 'auto') this.#route = undefined;
    else if (this.#route === undefined) this.#route = routes.of(addresses());
  }

  /** Another connection begins. */
  leave(): void {
    this.#route = undefined;
    this.#buffers = undefined;
  }

  get state(): AdaptiveState {
    const states = [this.#route?.state, this.#buffers?.state];
    if (states.includes('paused')) return 'paused';
    return states.includes('probing') ? 'probing' : 'active';
  }

  get reason(): PauseReason | undefined {
    return this.#route?.reason ?? this.#buffers?.reason;
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
    const now = performance.now();
    if (route) this.#route?.sent(now);
    if (buffers) this.#buffers?.sent(now);
    return 'probe';
  }

  /**
   * A notification came.
   * @param engine one that was asked for by name does not pause on copies
   * @returns the new state when this changed it
   */
  completed(copied: boolean, kind: SendKind, engine: EngineOption): AdaptiveState | undefined {
    // Any notification answers a probe after a want of buffers.
    const buffers = this.#buffers;
    let changed: AdaptiveState | undefined;
    if (buffers?.state === 'probing' && kind === 'probe') {
      changed = buffers.completed(false, performance.now());
    }
    if (engine !== 'auto') return changed;
    const route = (this.#route ??= new Adaptive());
    // A late notice of a send from before the pause is no verdict on the probe.
    if (route.state === 'probing' && kind === 'ordinary') return changed;
    return route.completed(copied, performance.now()) ?? changed;
  }

  /** The kernel refused a zero-copy send for want of room. */
  outOfBuffers(want: Want): void {
    (this.#buffers ??= new Adaptive()).outOfBuffers(want, performance.now());
    if (want === 'limit-too-low') warnOnce('ZC_LIMIT', LIMIT_WARNING);
  }
}

function refusalOf(adaptive: Adaptive | undefined): PauseReason | undefined {
  if (adaptive === undefined || adaptive.state === 'active') return undefined;
  return adaptive.mayZeroCopy(performance.now()) ? undefined : adaptive.reason;
}
