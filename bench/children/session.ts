// What every Node child of the bench needs: its order, a way to answer, an end with its parent, and
// snapshots of what it cost so far.
import { readFileSync, writeSync } from 'node:fs';

import type { Snapshot, ZeroCopyTotals } from '../protocol';

/** The order the runner gave on the command line. */
export function takeOrder<T>(): T {
  endWithParent();
  return JSON.parse(process.argv[2] ?? '{}') as T;
}

/** Written at once: a message must not wait for a loop that a busy sender keeps from turning. */
export function say(message: { event: string }): void {
  writeSync(1, `${JSON.stringify(message)}\n`);
}

/** Answers each line of the runner. */
export function onAsked(answer: () => { event: string } | Promise<{ event: string }>): void {
  process.stdin.on('data', () => void Promise.resolve(answer()).then(say));
}

// The runner holds the other end of standard input; its end, however it came, is ours too. The
// handle is not referenced, so a child still ends by itself when its work is done.
function endWithParent(): void {
  process.stdin.on('end', () => process.exit(1)).resume();
  process.stdin.on('error', () => process.exit(1));
  (process.stdin as unknown as { unref?: () => void }).unref?.();
}

/** The CPU time includes all threads of the process; its sum is exact, its split is sampled. */
export function takeSnapshot(
  kernelThreads: readonly string[],
  done: { bytes: number; writes: number },
  zeroCopy: ZeroCopyTotals | undefined,
): Snapshot {
  const { user, system } = process.cpuUsage();
  const snapshot: Snapshot = {
    at: performance.now(),
    user,
    system,
    kernelThreads: kernelThreads.reduce((sum, file) => sum + timesOf(file).ran, 0),
    waited: timesOf('/proc/self/schedstat').waited,
    bytes: done.bytes,
    writes: done.writes,
  };
  if (zeroCopy) snapshot.zeroCopy = zeroCopy;
  return snapshot;
}

function timesOf(schedstat: string): { ran: number; waited: number } {
  const [ran, waited] = readFileSync(schedstat, 'utf8').split(' ').map(Number);
  return { ran: ran ?? 0, waited: waited ?? 0 };
}
