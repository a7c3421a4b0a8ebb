// Memory that is sent: pools, pages, pins, and the watch for buffers that change too
// early. The rooms above import its files directly; this index has what users see of it.
// May import native, observe, node and policy.
export { BufferPool } from './buffer-pool.js';
export type { BufferPoolOptions, BufferPoolStats, PoolBuffer } from './buffer-pool.js';
