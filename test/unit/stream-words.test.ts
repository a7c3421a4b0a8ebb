// Numbers that both sides of the addon have, because one of them is read with every write.
import assert from 'node:assert/strict';
import { loadNative, type Native } from '../../lib/native/binding';
import { MOST_HEADER } from '../../lib/native/stream-words';

describe('what both sides of the addon know of a stream', () => {
  it('is the same number of characters for the longest header', () => {
    const { native } = loadNative() as { native: Native };
    assert.equal(MOST_HEADER, native.constants.MOST_TEXT);
  });
});
