// What is counted and published: counters, sums over all sockets, diagnostics channels, the report of a send, and
// what users see of a socket. The rooms above import its files directly; this index has what users see of it.
// May import node.
export type { AbortReason } from './aggregate.js';
export type { ZeroCopyControl, ZeroCopyStats } from './control.js';
export type { Histogram, HistogramBucket } from './histogram.js';
export type { SendReport } from './report.js';
