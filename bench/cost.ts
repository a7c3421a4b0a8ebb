// From two snapshots of a sender to what its work cost. Pure.
import type { Result, ZeroCopyTotals } from './protocol';
import type { Measured, ZeroCopyUse } from './trials';

export interface Cost {
  seconds: number;
  bytes: number;
  writes: number;
  /** CPU seconds of the sending process, softirq work on top of it included. */
  proc: number;
  user: number;
  system: number;
  /** CPU seconds of the kernel threads that work for it. */
  softirq: number;
  /** Part of the time, 0 to 1, in which other processes had the sender's CPU. */
  disturbed: number;
}

export function costOf({ start, end }: Result): Cost {
  const nanoseconds = (end.at - start.at) * 1e6;
  const kernelThreads = end.kernelThreads - start.kernelThreads;
  // The kernel threads of its own have a right to make it wait.
  const disturbed = within((end.waited - start.waited - kernelThreads) / nanoseconds);
  const user = (end.user - start.user) / 1e6;
  const system = (end.system - start.system) / 1e6;
  return {
    seconds: (end.at - start.at) / 1e3,
    bytes: end.bytes - start.bytes,
    writes: end.writes - start.writes,
    proc: user + system,
    user,
    system,
    softirq: kernelThreads / 1e9,
    disturbed,
  };
}

/** Undefined for a contestant that knows no zero copy. */
export function zeroCopyUseOf(result: Result): ZeroCopyUse | undefined {
  const { start, end, engine, state, reason, poolReason } = result;
  if (!end.zeroCopy || !start.zeroCopy) return undefined;
  const counters = difference(end.zeroCopy, start.zeroCopy);
  const sends = counters['zeroCopySends'] ?? 0;
  const copied = counters['kernelCopiedSends'] ?? 0;
  const known = sends - (counters['unknownSends'] ?? 0);
  const bytes = end.bytes - start.bytes;
  return {
    ...(engine !== undefined && { engine }),
    ...(state !== undefined && { state }),
    ...(reason !== undefined && { reason }),
    ...(poolReason !== undefined && { poolReason }),
    sends,
    // Reports lag behind sends, so at the edges of a window either can exceed the other a little.
    share: bytes > 0 ? within((counters['zeroCopyBytes'] ?? 0) / bytes) : 0,
    known: sends > 0 ? within(known / sends) : 0,
    copied: copied > 0 ? within(copied / Math.max(known, copied)) : 0,
    counters,
  };
}

function within(part: number): number {
  return Math.min(1, Math.max(0, part));
}

/** A trial of `figures` with the use of zero copy beside it. */
export function trialOf(result: Result, figures: Record<string, number>): Measured {
  const zeroCopy = zeroCopyUseOf(result);
  const { disturbed } = costOf(result);
  return zeroCopy ? { figures, disturbed, zeroCopy } : { figures, disturbed };
}

function difference(end: ZeroCopyTotals, start: ZeroCopyTotals): Record<string, number> {
  return Object.fromEntries(
    Object.entries(end).map(([name, value]) => [name, value - (start[name] ?? 0)]),
  );
}
