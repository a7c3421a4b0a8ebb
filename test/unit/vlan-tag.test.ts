// Where a VLAN tag goes back into a received frame.
import assert from 'node:assert/strict';
import { withTag } from '../../lib/packet/offload';

const TAG = 0x88a80fff;
const TAG_BYTES = [0x88, 0xa8, 0x0f, 0xff];

describe('a VLAN tag', () => {
  it('is inserted behind both link addresses', () => {
    for (const length of [12, 13, 14, 60, 1514]) {
      const frame = Buffer.from(Array.from({ length }, (_, index) => index & 0xff));
      const tagged = [...frame.subarray(0, 12), ...TAG_BYTES, ...frame.subarray(12)];
      assert.deepEqual([...withTag(frame, TAG)], tagged);
    }
  });

  it('is not inserted into a frame that was truncated before its place', () => {
    for (const length of [0, 1, 11]) {
      const frame = Buffer.alloc(length, 7);
      assert.deepEqual(withTag(frame, TAG), frame);
    }
  });
});
