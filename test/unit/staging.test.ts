// Memory for small bytes that ride beside large ones: nobody writes a piece of it twice.
import assert from 'node:assert/strict';
import { stageBytes, stageText } from '../../lib/staging';
import { bytesOf, randomChunk } from '../helpers/mixed-chunks';
import { between, seededRandom } from '../helpers/prng';

const SLAB_BYTES = 64 * 1024;

describe('staging', () => {
  it('copies: what the owner does to a buffer later is not seen', () => {
    const chunk = Buffer.from('before');
    const staged = stageBytes(chunk);
    chunk.fill('x');
    assert.equal(staged.toString(), 'before');
  });

  it('gives memory out that overlaps no other, over many slabs', () => {
    const random = seededRandom(7);
    const held: { staged: Buffer; expected: Buffer }[] = [];
    for (let i = 0; i < 4000; i++) {
      const one = randomChunk(random, between(random, 0, random() < 0.02 ? 40_000 : 600));
      const { chunk, encoding } = one;
      const staged = typeof chunk === 'string' ? stageText(chunk, encoding) : stageBytes(chunk);
      held.push({ staged, expected: Buffer.from(bytesOf(one)) });
    }
    const slabs = new Map<ArrayBufferLike, [number, number][]>();
    for (const { staged, expected } of held) {
      assert.ok(staged.equals(expected));
      const ranges = slabs.get(staged.buffer) ?? [];
      ranges.push([staged.byteOffset, staged.byteOffset + staged.length]);
      slabs.set(staged.buffer, ranges);
    }
    assert.ok(slabs.size > 10, 'slabs turn over');
    for (const ranges of slabs.values()) {
      ranges.sort(([a], [b]) => a - b);
      ranges.reduce(([, end], next) => {
        assert.ok(next[0] >= end, 'two pieces overlap');
        return next;
      });
    }
  });

  it('takes what is larger than a slab, and goes on afterwards', () => {
    const large = Buffer.alloc(SLAB_BYTES + 1, 5);
    const staged = stageBytes(large);
    const after = stageBytes(Buffer.from('after'));
    assert.ok(staged.equals(large));
    assert.equal(after.toString(), 'after');
    assert.ok(
      stageText('é'.repeat(SLAB_BYTES), 'utf8').equals(Buffer.from('é'.repeat(SLAB_BYTES))),
    );
  });

  it('gives the part of a slab back that a text did not need', () => {
    const start = stageText('x'.repeat(5000), 'latin1');
    const next = stageText('y', 'latin1');
    assert.equal(next.buffer, start.buffer);
    assert.equal(next.byteOffset, start.byteOffset + 5000);
  });
});
