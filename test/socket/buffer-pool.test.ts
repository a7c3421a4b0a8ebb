// BufferPool: what it hands out, what it takes back, and when it hands that out again.
import assert from 'node:assert/strict';
import { BufferPool, type BufferPoolOptions } from '../../lib/index';
import { isPoolMemory, pinPieces } from '../../lib/memory/pool-pins';
import { between, seededRandom } from '../../scripts/random';
import { assertStats, exhaust, FOREIGN, isFilledWith, MIB, PAGE } from '../helpers/pool-stats';

const WRONG_TYPE = { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' };
const OUT_OF_RANGE = { code: 'ERR_OUT_OF_RANGE', name: 'RangeError' };

describe('BufferPool', () => {
  describe('options', () => {
    it('default to 32 MiB of small pages', () => {
      for (const pool of [new BufferPool(), new BufferPool({}), new BufferPool(undefined)]) {
        assertStats(pool, { bytes: 32 * MIB });
      }
    });

    it('round the size up to whole pages', () => {
      for (const [bytes, rounded] of [
        [PAGE, PAGE],
        [PAGE + 1, 2 * PAGE],
        [MIB - 1, MIB],
      ] as const) {
        assertStats(new BufferPool({ bytes }), { bytes: rounded });
      }
    });

    const wrong: readonly (readonly [unknown, object])[] = [
      [null, WRONG_TYPE],
      ['32', WRONG_TYPE],
      [{ bytes: '65536' }, WRONG_TYPE],
      [{ bytes: null }, WRONG_TYPE],
      [{ bytes: 65_536n }, WRONG_TYPE],
      [{ bytes: 0 }, OUT_OF_RANGE],
      [{ bytes: -65_536 }, OUT_OF_RANGE],
      [{ bytes: PAGE - 1 }, OUT_OF_RANGE],
      [{ bytes: 65_536.5 }, OUT_OF_RANGE],
      [{ bytes: NaN }, OUT_OF_RANGE],
      [{ bytes: Infinity }, OUT_OF_RANGE],
      [{ bytes: 1024 * MIB + 1 }, OUT_OF_RANGE],
      [{ hugePages: 1 }, WRONG_TYPE],
      [{ hugePages: null }, WRONG_TYPE],
      [{ hugePages: 'yes' }, OUT_OF_RANGE],
    ];
    it('are refused when they are invalid', () => {
      for (const [options, error] of wrong) {
        assert.throws(() => new BufferPool(options as BufferPoolOptions), error);
      }
    });
  });

  it('reports whether its memory is registered, or why not', () => {
    const pool = new BufferPool({ bytes: MIB });
    if (pool.registered) assert.equal(pool.reason, undefined);
    else assert.match(pool.reason ?? '', /\w/);
  });

  it('has stats that are a frozen snapshot', () => {
    const pool = new BufferPool({ bytes: MIB });
    const { stats } = pool;
    pool.alloc(1);
    assert.equal(stats.pieces, 0);
    assert.ok(Object.isFrozen(stats));
    assert.equal(pool.stats.pieces, 1);
  });

  describe('a piece', () => {
    it('is page-aligned and has whole pages to itself', () => {
      const pool = new BufferPool({ bytes: MIB });
      let usedBytes = 0;
      for (const size of [1, PAGE - 1, PAGE, PAGE + 1, 100_000]) {
        for (const piece of [pool.alloc(size), pool.allocUnsafe(size)]) {
          assert.equal(piece.length, size);
          assert.equal(piece.byteOffset % PAGE, 0);
          assert.ok(Buffer.isBuffer(piece));
          usedBytes += Math.ceil(size / PAGE) * PAGE;
        }
      }
      assertStats(pool, { pieces: 10, usedBytes });
    });

    it('is zero-filled by alloc(), even over old bytes, and not by allocUnsafe()', () => {
      const pool = new BufferPool({ bytes: 16 * PAGE });
      const dirty = pool.allocUnsafe(16 * PAGE).fill(0xab);
      pool.free(dirty);
      const unsafe = pool.allocUnsafe(16 * PAGE);
      assert.ok(isFilledWith(unsafe, 0xab));
      pool.free(unsafe);
      assert.ok(isFilledWith(pool.alloc(16 * PAGE), 0));
    });

    it('of 0 bytes takes no page, and can be freed only once', () => {
      const pool = new BufferPool({ bytes: PAGE });
      const pieces = [pool.alloc(0), pool.allocUnsafe(0)];
      assertStats(pool, {});
      for (const piece of pieces) {
        assert.equal(piece.length, 0);
        assert.equal(pinPieces([piece]), undefined);
        pool.free(piece);
        assert.throws(() => pool.free(piece), FOREIGN);
      }
    });

    it('of an invalid size is refused, and no page is taken', () => {
      const pool = new BufferPool({ bytes: MIB });
      for (const method of ['alloc', 'allocUnsafe'] as const) {
        for (const size of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
          assert.throws(() => pool[method](size), OUT_OF_RANGE);
        }
        for (const size of [undefined, null, '1', 1n, {}]) {
          assert.throws(() => pool[method](size as number), WRONG_TYPE);
        }
      }
      assertStats(pool, {});
    });

    it('never overlaps another, whatever was allocated and freed before', () => {
      const pool = new BufferPool({ bytes: 256 * PAGE });
      const random = seededRandom(0x9001);
      const held: { piece: Buffer; value: number }[] = [];
      for (let step = 0; step < 3_000; step++) {
        if (held.length > 0 && random() < 0.5) {
          const [{ piece, value }] = held.splice(between(random, 0, held.length - 1), 1) as [
            { piece: Buffer; value: number },
          ];
          assert.ok(isFilledWith(piece, value), `step ${step}`);
          pool.free(piece);
        } else {
          const value = step & 0xff;
          const piece = pool.allocUnsafe(between(random, 1, 32 * PAGE)).fill(value);
          held.push({ piece, value });
        }
      }
      assert.ok(pool.stats.fallbackAllocations > 0, 'the pool was full at times');
      for (const { piece, value } of held) {
        assert.ok(isFilledWith(piece, value));
        pool.free(piece);
      }
      const { fallbackAllocations } = pool.stats;
      assertStats(pool, { fallbackAllocations });
      assert.ok(isPoolMemory(pool.allocUnsafe(256 * PAGE)), 'all of it is one run again');
    });
  });

  describe('free()', () => {
    it('makes its pages available at once', () => {
      const pool = new BufferPool({ bytes: 4 * PAGE });
      for (let i = 0; i < 100; i++) {
        const piece = pool.allocUnsafe(4 * PAGE);
        assert.ok(isPoolMemory(piece));
        assertStats(pool, { pieces: 1, usedBytes: 4 * PAGE });
        pool.free(piece);
      }
      assertStats(pool, {});
    });

    it('accepts only the object that its pool returned, and only once', () => {
      const [pool, other] = [new BufferPool({ bytes: MIB }), new BufferPool({ bytes: MIB })];
      const piece = pool.alloc(2 * PAGE);
      const foreign = [
        piece.subarray(0),
        piece.subarray(0, PAGE),
        Buffer.from(piece.buffer, piece.byteOffset, piece.length),
        other.alloc(PAGE),
        Buffer.alloc(PAGE),
        new Uint8Array(0),
      ];
      for (const buffer of foreign) assert.throws(() => pool.free(buffer as Buffer), FOREIGN);
      assertStats(pool, { pieces: 1, usedBytes: 2 * PAGE });
      assert.throws(() => other.free(piece), FOREIGN);
      pool.free(piece);
      assert.throws(() => pool.free(piece), FOREIGN);
      // Nor when the memory has another owner by now.
      const next = pool.alloc(2 * PAGE);
      assert.equal(next.byteOffset, piece.byteOffset);
      assert.throws(() => pool.free(piece), FOREIGN);
      assertStats(pool, { pieces: 1, usedBytes: 2 * PAGE });
    });

    it('refuses what is not a buffer', () => {
      const pool = new BufferPool({ bytes: MIB });
      for (const value of [undefined, null, 1, 'piece', {}, [], new ArrayBuffer(1)]) {
        assert.throws(() => pool.free(value as Buffer), WRONG_TYPE);
      }
    });
  });

  describe('when it is exhausted', () => {
    it('returns ordinary memory, which is counted and freed the same way', () => {
      const pool = new BufferPool({ bytes: 8 * PAGE });
      const own = exhaust(pool);
      assert.ok(own.every((piece) => isPoolMemory(piece)));
      const ordinary = [pool.alloc(PAGE), pool.allocUnsafe(1), pool.alloc(100_000)];
      const full = { pieces: 8, usedBytes: 8 * PAGE, fallbackAllocations: 3 };
      assertStats(pool, full);
      for (const piece of ordinary) {
        assert.ok(!isPoolMemory(piece));
        assert.equal(piece.buffer.byteLength, piece.length, 'not a slice of a shared slab');
      }
      assert.ok(isFilledWith(ordinary[0] as Buffer, 0));
      for (const piece of ordinary) pool.free(piece);
      for (const piece of ordinary) assert.throws(() => pool.free(piece), FOREIGN);
      assertStats(pool, full);
      for (const piece of own) pool.free(piece);
      assertStats(pool, { fallbackAllocations: 3 });
    });

    it('returns ordinary memory for sizes larger than the pool', () => {
      const pool = new BufferPool({ bytes: 8 * PAGE });
      const piece = pool.alloc(8 * PAGE + 1);
      assert.equal(piece.length, 8 * PAGE + 1);
      assertStats(pool, { fallbackAllocations: 1 });
      pool.free(piece);
    });

    it('returns ordinary memory for sizes larger than every gap', () => {
      const pool = new BufferPool({ bytes: 8 * PAGE });
      const own = exhaust(pool);
      for (const index of [0, 2, 4, 6]) pool.free(own[index] as Buffer);
      assert.ok(!isPoolMemory(pool.alloc(2 * PAGE)));
      assert.ok(isPoolMemory(pool.alloc(PAGE)));
    });
  });
});
