// Numbers that both sides of the addon have, because one of them is read with every write.
import assert from 'node:assert/strict';
import { loadNative, type Native } from '../../lib/native/binding';
import { MOST_HEADER } from '../../lib/native/stream-words';

describe('the limits that both sides of the addon share', () => {
  it('agree on the length of the longest header', () => {
    const { native } = loadNative() as { native: Native };
    assert.equal(MOST_HEADER, native.constants.MOST_TEXT);
  });
});
