// Which writes are worth sending without copying. Pure.

/**
 * Default threshold in bytes until it is measured per host. A stream breaks even at 2-3 KiB, but a
 * keep-alive HTTP response of 16 KiB still costs a quarter more than copying it, because a
 * notification and a wake-up come with each; at 64 KiB the two are level (docs/performance.md).
 */
export const DEFAULT_THRESHOLD_BYTES = 32 * 1024;

/**
 * A chunk below this never goes zero-copy by itself: each piece takes one of 17 fragment slots of a
 * packet and pins a page, which costs more than copying 2-4 KiB (docs/performance.md).
 */
export const MINIMUM_CHUNK_BYTES = 4096;

/** The chunk size from which a chunk counts towards `threshold`. */
export function minimumChunkBytes(threshold: number): number {
  return Math.min(MINIMUM_CHUNK_BYTES, Math.max(1, threshold));
}
