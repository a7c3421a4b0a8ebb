// Timers, ticks and the time as Node has them, taken when this package is loaded: what a test replaces
// later (jest, sinon, vitest and node:test fake globals, exports of node:timers and process.nextTick) must
// not hold up sends, and a window's timers (jsdom, Electron) are numbers. All of lib/ uses these.
import timers from 'node:timers';
import { performance } from 'node:perf_hooks';

export const { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate } = timers;

export const { nextTick } = process;

/** Milliseconds since some moment: never set back. */
export const nowMs: () => number = performance.now.bind(performance);
