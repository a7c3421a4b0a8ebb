// Memory to send from: pools, pages, pins, what cannot be pinned, and detectMutation. The rooms above import these
// files directly; this index exports what is public.
// May import native, observe, node and policy.
export { BufferPool } from './buffer-pool.js';
export type { BufferPoolOptions, BufferPoolStats, PoolBuffer } from './buffer-pool.js';
