// What the next owner of a pool's memory does to it.
import type { BufferPool } from '../../lib/index';
import { OVERWRITTEN } from '../../scripts/pattern';
import { until } from '../../scripts/until';

const BYTES = 16 * 1024;

/** Takes all that is free of a pool, overwrites it and gives it back. */
export function overwriteFree(pool: BufferPool): void {
  const pieces: Buffer[] = [];
  const before = pool.stats.fallbackAllocations;
  while (pool.stats.fallbackAllocations === before) pieces.push(pool.allocUnsafe(BYTES));
  for (const piece of pieces) pool.free(piece.fill(OVERWRITTEN));
}

/** Settles when nothing of a pool is handed out, pinned or waits to be free. */
export async function untilBack(pool: BufferPool): Promise<void> {
  await until('all pieces are back', () => pool.stats.pieces + pool.stats.pinnedPieces === 0);
}
