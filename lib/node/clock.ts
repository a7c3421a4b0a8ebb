// Node's timers, ticks and clock, captured when this package is loaded. Fake timers that tests install later (jest,
// sinon, vitest, node:test) must not hold up sends, and the timers of a window (jsdom, Electron) are numbers. All of
// lib/ uses these.
import timers from 'node:timers';
import { performance } from 'node:perf_hooks';

export const { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate } = timers;

export const { nextTick } = process;

/** Milliseconds of a monotonic clock. */
export const nowMs: () => number = performance.now.bind(performance);
