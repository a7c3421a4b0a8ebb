// Memory for bytes that are copied before the kernel takes them: nobody writes a piece of it twice
// while somebody holds it.
import assert from 'node:assert/strict';
import { type Lease, Staging, StagingArea } from '../../lib/memory/staging';
import { bytesOf, randomChunk } from '../helpers/mixed-chunks';
import { between, seededRandom } from '../helpers/prng';

const SLAB_BYTES = 256 * 1024;

function leaseOf(staging: Staging): Lease {
  assert.ok(staging.lease);
  return staging.lease;
}

describe('staging', () => {
  it('copies: what the owner does to a buffer later is not seen', () => {
    const chunk = Buffer.from('before');
    const staged = new Staging(new StagingArea()).bytes(chunk);
    chunk.fill('x');
    assert.equal(staged.toString(), 'before');
  });

  it('has no lease before something is staged', () => {
    assert.equal(new Staging(new StagingArea()).lease, undefined);
  });

  it('keeps what is leased, and uses the rest again, in any order of letting go', () => {
    const random = seededRandom(7);
    let slabs = 0;
    const area = new StagingArea({
      slabBytes: SLAB_BYTES,
      make: (bytes) => {
        slabs++;
        return Buffer.allocUnsafeSlow(bytes);
      },
    });
    const held: { staged: Buffer; expected: Buffer; staging: Staging; left: number }[] = [];
    for (let i = 0; i < 20_000; i++) {
      const staging = new Staging(area);
      const one = randomChunk(random, between(random, 1, random() < 0.02 ? 40_000 : 600));
      const { chunk, encoding } = one;
      const expected = Buffer.from(bytesOf(one));
      if (expected.length === 0) continue;
      const staged =
        typeof chunk === 'string' ? staging.text(chunk, encoding) : staging.bytes(chunk);
      const left = between(random, 1, 3);
      for (let n = 1; n < left; n++) staging.lease?.retain();
      held.push({ staged, expected, staging, left });
      while (held.length > 200) {
        const index = between(random, 0, held.length - 1);
        const gone = held[index] as (typeof held)[number];
        assert.ok(gone.staged.equals(gone.expected), `piece ${i} changed while it was leased`);
        leaseOf(gone.staging).release();
        if (--gone.left === 0) held.splice(index, 1);
      }
    }
    assert.ok(slabs < 30, `${slabs} slabs of memory for 200 small pieces at a time`);
  });

  it('gives memory out that overlaps no other', () => {
    const area = new StagingArea();
    const staging = new Staging(area);
    const pieces = Array.from({ length: 3000 }, (_, n) =>
      staging.bytes(Buffer.alloc(500, n % 251)),
    );
    pieces.forEach((piece, n) => assert.ok(piece.equals(Buffer.alloc(500, n % 251))));
    assert.ok(new Set(pieces.map((piece) => piece.buffer)).size > 4, 'slabs turn over');
    leaseOf(staging).release();
  });

  it('takes what is larger than a slab, and goes on afterwards', () => {
    const staging = new Staging(new StagingArea());
    const large = Buffer.alloc(SLAB_BYTES + 1, 5);
    const staged = staging.bytes(large);
    const after = staging.bytes(Buffer.from('after'));
    assert.ok(staged.equals(large));
    assert.equal(after.toString(), 'after');
    const text = 'é'.repeat(SLAB_BYTES);
    assert.ok(staging.text(text, 'utf8').equals(Buffer.from(text)));
  });

  it('gives the part of a slab back that a text did not need', () => {
    const staging = new Staging(new StagingArea());
    const start = staging.text('x'.repeat(5000), 'utf8');
    const next = staging.text('y', 'latin1');
    assert.equal(next.buffer, start.buffer);
    assert.equal(next.byteOffset, start.byteOffset + 5000);
  });

  it('lets go of every slab that one lease spans', () => {
    const sizes: number[] = [];
    const area = new StagingArea({
      slabBytes: SLAB_BYTES,
      make: (bytes) => {
        sizes.push(bytes);
        return Buffer.allocUnsafeSlow(bytes);
      },
    });
    for (let round = 0; round < 50; round++) {
      const staging = new Staging(area);
      for (let n = 0; n < 4; n++) staging.bytes(Buffer.alloc(200_000, n));
      leaseOf(staging).release();
    }
    assert.equal(sizes.length, 4, 'the second round needs no new memory');
  });

  it('gives slabs back to a source that wants them', () => {
    const out = new Set<Buffer>();
    const area = new StagingArea({
      slabBytes: 1000,
      make: (bytes) => {
        const memory = Buffer.allocUnsafeSlow(bytes);
        out.add(memory);
        return memory;
      },
      drop: (memory) => assert.ok(out.delete(memory), 'dropped twice'),
    });
    for (let round = 0; round < 100; round++) {
      const staging = new Staging(area);
      for (let n = 0; n < 5; n++) staging.bytes(Buffer.alloc(100 + 90 * n));
      staging.bytes(Buffer.alloc(3000));
      leaseOf(staging).release();
    }
    assert.equal(out.size, 1, 'the present one');
  });
});
