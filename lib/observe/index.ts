// Counters, sums over all sockets, diagnostics channels, send reports, and `socket.zeroCopy`. The rooms above import
// these files directly; this index exports the public types.
// May import node.
export type { AbortReason } from './aggregate.js';
export type { ZeroCopyControl, ZeroCopyStats } from './control.js';
export type { Histogram, HistogramBucket } from './histogram.js';
export type { SendReport } from './report.js';
