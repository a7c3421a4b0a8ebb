// Whether zero copy is worth trying now, on one route or with the buffers of one socket. Pure: observations and the clock come in.
//
//   active --(most of a sample was COPIED, or ENOBUFS)--> paused --(back-off over)--> probing
//     ^                                                     ^                            |
//     |                                                     +------(probe COPIED)--------+
//     +-----------------------(probe was not copied)-------------------------------------+
//
// COPIED is a rate and not a verdict: a few seconds of tcpdump flip it for a while.

/** A probe finds out, after a pause, whether the kernel still copies. */
export type SendKind = 'ordinary' | 'probe';

export type AdaptiveState = 'active' | 'probing' | 'paused';
export type PauseReason = 'kernel-copied' | Want;
/**
 * What the kernel is short of. 'enobufs': room that sends in flight take, and give back. 'limit-too-low':
 * nothing is in flight, so that no waiting helps.
 */
export type Want = 'enobufs' | 'limit-too-low';

/** Completions looked at before a pause: enough not to take one odd packet for a rule. */
const SAMPLE_SENDS = 8;
/** Share of copied sends in a sample from which copying ourselves is cheaper: a send that the kernel
 * copies costs about twice a plain one (64 KiB on loopback), one that it does not about a third. */
const COPIED_SHARE = 0.5;
/** Back-off between probes; a probe that is copied costs one send. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 4_000;
/** Congestion passes as soon as completions are read; a limit that is too low costs a failed call each. */
const FIRST_PAUSE_OF_WANT_MS = { enobufs: 50, 'limit-too-low': LONGEST_PAUSE_MS } as const;
/** A probe that is never answered (a peer that does not read) is given up after this long. */
const PROBE_TIMEOUT_MS = 8_000;

export class Adaptive {
  /** Set here only. A property: every write looks at it. */
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

  /** Whether the next large write may go zero-copy. Ends a pause whose time is over. */
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
   * A notification said how its first send travelled.
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
    // Late notices of sends from before the pause arrive while no probe is out: no evidence.
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
