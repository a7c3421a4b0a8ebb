// Finds out in this process, with its own traffic, whether sizes cost less copied or not: runs experiments
// with one size class at a time, by the CPU time of this thread, and moves the thresholds.
import { nowMs } from '../node/clock.js';
import { loadNative } from '../native/binding.js';
import { dropIdle } from './idle-ports.js';
import { CostModel, type Work } from '../policy/cost-model.js';
import { Experiment } from '../policy/experiment.js';
import { type SizeClass, type Starts, Tuner, type Way } from '../policy/tuner.js';

/** A server has few addresses; a proxy with many of them learns the rest anew. */
const MOST_TUNERS = 64;

/** Writes after a change of ways that are not measured: caches and engines settle. */
const SETTLING_WRITES = 48;
/** Writes of a stretch that is measured, and how long it takes at least and at most. */
const MEASURED_WRITES = 96;
const SHORTEST_STRETCH_MS = 3;
const LONGEST_STRETCH_MS = 1_000;
/** Stretches of the present way before an experiment: what the work costs by its composition. */
const LEARNING_STRETCHES = 4;
/** Experiments take at most one part of the time in so many. */
const REST = 4;
const WRITES_BETWEEN_LOOKS = 64;

const tuners = new Map<string, Tuner>();

/**
 * The tuner that sends share which cost the same.
 * @param pattern names what they have in common
 */
export function tunerFor(pattern: string, starts: Starts): Tuner {
  const known = tuners.get(pattern);
  if (known !== undefined) return known;
  const tuner = new Tuner(starts);
  if (tuners.size >= MOST_TUNERS) tuners.delete(tuners.keys().next().value as string);
  tuners.set(pattern, tuner);
  return tuner;
}

type Phase = 'idle' | 'settling' | 'measuring';

/** What experiments measure with. */
export interface Clock {
  /** Milliseconds since any moment. */
  nowMs(): number;
  /** Nanoseconds of CPU that this thread has taken; 0 where that is not known. */
  cpuNs(): number;
}

const threadClock: Clock = {
  nowMs,
  cpuNs: () => loadNative().native?.threadCpuNs() ?? 0,
};

/** Experiments with the classes of some tuners, one at a time. */
export class Tuning {
  readonly #tuners: ReadonlyMap<string, Tuner>;
  readonly #clock: Clock;
  readonly #model = new CostModel();
  #phase: Phase = 'idle';
  #tuner: Tuner | undefined;
  #subject: SizeClass | undefined;
  #experiment = new Experiment();
  #alternative = false;
  #learning = 0;
  // Fractions from the start, and counts that stay small: a field that changes its representation later
  // would throw away the optimized code of every write.
  /** Share of the expected cost that the present way took in the stretch before. */
  #present = NaN;
  #experimentBegan = -Infinity;
  #turnedMs = -Infinity;
  #idleUntil = -Infinity;
  #measuringSince = -Infinity;
  #cpuBefore = -Infinity;
  /** What the subject had written as of the last turn. */
  #subjectWritten = 0;
  /** Since the present stretch began. */
  #writes = 0;
  #bytes = 0;
  #nextLook = WRITES_BETWEEN_LOOKS;

  constructor(tuners: ReadonlyMap<string, Tuner>, clock: Clock) {
    this.#tuners = tuners;
    this.#clock = clock;
  }

  /** How a write of a class goes now. */
  wayOf(sizeClass: SizeClass): Way {
    const { way } = sizeClass;
    if (!this.#alternative || sizeClass !== this.#subject) return way;
    const now = this.#clock.nowMs();
    // The traffic dried up: what still trickles does not go the other way for minutes.
    if (now - this.#turnedMs > LONGEST_STRETCH_MS) {
      this.#rest(now, this.#turnedMs);
      return way;
    }
    return sizeClass.otherWay;
  }

  /** A write is about to be made, of whatever size. */
  countWrite(bytes: number): void {
    this.#bytes += bytes;
    if (++this.#writes >= this.#nextLook) this.#look();
  }

  #look(): void {
    const now = this.#clock.nowMs();
    if (this.#phase === 'idle') {
      this.#lookAfter(WRITES_BETWEEN_LOOKS);
      if (now >= this.#idleUntil) this.#begin(now);
    } else if (this.#phase === 'settling') {
      this.#phase = 'measuring';
      this.#lookAfter(MEASURED_WRITES);
      this.#measuringSince = now;
      this.#cpuBefore = this.#clock.cpuNs();
    } else if (now - this.#measuringSince < SHORTEST_STRETCH_MS) {
      this.#nextLook = this.#writes + WRITES_BETWEEN_LOOKS / 4;
    } else {
      this.#measured(now);
    }
  }

  #lookAfter(writes: number): void {
    this.#writes = this.#bytes = 0;
    this.#nextLook = writes;
  }

  #begin(now: number): void {
    for (const tuner of this.#tuners.values()) {
      const due = tuner.mostDue(now);
      if (due === undefined) continue;
      this.#tuner = tuner;
      this.#subject = due;
      this.#experiment = new Experiment();
      this.#experimentBegan = now;
      this.#learning = LEARNING_STRETCHES;
      this.#turn('present');
      return;
    }
  }

  #turn(to: 'present' | 'alternative'): void {
    this.#turnedMs = this.#clock.nowMs();
    this.#subjectWritten = this.#subject?.kibibytes ?? 0;
    this.#alternative = to === 'alternative';
    this.#phase = 'settling';
    this.#lookAfter(SETTLING_WRITES);
  }

  #measured(now: number): void {
    // The traffic dried up meanwhile: what the thread did was something else.
    const since = this.#measuringSince;
    if (now - since > LONGEST_STRETCH_MS) return this.#rest(now, since);
    // None of its writes was asked about, as while zero copy pauses: nothing is to be learned of them.
    if (this.#subject?.kibibytes === this.#subjectWritten) return this.#rest(now, now);
    const work: Work = { writes: this.#writes, bytes: this.#bytes };
    const cost = this.#clock.cpuNs() - this.#cpuBefore;
    const expected = this.#model.predict(work);
    if (!this.#alternative) this.#model.learn(work, cost);
    if (this.#learning > 0 || expected === undefined) {
      this.#learning--;
      return this.#turn('present');
    }
    const share = cost / expected;
    if (!this.#alternative) {
      this.#present = share;
      return this.#turn('alternative');
    }
    const verdict = this.#experiment.pair(this.#present, share);
    if (verdict === undefined) return this.#turn('present');
    const subject = this.#subject as SizeClass;
    this.#tuner?.settle(subject, verdict, now);
    // Each duplicate is one more entry in epoll to be woken for.
    if (subject.way === 'copy') dropIdle();
    this.#rest(now, now);
  }

  /** @param endedMs when the last of it was done */
  #rest(now: number, endedMs: number): void {
    this.#alternative = false;
    this.#subject = undefined;
    this.#phase = 'idle';
    this.#idleUntil = now + (endedMs - this.#experimentBegan) * REST;
    this.#lookAfter(WRITES_BETWEEN_LOOKS);
  }
}

/** This environment's. */
export const tuning = new Tuning(tuners, threadClock);
