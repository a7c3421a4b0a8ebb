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
//
// A write that comes a while after the release callback may have been caused by it, by what the peer has said
// since, or by what was pending besides. After eight such cycles (three, where they are long) that mostly were
// waits, half as many writes are copied for a trial: whoever writes them in half the time has waited.
import type { AdaptiveState } from './adaptive.js';

/** Cycles that tell a habit from a chance. */
const CYCLES = 3;
/** From this share of its cycle on a wait is what slows the writer down. */
const WAIT_SHARE = 0.25;
/** Writes that follow each other without a wait, and so are a stream. */
const STREAM_WRITES = 8;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8_000;
/** Cycles of which nobody knows whether they were waits, before copying is tried. */
const DOUBTS = 8;
/** Fewer do where they took as long as this. */
const LONG_DOUBTS_MS = 50;
/** A trial is so many of these cycles, and finds a writer that waits when it takes half their time. */
const TRIED_CYCLES = 4;
/** Release callbacks that pass unseen after a trial that found nothing: twice as many after each, up to the most. */
const FIRST_REST = 32;
const MOST_REST = 1_024;
/** A probe costs its writer one wait: a pause is this many times as long, but no more than the most. */
const PAUSE_FOR_WAIT = 50;
const MOST_PAUSE_MS = 60_000;

/** When the write comes that a release callback may have caused. */
export type Cause = 'within a while' | 'at once'; // before the event loop goes on: anything later has other causes

export class WaitingWriter {
  /** Set here only. */
  state: AdaptiveState = 'active';
  /** The next large write is to be told of, by wrote(). Set here only: every write looks at it. */
  watches = false;
  // All is released that callbacks waited for, and no large write came since.
  #handedBack = false;
  // The event loop went on meanwhile, with something else that may have caused the write that comes.
  #late = false;
  #waitMs = 0.5;
  /** When the write came that the last release callback caused. */
  #wroteMs = NaN;
  /** Bytes that the peer had sent at the last release callback. */
  #heard = NaN;
  #waits = 0;
  #streamed = 0;
  #pauseMs = 0.5;
  #untilMs = 0.5;
  #doubts = 0;
  #doubtWrites = 0;
  // When the first of them ended.
  #doubtMs = 0.5;
  // Writes of a trial that are still to come, when it began, and the time in which they come from one who waited.
  #tries = 0;
  #triedMs = NaN;
  #leastMs = 0.5;
  #restAfter = FIRST_REST;
  #rest = 0;

  /**
   * Callbacks are about to learn of the release of the last send or the last but one.
   * @param waitMs since the last send was accepted
   * @param heard bytes that the peer has sent
   * @param others sends that are still pending
   */
  handingBack(waitMs: number, heard: number, others: number): Cause {
    const answers = this.#heard >= 0 && heard !== this.#heard;
    this.#handedBack = this.watches = true;
    this.#late = false;
    this.#waitMs = waitMs;
    this.#heard = heard;
    // A write may as well answer the peer, or go on with what is pending.
    return answers || others > 0 ? 'at once' : 'within a while';
  }

  /** The event loop went on: what comes now may have other causes than the release callback. */
  forget(): void {
    if (!this.#handedBack) return;
    this.#late = true;
    if (this.#rest === 0 || this.state !== 'active') return;
    this.#rest--;
    this.#handedBack = false;
    this.#watch();
  }

  /**
   * A large write begins.
   * @param heard bytes that the peer has sent
   * @returns the new state when this changed it
   */
  wrote(nowMs: number, heard: number): AdaptiveState | undefined {
    const changed = this.#looked(nowMs, heard);
    this.#watch();
    return changed;
  }

  #looked(nowMs: number, heard: number): AdaptiveState | undefined {
    const handedBack = this.#handedBack;
    this.#handedBack = false;
    if (this.#tries > 0) return this.#tried(nowMs);
    if (!handedBack) return this.#goesOn();
    this.#streamed = 0;
    const cycleMs = nowMs - this.#wroteMs;
    this.#wroteMs = nowMs;
    if (this.state === 'paused' || !(cycleMs >= 0)) return undefined;
    const isWait = this.#waitMs >= cycleMs * WAIT_SHARE;
    if (this.#late || heard !== this.#heard) return this.#doubt(nowMs, isWait);
    if (!isWait) return this.#isFree();
    if (++this.#waits < CYCLES) return undefined;
    return this.#pause(nowMs);
  }

  #doubt(nowMs: number, isWait: boolean): undefined {
    if (this.#rest > 0) return void this.#rest--;
    if (!isWait || this.#doubts === 0) {
      this.#doubts = isWait ? 1 : 0;
      this.#doubtWrites = 0;
      this.#doubtMs = nowMs;
      return;
    }
    this.#doubtWrites++;
    const doubtedMs = nowMs - this.#doubtMs;
    const cycles = this.#doubts++;
    const isLong = doubtedMs >= LONG_DOUBTS_MS || this.state === 'probing';
    if (cycles < (isLong ? CYCLES : DOUBTS)) return;
    const share = TRIED_CYCLES / cycles;
    this.#tries = Math.ceil(this.#doubtWrites * share);
    this.#leastMs = (doubtedMs * share) / 2;
    this.#doubts = 0;
    this.#triedMs = nowMs;
  }

  #tried(nowMs: number): AdaptiveState | undefined {
    if (nowMs - this.#triedMs <= this.#leastMs) {
      return --this.#tries > 0 ? undefined : this.#pause(nowMs);
    }
    this.#tries = 0;
    this.#wroteMs = nowMs;
    this.#rest = this.#restAfter = Math.min(MOST_REST, this.#restAfter * 2);
    return this.#isFree();
  }

  /** Whether a large write is copied. Ends a pause whose time is over. */
  copies(nowMs: number): boolean {
    if (this.#tries > 0) return true;
    if (this.state !== 'paused') return false;
    if (nowMs < this.#untilMs) return true;
    this.state = 'probing';
    this.#doubts = 0;
    this.#streamed = 0;
    // One more wait is enough.
    this.#waits = CYCLES - 1;
    this.#wroteMs = nowMs;
    return false;
  }

  #watch(): void {
    this.watches =
      this.#handedBack || this.#tries > 0 || this.#doubts > 0 || this.state !== 'active';
  }

  // What a writer does while its writes are copied says nothing.
  #goesOn(): AdaptiveState | undefined {
    if (this.#doubts > 0) this.#doubtWrites++;
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
    this.#restAfter = FIRST_REST;
    this.#rest = 0;
    this.state = 'paused';
    return 'paused';
  }
}
