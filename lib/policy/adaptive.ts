// Whether zero copy is worth trying now, on one route or with the buffers of one socket. Pure: observations
// and the clock come in.
//
//   active --(most of a sample was COPIED, or ENOBUFS)--> paused --(back-off over)--> probing
//     ^                                                     ^                            |
//     |                                                     +------(probe COPIED)--------+
//     +-----------------------(probe was not copied)-------------------------------------+
//
// COPIED is a rate and not a verdict: a few seconds of tcpdump flip it for a while.

/** A probe tests, after a pause, whether the kernel still copies. */
export type SendKind = 'ordinary' | 'probe';

export type AdaptiveState = 'active' | 'probing' | 'paused';
export type PauseReason = 'kernel-copied' | Want;
/**
 * What the kernel lacked. 'enobufs': sends in flight use up the limit, and will free it. 'limit-too-low':
 * nothing is in flight, so waiting does not help.
 */
export type Want = 'enobufs' | 'limit-too-low';

/** Completions in a sample: enough that one odd packet does not cause a pause. */
const SAMPLE_SENDS = 8;
/** From this share of copied sends in a sample, an ordinary write is cheaper: a zero-copy send that the kernel
 * copies costs about twice as much as an ordinary one (64 KiB on loopback), one that it does not about a third. */
const COPIED_SHARE = 0.5;
/** Back-off between probes; a probe that is copied costs one send. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 4_000;
/** Congestion ends as soon as completions are read; a limit that is too low costs a failed call each time. */
const FIRST_PAUSE_OF_WANT_MS = { enobufs: 50, 'limit-too-low': LONGEST_PAUSE_MS } as const;
/** Give up a probe that gets no answer (the peer does not read) after this long. */
const PROBE_TIMEOUT_MS = 8_000;

export class Adaptive {
  /** Only this class sets it. A plain property, because every write reads it. */
  state: AdaptiveState = 'active';
  #reason: PauseReason | undefined;
  #seen = 0;
  #copied = 0;
  #pauseMs = 0;
  #untilMs = 0;
  #probeSent = false;

  get reason(): PauseReason | undefined {
    return this.#reason;
  }

  /** Whether the next large write may go zero-copy. Ends an expired pause. */
  mayZeroCopy(nowMs: number): boolean {
    if (this.state === 'active') return true;
    if (this.state === 'paused' && nowMs >= this.#untilMs) {
      this.state = 'probing';
      this.#probeSent = false;
    }
    if (this.state === 'probing' && this.#probeSent && nowMs >= this.#untilMs) {
      this.#probeSent = false;
    }
    return this.state === 'probing' && !this.#probeSent;
  }

  /** A zero-copy send was accepted. */
  sent(nowMs: number): void {
    if (this.state !== 'probing') return;
    this.#probeSent = true;
    this.#untilMs = nowMs + PROBE_TIMEOUT_MS;
  }

  /**
   * A notification reported whether its first send was copied.
   * @returns the new state when this changed it
   */
  completed(copied: boolean, nowMs: number): AdaptiveState | undefined {
    if (this.state === 'probing') return this.#judgeProbe(copied, nowMs);
    if (this.state === 'paused') return undefined;
    this.#seen++;
    if (copied) this.#copied++;
    if (this.#seen < SAMPLE_SENDS) return undefined;
    const share = this.#copied / this.#seen;
    this.#seen = 0;
    this.#copied = 0;
    if (share >= COPIED_SHARE) return this.#pause('kernel-copied', FIRST_PAUSE_MS, nowMs);
    if (share === 0) this.#pauseMs = 0;
    return undefined;
  }

  /** The kernel refused a zero-copy send for want of memory, twice. */
  outOfBuffers(want: Want, nowMs: number): AdaptiveState {
    return this.#pause(want, FIRST_PAUSE_OF_WANT_MS[want], nowMs);
  }

  #judgeProbe(copied: boolean, nowMs: number): AdaptiveState | undefined {
    // Notifications of sends from before the pause are no evidence.
    if (!this.#probeSent) return undefined;
    if (copied) return this.#pause('kernel-copied', FIRST_PAUSE_MS, nowMs);
    this.state = 'active';
    this.#reason = undefined;
    this.#seen = 0;
    this.#copied = 0;
    return 'active';
  }

  #pause(reason: PauseReason, firstMs: number, nowMs: number): AdaptiveState {
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(firstMs, this.#pauseMs * 2));
    this.#untilMs = nowMs + this.#pauseMs;
    this.state = 'paused';
    this.#reason = reason;
    this.#seen = 0;
    this.#copied = 0;
    return 'paused';
  }
}

/** Routes to remember; the least recently used are forgotten. */
const MOST_ROUTES = 256;

/**
 * What is known about routes, so that a new connection to a destination that copies does not find out again.
 * A route is the pair of addresses that a connection has.
 */
export class Routes {
  readonly #routes = new Map<string, Adaptive>();

  /** What is known about a route, shared by its connections. */
  of(route: string): Adaptive {
    const known = this.#routes.get(route) ?? new Adaptive();
    this.#routes.delete(route);
    this.#routes.set(route, known);
    if (this.#routes.size > MOST_ROUTES) {
      const [oldest] = this.#routes.keys();
      this.#routes.delete(oldest as string);
    }
    return known;
  }
}
