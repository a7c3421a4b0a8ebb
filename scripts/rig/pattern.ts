// The bytes that the helper's zc-probe sends; see make_pattern in scripts/rig-helper.c.
import { createHash } from 'node:crypto';

const PATTERN_BYTES = 1024 * 1024;

/** The SHA-256, in hexadecimal, of the first `bytes` bytes of the probe's stream. */
export function patternHash(bytes: number): string {
  const pattern = Buffer.alloc(PATTERN_BYTES);
  for (let i = 0; i < PATTERN_BYTES; i++) pattern[i] = i * 31 + (i >> 8) * 17 + (i >> 16);
  const hash = createHash('sha256');
  for (let left = bytes; left > 0; left -= PATTERN_BYTES) {
    hash.update(pattern.subarray(0, Math.min(left, PATTERN_BYTES)));
  }
  return hash.digest('hex');
}
