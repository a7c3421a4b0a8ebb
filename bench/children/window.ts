// The measured window of a server: from a while after its first request on.
import { setTimeout as sleep } from 'node:timers/promises';

import type { Result, Snapshot, WindowOrder } from '../protocol';
import { say } from './session';

/** Of answers that are larger only a few end within a window: they are counted by what left of them. */
const mostCounted = 1_048_576;

/** What was done until now: whole answers, or parts of large ones. @param left asked for the bytes of all answers */
export function doneOf(
  bytes: number,
  requests: number,
  left: () => number,
): { bytes: number; writes: number } {
  if (bytes <= mostCounted) return { bytes: requests * bytes, writes: requests };
  const all = left();
  return { bytes: all, writes: all / bytes };
}

/** Warms up from the first request on, measures, and tells what came of it. */
export async function tellWindow(
  { warmup, seconds }: WindowOrder,
  firstRequest: Promise<void>,
  snapshot: () => Snapshot | Promise<Snapshot>,
  verdict: () => Partial<Result> = () => ({}),
): Promise<void> {
  await firstRequest;
  await sleep(warmup * 1000);
  const start = await snapshot();
  const loop = performance.eventLoopUtilization();
  await sleep(seconds * 1000);
  const { utilization: loopUtilization } = performance.eventLoopUtilization(loop);
  const end = await snapshot();
  const result: Result = { event: 'result', start, end, loopUtilization, ...verdict() };
  say(result);
}
