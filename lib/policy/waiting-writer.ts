// Whether the writer of one connection waits for its callbacks. A callback held until release costs such a
// writer a round trip for each write, while plain Node calls back as soon as the kernel took the bytes. For
// this writer copying is faster. Pure: callers pass times and the peer's bytes.
//
//   write .... accepted ................ released .. write
//     |<------------------- cycle -------------------->|
//                    |<----- wait ---->|
//
// active --(three cycles in a row that mostly were waits)--> paused --(back-off over)--> probing
//   ^                                                          ^                           |
//   |                                                          +---(its cycle is a wait)---+
//   +-------------(its cycle is something else, or writes go on without waiting)-----------+
//
// A write that comes a while after the release callback may be caused by it, by data from the peer, or by other
// pending sends. After eight such cycles that mostly were waits (three, if they are long), half as many writes are
// copied on trial: a writer that takes half the time for them has waited.
import type { AdaptiveState } from './adaptive.js';

/** Cycles in a row that count as a habit. */
const CYCLES = 3;
/** From this share of its cycle, the wait is what slows the writer down. */
const WAIT_SHARE = 0.25;
/** So many writes in a row without a wait are a stream. */
const STREAM_WRITES = 8;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8_000;
/** Cycles that may have been waits, before a trial of copying. */
const DOUBTS = 8;
/** If they took this long, CYCLES of them are enough. */
const LONG_DOUBTS_MS = 50;
/** Cycles of a trial. A writer that needs half the time for them waits. */
const TRIED_CYCLES = 4;
/** Release callbacks to ignore after a trial that found nothing; doubles after each, up to the maximum. */
const FIRST_REST = 32;
const MOST_REST = 1_024;
/** A probe costs its writer one wait. A pause lasts this many times as long, up to the maximum. */
const PAUSE_FOR_WAIT = 50;
const MOST_PAUSE_MS = 60_000;

/** How soon a write must follow a release callback to count as caused by it. */
type Cause = 'within a while' | 'at once'; // before the event loop goes on: anything later has other causes

export class WaitingWriter {
  /** Set here only. */
  state: AdaptiveState = 'active';
  /** The next large write must be reported, by wrote(). Only this class sets it; every write reads it. */
  watches = false;
  // Everything that callbacks waited for is released, and no large write has come since.
  #handedBack = false;
  // The event loop has run other work meanwhile, which may cause the next write.
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
  // When the first such cycle ended.
  #doubtMs = 0.5;
  // Writes left in a trial, when it began, and the time below which the writer has waited.
  #tries = 0;
  #triedMs = NaN;
  #leastMs = 0.5;
  #restAfter = FIRST_REST;
  #rest = 0;

  /**
   * Callbacks are about to run for the release of the last send or the one before it.
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
    // The next write may equally answer the peer, or follow what is pending.
    return answers || others > 0 ? 'at once' : 'within a while';
  }

  /** The event loop has run other work: later writes may have other causes than the release callback. */
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

  /** Whether to copy a large write. Ends an expired pause. */
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

  // Behaviour while writes are copied proves nothing.
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
