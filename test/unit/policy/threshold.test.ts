// From which size a write, and a chunk of it, goes zero-copy.
import assert from 'node:assert/strict';
import {
  DEFAULT_THRESHOLD_BYTES,
  MINIMUM_CHUNK_BYTES,
  minimumChunkBytes,
} from '../../../lib/policy/threshold';

describe('policy: threshold', () => {
  it('is a multiple of the page size by default, and above the smallest chunk', () => {
    assert.equal(DEFAULT_THRESHOLD_BYTES % 4096, 0);
    assert.ok(DEFAULT_THRESHOLD_BYTES > MINIMUM_CHUNK_BYTES);
  });

  const table = [
    [0, 1],
    [1, 1],
    [2, 2],
    [4095, 4095],
    [8192, 8192],
    [8193, 8192],
    [DEFAULT_THRESHOLD_BYTES, MINIMUM_CHUNK_BYTES],
    [Number.MAX_SAFE_INTEGER, MINIMUM_CHUNK_BYTES],
  ] as const;
  for (const [threshold, chunk] of table) {
    it(`counts chunks from ${chunk} bytes with a threshold of ${threshold}`, () => {
      assert.equal(minimumChunkBytes(threshold), chunk);
    });
  }
});
