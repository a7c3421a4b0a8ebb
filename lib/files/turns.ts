// How long files may be moved until the event loop turns. Each call of sendfile(2) works for as long as a copy of its
// bytes, or the receiver's end of a loopback connection, takes: timers and other connections have their turn
// in between, however many files there are. Time, not bytes: a network card takes in a turn what loopback takes in ten.
import { setImmediate } from '../node/clock.js';

const TURN_MICROSECONDS = 1000;
/** Moves of so few bytes are what every write costs: nobody counts them. */
const SMALL_BYTES = 128 * 1024;

let left = TURN_MICROSECONDS;
let isScheduled = false;
/** First come, first served. */
let waiting: (() => void)[] = [];

/** For how many microseconds so many bytes may be moved now; none: waitForTurn(). */
export function turnFor(bytes: number): number {
  return left > 0 || bytes > SMALL_BYTES ? left : TURN_MICROSECONDS;
}

/** Tells of what was moved, and how long it took. Turns that leave time over leave it to the next ones. */
export function useTurn(bytes: number, microseconds: number): void {
  if (bytes <= SMALL_BYTES) return;
  left -= microseconds;
  if (left <= 0) schedule();
}

/** Calls `step`, in nobody's context, when there is time for it. */
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
    // Also when somebody's listener throws. In front of those that came back meanwhile.
    if (at < steps.length) waiting = [...steps.slice(at), ...waiting];
    if (waiting.length > 0) schedule();
  }
}
