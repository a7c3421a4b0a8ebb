// Whether the writer of one connection waits for its callbacks. A callback that is held until the release
// costs such a writer a round trip for each write, where plain Node calls back when the kernel took the
// bytes: it is better served by copying. Pure: times and the peer's bytes come in.
//
//   write .... accepted ............. handed back .. write
//     |<------------------- cycle -------------------->|
//                    |<----- wait ---->|
//
// active --(three cycles in a row that mostly were waits)--> paused --(back-off over)--> probing
//   ^                                                          ^                           |
//   |                                                          +---(its cycle is a wait)---+
//   +-------------(its cycle is something else, or writes go on without waiting)-----------+
import type { AdaptiveState } from './adaptive.js';

/** Cycles that tell a habit from a chance. */
const CYCLES = 3;
/** From this share of its cycle on a wait is what slows the writer down. */
const WAIT_SHARE = 0.25;
/** Writes that follow each other without a wait, and so are a stream. */
const STREAM_WRITES = 8;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8_000;
/** A probe costs its writer one wait: a pause is this many times as long, but no more than the most. */
const PAUSE_FOR_WAIT = 50;
const MOST_PAUSE_MS = 60_000;

/** When the write comes that a release callback may have caused. */
export type Cause = 'within a while' | 'at once'; // before the event loop goes on: anything later has other causes

export class WaitingWriter {
  /** Set here only. A property, as the next one: every write looks at it. */
  state: AdaptiveState = 'active';
  /** All is released that callbacks waited for, and no large write came since. */
  handedBack = false;
  #waitMs = 0.5;
  /** When the write came that the last release callback caused. */
  #wroteMs = NaN;
  /** Bytes that the peer had sent at the last release callback. */
  #heard = NaN;
  #waits = 0;
  #streamed = 0;
  #pauseMs = 0.5;
  #untilMs = 0.5;

  /** The next large write is to be told of, by wrote(). */
  get watches(): boolean {
    return this.handedBack || this.state !== 'active';
  }

  /**
   * Callbacks are about to learn of the release of the last send or the last but one.
   * @param waitMs since the last send was accepted
   * @param heard bytes that the peer has sent
   * @param others sends that are still pending
   */
  handingBack(waitMs: number, heard: number, others: number): Cause {
    const answers = this.#heard >= 0 && heard !== this.#heard;
    this.handedBack = true;
    this.#waitMs = waitMs;
    this.#heard = heard;
    // A write may as well answer the peer, or go on with what is pending.
    return answers || others > 0 ? 'at once' : 'within a while';
  }

  /** What comes now has other causes than the release callback. */
  forget(): void {
    this.handedBack = false;
  }

  /**
   * A large write begins.
   * @param heard bytes that the peer has sent
   * @returns the new state when this changed it
   */
  wrote(nowMs: number, heard: number): AdaptiveState | undefined {
    if (!this.handedBack) return this.#goesOn();
    this.handedBack = false;
    this.#streamed = 0;
    const cycleMs = nowMs - this.#wroteMs;
    this.#wroteMs = nowMs;
    if (this.state === 'paused' || heard !== this.#heard || !(cycleMs >= 0)) return undefined;
    if (this.#waitMs < cycleMs * WAIT_SHARE) return this.#isFree();
    if (++this.#waits < CYCLES) return undefined;
    return this.#pause(nowMs);
  }

  /** Whether a large write is copied. Ends a pause whose time is over. */
  copies(nowMs: number): boolean {
    if (this.state !== 'paused') return false;
    if (nowMs < this.#untilMs) return true;
    this.state = 'probing';
    this.#streamed = 0;
    // One more wait is enough.
    this.#waits = CYCLES - 1;
    this.#wroteMs = nowMs;
    return false;
  }

  // What a writer does while its writes are copied says nothing.
  #goesOn(): AdaptiveState | undefined {
    if (this.state !== 'probing' || ++this.#streamed < STREAM_WRITES) return undefined;
    return this.#isFree();
  }

  #isFree(): AdaptiveState | undefined {
    this.#waits = 0;
    if (this.state !== 'probing') return undefined;
    this.#pauseMs = 0.5;
    return (this.state = 'active');
  }

  #pause(nowMs: number): AdaptiveState | undefined {
    const longer = Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, this.#pauseMs * 2));
    this.#pauseMs = longer;
    this.#untilMs =
      nowMs + Math.min(MOST_PAUSE_MS, Math.max(longer, this.#waitMs * PAUSE_FOR_WAIT));
    this.state = 'paused';
    return 'paused';
  }
}
