// How much of files one turn of the event loop moves. Each call of sendfile(2) works for as long as a copy of its
// bytes, or the receiver's end of a loopback connection, takes: timers and other connections have their turn
// in between, however many files there are.
import { AsyncResource } from 'node:async_hooks';
import { setImmediate } from '../node/clock.js';

/** About a millisecond where bytes are copied. */
const TURN_BYTES = 2 * 1024 * 1024;
/** Moves of so few bytes are what every write costs: nobody counts them. */
const SMALL_BYTES = 128 * 1024;

let left = TURN_BYTES;
let isScheduled = false;
/** First come, first served. */
let waiting: (() => void)[] = [];

/** Whether so many bytes may be moved now; otherwise waitForTurn(). */
export function hasTurn(bytes: number): boolean {
  return left > 0 || bytes <= SMALL_BYTES;
}

/** Tells of what was moved. */
export function useTurn(bytes: number): void {
  if (bytes <= SMALL_BYTES) return;
  left -= bytes;
  schedule();
}

/** Calls `step` in the caller's context when there is time for it. */
export function waitForTurn(step: () => void): void {
  waiting.push(AsyncResource.bind(step));
  schedule();
}

function schedule(): void {
  if (isScheduled) return;
  isScheduled = true;
  setImmediate(nextTurn);
}

function nextTurn(): void {
  isScheduled = false;
  left = TURN_BYTES;
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
