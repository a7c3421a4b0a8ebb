// One connection's sends: which engine, what is held until the kernel releases it, whose callback comes then. The
// rooms above import its files directly; this index has what users see of it.
// May import memory, native, observe, node and policy.
export type { ZeroCopyOptions } from './options.js';
