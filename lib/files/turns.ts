// Limits how long sendfile(2) may run in one turn of the event loop, so that timers and other connections get
// their turn however many files are being sent. A call takes as long as copying its bytes, or, over loopback,
// as receiving them. The limit is a time and not a number of bytes: over loopback the same bytes take ten
// times as long as on a network card.
import { setImmediate } from '../node/clock.js';

const TURN_MICROSECONDS = 1000;
/** Moving fewer bytes costs no more than an ordinary write, and is not counted. */
const SMALL_BYTES = 128 * 1024;

let left = TURN_MICROSECONDS;
let isScheduled = false;
/** Steps that wait for a turn, first come, first served. */
let waiting: (() => void)[] = [];

/** For how many microseconds `bytes` may be moved now; 0 or less: call waitForTurn(). */
export function turnFor(bytes: number): number {
  return left > 0 || bytes > SMALL_BYTES ? left : TURN_MICROSECONDS;
}

/** Counts what was moved and how long it took. Time that a turn leaves over goes to the next ones. */
export function useTurn(bytes: number, microseconds: number): void {
  if (bytes <= SMALL_BYTES) return;
  left -= microseconds;
  if (left <= 0) schedule();
}

/** Calls `step` when there is time for it; the async context is undefined. */
export function waitForTurn(step: () => void): void {
  waiting.push(step);
  schedule();
}

function schedule(): void {
  if (isScheduled) return;
  isScheduled = true;
  setImmediate(nextTurn);
}

function nextTurn(): void {
  isScheduled = false;
  left = TURN_MICROSECONDS;
  const steps = waiting;
  waiting = [];
  let at = 0;
  try {
    while (at < steps.length && left > 0) (steps[at++] as () => void)();
  } finally {
    // Also if a listener throws. The rest goes before steps that were added meanwhile.
    if (at < steps.length) waiting = [...steps.slice(at), ...waiting];
    if (waiting.length > 0) schedule();
  }
}
