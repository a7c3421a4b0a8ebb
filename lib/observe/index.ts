// Counters, sums over all sockets, diagnostics channels, warnings, send reports, and `socket.zeroCopy`. The rooms above
// import these files directly; this index exports the public types.
// May import node.
export type { AbortReason } from './aggregate.js';
export type { Thresholds, ZeroCopyControl, ZeroCopyState, ZeroCopyStats } from './control.js';
export type { Counters, DatagramCounters } from './counters.js';
export type { Histogram, HistogramBucket } from './histogram.js';
export type { SendReport } from './report.js';
