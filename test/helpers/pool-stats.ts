// What the tests of BufferPool look at: its stats, its pages and its errors.
import assert from 'node:assert/strict';
import { BufferPool, type BufferPoolStats } from '../../lib/index';

export const PAGE = 4096;

export const MIB = 1024 * 1024;

export const FOREIGN = { code: 'ERR_ZC_FOREIGN_BUFFER', name: 'ZeroCopyError' };

const NOTHING: Omit<BufferPoolStats, 'bytes'> = {
  usedBytes: 0,
  pieces: 0,
  pinnedPieces: 0,
  waitingFrees: 0,
  fallbackAllocations: 0,
  leakedPieces: 0,
};

export function assertStats(pool: BufferPool, expected: Partial<BufferPoolStats>): void {
  const { bytes, ...rest } = pool.stats;
  assert.deepEqual({ bytes, ...rest }, { bytes, ...NOTHING, ...expected });
}

export function isFilledWith(bytes: Uint8Array, value: number): boolean {
  return bytes.every((byte) => byte === value);
}

/** Takes everything that is left of a pool, page by page. */
export function exhaust(pool: BufferPool): Buffer[] {
  const { bytes, usedBytes } = pool.stats;
  return Array.from({ length: (bytes - usedBytes) / PAGE }, () => pool.allocUnsafe(PAGE));
}

export function overlap(a: Buffer, b: Buffer): boolean {
  return (
    a.buffer === b.buffer &&
    a.byteOffset < b.byteOffset + b.length &&
    b.byteOffset < a.byteOffset + a.length
  );
}
