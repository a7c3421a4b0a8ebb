// From which size writes go without copying. Pure.

/**
 * Default threshold in bytes for a stream: writes that follow each other without data from the peer in
 * between, which share notifications and wake-ups. Also for datagrams, before segmentation: a send that a
 * device cuts up costs less from about 22 KB on (docs/performance.md).
 */
export const DEFAULT_THRESHOLD_BYTES = 32 * 1024;

/**
 * Default threshold in bytes for a response, the first write after data from the peer. A response pays for a
 * notification of its own, and with MSG_ZEROCOPY for a wake-up: at 64 KiB that costs more than the copy, by
 * either engine (docs/performance.md).
 */
export const RESPONSE_THRESHOLD_BYTES = 128 * 1024;

/**
 * A chunk below this never goes zero-copy by itself: each piece takes one of 17 fragment slots of a
 * packet and pins a page, which costs more than copying 4 KiB (docs/performance.md).
 */
export const MINIMUM_CHUNK_BYTES = 8192;

/** The size from which a chunk counts towards `threshold`. */
export function minimumChunkBytes(threshold: number): number {
  return Math.min(MINIMUM_CHUNK_BYTES, Math.max(1, threshold));
}
