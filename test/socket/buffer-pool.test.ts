// BufferPool: what it hands out, what it takes back and when it hands that out again, also to those who
// drop pieces, transfer them, or have no addon.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import path from 'node:path';
import v8 from 'node:v8';
import vm from 'node:vm';
import { Worker } from 'node:worker_threads';
import { BufferPool, type BufferPoolOptions, type BufferPoolStats } from '../../lib/index';
import { isPoolMemory, pinPieces, unpinPieces } from '../../lib/memory/pool-pins';
import { isolated } from '../helpers/isolated';
import { gather, loopback, sha256 } from '../helpers/loopback';
import { between, seededRandom } from '../../scripts/random';
import { until } from '../../scripts/until';
import type { SlabAnswers, SlabCall } from '../scenarios/buffer-pool-addon';

v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc') as () => void;

const PAGE = 4096;
const KIB = 1024;
const MIB = KIB * KIB;

const FOREIGN = { code: 'ERR_ZC_FOREIGN_BUFFER', name: 'ZeroCopyError' };
const WRONG_TYPE = { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' };
const OUT_OF_RANGE = { code: 'ERR_OUT_OF_RANGE', name: 'RangeError' };

const NOTHING: Omit<BufferPoolStats, 'bytes'> = {
  usedBytes: 0,
  pieces: 0,
  pinnedPieces: 0,
  waitingFrees: 0,
  fallbackAllocations: 0,
  leakedPieces: 0,
};

function assertStats(pool: BufferPool, expected: Partial<BufferPoolStats>): void {
  const { bytes, ...rest } = pool.stats;
  assert.deepEqual({ bytes, ...rest }, { bytes, ...NOTHING, ...expected });
}

function isFilledWith(bytes: Uint8Array, value: number): boolean {
  return bytes.every((byte) => byte === value);
}

/** Takes everything that is left of a pool, page by page. */
function exhaust(pool: BufferPool): Buffer[] {
  const { bytes, usedBytes } = pool.stats;
  return Array.from({ length: (bytes - usedBytes) / PAGE }, () => pool.allocUnsafe(PAGE));
}

function overlap(a: Buffer, b: Buffer): boolean {
  return (
    a.buffer === b.buffer &&
    a.byteOffset < b.byteOffset + b.length &&
    b.byteOffset < a.byteOffset + a.length
  );
}

async function untilCollected(what: string, condition: () => boolean): Promise<void> {
  const looked = async (): Promise<boolean> => {
    // A WeakRef's target survives the turn in which it was read.
    await new Promise((resolve) => setImmediate(resolve));
    collect();
    return condition();
  };
  await until(what, looked);
}

describe('a pool of buffers', () => {
  describe('its options', () => {
    it('are 32 MiB of small pages by default', () => {
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
    it('are refused when they are wrong', () => {
      for (const [options, error] of wrong) {
        assert.throws(() => new BufferPool(options as BufferPoolOptions), error);
      }
    });
  });

  it('says whether its memory is registered, or why not', () => {
    const pool = new BufferPool({ bytes: MIB });
    if (pool.registered) assert.equal(pool.reason, undefined);
    else assert.match(pool.reason ?? '', /\w/);
  });

  it('tells of a moment: its stats do not change, by anybody', () => {
    const pool = new BufferPool({ bytes: MIB });
    const { stats } = pool;
    pool.alloc(1);
    assert.equal(stats.pieces, 0);
    assert.ok(Object.isFrozen(stats));
    assert.equal(pool.stats.pieces, 1);
  });

  describe('a piece', () => {
    it('begins at a page and has whole pages to itself', () => {
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

    it('is filled with zeros by alloc(), also over old bytes, and is not by allocUnsafe()', () => {
      const pool = new BufferPool({ bytes: 16 * PAGE });
      const dirty = pool.allocUnsafe(16 * PAGE).fill(0xab);
      pool.free(dirty);
      const unsafe = pool.allocUnsafe(16 * PAGE);
      assert.ok(isFilledWith(unsafe, 0xab));
      pool.free(unsafe);
      assert.ok(isFilledWith(pool.alloc(16 * PAGE), 0));
    });

    it('of no bytes takes nothing, and is freed once as the others', () => {
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

    it('of a size that is none is refused, and nothing is taken', () => {
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

    it('never lies in another one, whatever was taken and freed before', () => {
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
    it('makes room at once', () => {
      const pool = new BufferPool({ bytes: 4 * PAGE });
      for (let i = 0; i < 100; i++) {
        const piece = pool.allocUnsafe(4 * PAGE);
        assert.ok(isPoolMemory(piece));
        assertStats(pool, { pieces: 1, usedBytes: 4 * PAGE });
        pool.free(piece);
      }
      assertStats(pool, {});
    });

    it('takes the very object that was handed out, once, in its own pool', () => {
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
      // Not either when the memory is somebody else's by now.
      const next = pool.alloc(2 * PAGE);
      assert.equal(next.byteOffset, piece.byteOffset);
      assert.throws(() => pool.free(piece), FOREIGN);
      assertStats(pool, { pieces: 1, usedBytes: 2 * PAGE });
    });

    it('refuses what is no buffer', () => {
      const pool = new BufferPool({ bytes: MIB });
      for (const value of [undefined, null, 1, 'piece', {}, [], new ArrayBuffer(1)]) {
        assert.throws(() => pool.free(value as Buffer), WRONG_TYPE);
      }
    });
  });

  describe('when it is exhausted', () => {
    it('hands out ordinary memory, which is counted and freed the same way', () => {
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

    it('hands out ordinary memory for what is larger than it', () => {
      const pool = new BufferPool({ bytes: 8 * PAGE });
      const piece = pool.alloc(8 * PAGE + 1);
      assert.equal(piece.length, 8 * PAGE + 1);
      assertStats(pool, { fallbackAllocations: 1 });
      pool.free(piece);
    });

    it('hands out ordinary memory for what is longer than each hole', () => {
      const pool = new BufferPool({ bytes: 8 * PAGE });
      const own = exhaust(pool);
      for (const index of [0, 2, 4, 6]) pool.free(own[index] as Buffer);
      assert.ok(!isPoolMemory(pool.alloc(2 * PAGE)));
      assert.ok(isPoolMemory(pool.alloc(PAGE)));
    });
  });

  describe('a piece that is pinned', () => {
    it('is handed out again at its last unpin and not before', () => {
      const pool = new BufferPool({ bytes: 4 * PAGE });
      const piece = pool.allocUnsafe(2 * PAGE);
      // Two sends: two views of one, and one of the other.
      const first = pinPieces([piece.subarray(0, 10), piece.subarray(PAGE)]);
      const second = pinPieces([piece]);
      assert.ok(first !== undefined && second !== undefined);
      assert.deepEqual([first.length, second.length], [2, 1]);
      assertStats(pool, { pieces: 1, usedBytes: 2 * PAGE, pinnedPieces: 1 });
      pool.free(piece);
      const waiting = { pieces: 1, usedBytes: 2 * PAGE, pinnedPieces: 1, waitingFrees: 1 };
      assertStats(pool, waiting);
      assert.throws(() => pool.free(piece), FOREIGN);
      unpinPieces(first);
      assertStats(pool, waiting);
      const others = exhaust(pool);
      assert.ok(others.every((other) => !overlap(other, piece)));
      assert.ok(!isPoolMemory(pool.allocUnsafe(PAGE)));
      unpinPieces(second);
      assertStats(pool, { pieces: 2, usedBytes: 2 * PAGE, fallbackAllocations: 1 });
      assert.ok(overlap(pool.allocUnsafe(2 * PAGE), piece));
    });

    it('is its owner’s still when it is unpinned without free()', () => {
      const pool = new BufferPool({ bytes: 2 * PAGE });
      const piece = pool.allocUnsafe(2 * PAGE);
      for (let i = 0; i < 3; i++) unpinPieces(pinPieces([piece]) ?? []);
      assertStats(pool, { pieces: 1, usedBytes: 2 * PAGE });
      pool.free(piece);
      assertStats(pool, {});
    });
  });

  for (const engine of ['msg_zerocopy', 'io_uring'] as const) {
    describe(`a piece that is being sent, engine ${engine}`, () => {
      const connections = loopback();

      it('and is freed before its release goes out as it was, and is back behind it', async () => {
        const { sender, receiver } = await connections.pair({ engine, threshold: 1 });
        const pool = new BufferPool({ bytes: 4 * MIB });
        const pieces = Array.from({ length: 8 }, (_, i) => pool.allocUnsafe(MIB / 4).fill(i + 1));
        const expected = sha256(...pieces);
        for (const piece of pieces) sender.write(piece);
        await until('all is accepted', () => sender.writableLength === 0);
        for (const piece of pieces) pool.free(piece);
        const { waitingFrees } = pool.stats;
        if (sender.zeroCopy.engine === engine) {
          assert.ok(waitingFrees >= 4, `only ${waitingFrees} wait, and the receiver has not read`);
        }
        // Everything that the pool has, overwritten: none of it may be on its way.
        for (const other of exhaust(pool)) other.fill(0xff);
        sender.end();
        assert.deepEqual(await gather(receiver), { bytes: 2 * MIB, sha256: expected });
        await until('nothing waits', () => pool.stats.waitingFrees + pool.stats.pinnedPieces === 0);
      });

      it('goes out as it was, and is back, when it is freed in the callback', async () => {
        const { sender, receiver } = await connections.pair({ engine, threshold: 1 });
        const pool = new BufferPool({ bytes: MIB });
        const hash: Buffer[] = [];
        const arrived = gather(receiver);
        for (let i = 0; i < 64; i++) {
          const piece = pool.allocUnsafe(MIB / 4).fill(i + 1);
          hash.push(Buffer.from(piece));
          const release = new Promise<void>((resolve) => {
            sender.write(piece, () => {
              piece.fill(0xff);
              pool.free(piece);
              resolve();
            });
          });
          if (i % 3 === 2) await release;
        }
        sender.end();
        assert.deepEqual(await arrived, { bytes: 16 * MIB, sha256: sha256(...hash) });
        await until('all is back', () => pool.stats.usedBytes === 0);
      });
    });
  }

  describe('the pins of a send', () => {
    it('are on each piece of each pool that one of its views lies in', () => {
      const [pool, other] = [new BufferPool({ bytes: MIB }), new BufferPool({ bytes: MIB })];
      const [a, b] = [pool.allocUnsafe(PAGE), other.allocUnsafe(3 * PAGE)];
      const pins = pinPieces([Buffer.alloc(10), a, Buffer.from('text'), b.subarray(2 * PAGE)]);
      assertStats(pool, { pieces: 1, usedBytes: PAGE, pinnedPieces: 1 });
      assertStats(other, { pieces: 1, usedBytes: 3 * PAGE, pinnedPieces: 1 });
      unpinPieces(pins ?? []);
      assertStats(pool, { pieces: 1, usedBytes: PAGE });
      assertStats(other, { pieces: 1, usedBytes: 3 * PAGE });
    });

    it('are none for other memory, for empty views and for pages that are nobody’s', () => {
      const pool = new BufferPool({ bytes: 8 * PAGE });
      const piece = pool.allocUnsafe(8 * PAGE);
      assert.equal(pinPieces([]), undefined);
      assert.equal(
        pinPieces([Buffer.alloc(100_000), new Uint8Array(4), Buffer.from('x')]),
        undefined,
      );
      assert.equal(
        pinPieces([piece.subarray(8), piece.subarray(8 * PAGE)].map((v) => v.subarray(0, 0))),
        undefined,
      );
      pool.free(piece);
      assert.equal(pinPieces([piece]), undefined);
      // Shorter pieces where the long one was: a stale view pins those, and is not led astray.
      const short = pool.allocUnsafe(PAGE);
      assert.equal(pinPieces([piece.subarray(4 * PAGE)]), undefined);
      const pins = pinPieces([piece]) ?? [];
      assert.equal(pins.length, 1);
      pool.free(short);
      assertStats(pool, { pieces: 1, usedBytes: PAGE, pinnedPieces: 1, waitingFrees: 1 });
      unpinPieces(pins);
      assertStats(pool, {});
    });

    it('are on every piece under a view of more than one, holes or not', () => {
      const pool = new BufferPool({ bytes: 8 * PAGE });
      const pieces = exhaust(pool);
      pool.free(pieces[3] as Buffer);
      pool.free(pieces[4] as Buffer);
      const { buffer } = pieces[0] as Buffer;
      const view = new Uint8Array(buffer, 2 * PAGE - 1, 4 * PAGE + 2);
      const pins = pinPieces([view]) ?? [];
      // Its bytes lie in the pages 1 to 6; 3 and 4 are nobody's.
      assert.equal(pins.length, 4);
      for (const piece of pieces.slice(1, 3)) pool.free(piece);
      assertStats(pool, { pieces: 6, usedBytes: 6 * PAGE, pinnedPieces: 4, waitingFrees: 2 });
      unpinPieces(pins);
      assertStats(pool, { pieces: 4, usedBytes: 4 * PAGE });
    });

    it('are none in a program that has no pool', async () => {
      const { answer, stderr } = await isolated(({ zc }) => {
        const library = process.argv[1] ?? '';
        // eslint-disable-next-line @typescript-eslint/no-require-imports
        const { isPoolMemory, pinPieces } = require(
          library.replace('index.js', 'memory/pool-pins.js'),
        ) as typeof import('../../lib/memory/pool-pins');
        const chunk = Buffer.alloc(100_000);
        const before = [pinPieces([chunk]) === undefined, isPoolMemory(chunk)];
        const piece = new zc.BufferPool({ bytes: 65_536 }).alloc(1);
        return [...before, pinPieces([piece])?.length, isPoolMemory(piece), isPoolMemory(chunk)];
      });
      assert.deepEqual(answer, [true, false, 1, true, false], stderr);
    });
  });

  describe('the garbage collector', () => {
    it('frees no piece: a slice that outlives it keeps its bytes', async () => {
      const pool = new BufferPool({ bytes: 64 * PAGE });
      // In a function of its own, so that no frame keeps the piece.
      const { slice, ref } = ((): { slice: Buffer; ref: WeakRef<Buffer> } => {
        const piece = pool.allocUnsafe(8 * PAGE).fill(0x5a);
        return { slice: piece.subarray(PAGE, 3 * PAGE), ref: new WeakRef(piece) };
      })();
      await untilCollected('the piece is collected', () => ref.deref() === undefined);
      const others = [...exhaust(pool), pool.allocUnsafe(8 * PAGE)];
      for (const other of others) other.fill(0xff);
      assert.ok(others.every((other) => !overlap(other, slice)));
      assert.ok(isFilledWith(slice, 0x5a));
      await untilCollected('the leak is counted', () => pool.stats.leakedPieces === 1);
      assert.equal(pool.stats.usedBytes, 64 * PAGE);
      assert.ok(others.every((other) => other.length > 0));
    });

    it('does not take a piece for a leak that was freed, or is freed while it is pinned', async () => {
      const pool = new BufferPool({ bytes: 64 * PAGE });
      const { refs, pins } = ((): { refs: WeakRef<Buffer>[]; pins: readonly object[] } => {
        const pieces = [pool.alloc(PAGE), pool.alloc(PAGE), pool.alloc(65 * PAGE)];
        const pinned = pinPieces([pieces[1] as Buffer]) ?? [];
        for (const piece of pieces) pool.free(piece);
        return { refs: pieces.map((piece) => new WeakRef(piece)), pins: pinned };
      })();
      // One that is really forgotten, behind them: when it is counted they would have been.
      (() => void pool.alloc(PAGE))();
      await untilCollected('all are collected', () =>
        refs.every((ref) => ref.deref() === undefined),
      );
      await untilCollected('the leak is counted', () => pool.stats.leakedPieces > 0);
      assert.equal(pool.stats.leakedPieces, 1);
      unpinPieces(pins as Parameters<typeof unpinPieces>[0]);
      assertStats(pool, { pieces: 1, usedBytes: PAGE, leakedPieces: 1, fallbackAllocations: 1 });
    });

    it('has a process warned of leaks once, with a code', async () => {
      const { answer, stderr } = await isolated(async ({ zc, warnings, turn }) => {
        // eslint-disable-next-line @typescript-eslint/no-require-imports
        (require('node:v8') as typeof import('node:v8')).setFlagsFromString('--expose-gc');
        // eslint-disable-next-line @typescript-eslint/no-require-imports
        const gc = (require('node:vm') as typeof import('node:vm')).runInNewContext('gc');
        const pools = [new zc.BufferPool({ bytes: 65_536 }), new zc.BufferPool({ bytes: 65_536 })];
        for (const pool of pools) for (let i = 0; i < 3; i++) pool.alloc(10);
        const leaked = (): number[] => pools.map((pool) => pool.stats.leakedPieces);
        for (let i = 0; i < 500 && leaked().join() !== '3,3'; i++) {
          await turn();
          gc();
        }
        await turn();
        return { leaked: leaked(), codes: warnings.map(({ code }) => code) };
      });
      assert.deepEqual(answer, { leaked: [3, 3], codes: ['ZC_POOL_LEAK'] }, stderr);
    });

    it('gives the memory of pools back that nobody has any more, and of no others', async () => {
      const { answer, stderr } = await isolated(async ({ zc, turn }) => {
        // eslint-disable-next-line @typescript-eslint/no-require-imports
        (require('node:v8') as typeof import('node:v8')).setFlagsFromString('--expose-gc');
        // eslint-disable-next-line @typescript-eslint/no-require-imports
        const gc = (require('node:vm') as typeof import('node:vm')).runInNewContext('gc');
        const bytes = 32 * 1024 * 1024;
        const rss = (): number => process.memoryUsage.rss();
        // A slice alone keeps its pool's memory.
        const slice = new zc.BufferPool({ bytes }).allocUnsafe(bytes).fill(7).subarray(5, 5_000);
        const before = rss();
        let most = before;
        // In a function of its own, so that no frame keeps the last pool.
        const fill = (i: number): void => {
          const pool = new zc.BufferPool({ bytes });
          const piece = pool.allocUnsafe(bytes).fill(1);
          most = Math.max(most, rss());
          if (i % 2 === 0) pool.free(piece);
        };
        for (let i = 0; i < 20; i++) fill(i);
        for (let i = 0; i < 500 && rss() - before > bytes / 2; i++) {
          await turn();
          gc();
        }
        const grown = rss() - before;
        return {
          grewBy: most - before,
          leftOver: grown,
          intact: slice.every((byte) => byte === 7),
        };
      });
      assert.ok(answer !== undefined, stderr);
      assert.ok(answer.grewBy >= 32 * MIB - MIB, `the pools took only ${answer.grewBy} bytes`);
      assert.ok(answer.leftOver <= 16 * MIB, `${answer.leftOver} bytes of 20 pools are left`);
      assert.equal(answer.intact, true);
    });
  });

  describe('its memory', () => {
    it('does not change hands by structuredClone() or postMessage()', () => {
      const pool = new BufferPool({ bytes: 4 * PAGE });
      const piece = pool.allocUnsafe(PAGE).fill(3);
      const memory = piece.buffer as ArrayBuffer;
      const { port1 } = new MessageChannel();
      const attempts = [
        () => void structuredClone(memory, { transfer: [memory] }),
        () => void structuredClone(piece, { transfer: [memory] }),
        () => port1.postMessage(memory, [memory]),
      ];
      for (const attempt of attempts) {
        try {
          attempt();
        } catch (error) {
          // Node 20 copies, later ones throw.
          assert.equal((error as Error).name, 'DataCloneError');
        }
        assert.ok(isFilledWith(piece, 3));
        assert.equal(piece.length, PAGE);
      }
      port1.close();
      pool.free(piece);
      assert.ok(isPoolMemory(pool.allocUnsafe(4 * PAGE)));
    });

    const canTransfer = 'transfer' in ArrayBuffer.prototype;
    const title = 'does not change hands by ArrayBuffer.prototype.transfer()';
    (canTransfer ? it : it.skip)(canTransfer ? title : `${title} (this Node has none)`, () => {
      const pool = new BufferPool({ bytes: 4 * PAGE });
      const piece = pool.allocUnsafe(PAGE).fill(3);
      const memory = piece.buffer as unknown as Record<string, () => ArrayBuffer>;
      for (const method of ['transfer', 'transferToFixedLength']) {
        assert.throws(() => memory[method]?.(), TypeError);
        assert.ok(isFilledWith(piece, 3) && piece.length === PAGE, method);
      }
      pool.free(piece);
      assertStats(pool, {});
    });

    it('that a byte stream took away is replaced by ordinary memory, with one warning', async () => {
      const { answer, code, stderr } = await isolated(async ({ zc, warnings, turn }) => {
        const pool = new zc.BufferPool({ bytes: 65_536 });
        const piece = pool.allocUnsafe(4096).fill(3);
        const stream = new ReadableStream({
          type: 'bytes',
          start: (controller) => controller.enqueue(piece),
        });
        const { value } = await stream.getReader().read();
        const gone = piece.length;
        const next = [pool.alloc(10), pool.allocUnsafe(10)];
        for (const each of [piece, ...next]) pool.free(each);
        await turn();
        const { usedBytes, fallbackAllocations: ordinary } = pool.stats;
        const lengths = next.map((each) => each.length);
        const codes = warnings.map((warning) => warning.code);
        return { sum: (value as Uint8Array)[4095], gone, lengths, usedBytes, ordinary, codes };
      });
      assert.deepEqual(
        answer,
        {
          sum: 3,
          gone: 0,
          lengths: [10, 10],
          usedBytes: 0,
          ordinary: 2,
          codes: ['ZC_POOL_DETACHED'],
        },
        stderr,
      );
      assert.equal(code, 0, stderr);
    });

    it('does not hinder the end of a process', async () => {
      const { answer, code, stderr } = await isolated(({ zc }) => {
        const kept = globalThis as unknown as { piece: Buffer };
        kept.piece = new zc.BufferPool({ bytes: 65_536 }).alloc(1);
        return kept.piece.length;
      });
      assert.deepEqual([answer, code], [1, 0], stderr);
    });

    it('goes with the worker that made it', async () => {
      const script = `
        const { BufferPool } = require(require('node:worker_threads').workerData);
        const pool = new BufferPool({ bytes: 1 << 20 });
        pool.alloc(10);
        require('node:worker_threads').parentPort.postMessage(pool.stats.usedBytes);
        setInterval(() => pool.alloc(1 << 16), 1);`;
      const workerData = path.join(__dirname, '../../lib/index.js');
      for (let i = 0; i < 5; i++) {
        const worker = new Worker(script, { eval: true, workerData });
        const [usedBytes] = (await once(worker, 'message')) as [number];
        assert.equal(usedBytes, PAGE);
        assert.equal(await worker.terminate(), 1);
      }
    });
  });
});

const ADDON = path.join(__dirname, '../scenarios/buffer-pool-addon.js');
const NO_MEMORY = -12;
const NOT_SUPPORTED = -95;

interface Outcome {
  readonly error?: {
    readonly code: string;
    readonly errno: number;
    readonly syscall: string;
    readonly remedies: readonly string[];
  };
  readonly registered?: boolean;
  readonly reason?: string | undefined;
  readonly bytes?: number;
  /** Whether alloc() and free() work, and how many pieces were ordinary memory. */
  readonly works?: boolean;
  readonly ordinary?: number;
  readonly calls: SlabCall[];
}

/** Makes a pool of 5 MiB and uses it. */
function outcomeOf(hugePages: BufferPoolOptions['hugePages'], env: Record<string, string>) {
  const body = ({ zc }: Parameters<Parameters<typeof isolated>[0]>[0]): Outcome => {
    const hugePages = JSON.parse(process.env['HUGE_PAGES'] ?? '') as boolean;
    const remembered = globalThis as unknown as { slabCalls?: SlabCall[] };
    try {
      const pool = new zc.BufferPool({ bytes: 5 * 1024 * 1024, hugePages });
      const piece = pool.allocUnsafe(100_000).fill(1);
      pool.free(piece);
      const zeros = pool.alloc(100_000);
      const works = piece.length === 100_000 && zeros.every((byte) => byte === 0);
      pool.free(zeros);
      const { bytes, fallbackAllocations: ordinary } = pool.stats;
      const { registered, reason } = pool;
      const calls = remembered.slabCalls ?? [];
      return { registered, reason, bytes, works, ordinary, calls };
    } catch (error) {
      const { code = '', errno = 0, syscall = '', message } = error as NodeJS.ErrnoException;
      const remedies = ['vm.nr_hugepages', 'RLIMIT_AS'].filter((name) => message.includes(name));
      return { error: { code, errno, syscall, remedies }, calls: remembered.slabCalls ?? [] };
    }
  };
  return isolated(body, { env: { HUGE_PAGES: JSON.stringify(hugePages), ...env } });
}

describe('a pool of buffers where the machine refuses', () => {
  const answering = (answers: SlabAnswers): Record<string, string> => ({
    MSG_ZEROCOPY_ADDON: ADDON,
    SLAB_ANSWERS: JSON.stringify(answers),
  });

  it('the addon is ordinary memory, and says why', async () => {
    for (const hugePages of [false, 'try', true] as const) {
      const { answer, stderr } = await outcomeOf(hugePages, { MSG_ZEROCOPY_ADDON: 'off' });
      const reason = 'addon-unavailable: MSG_ZEROCOPY_ADDON=off';
      const expected = { registered: false, reason, bytes: 0, works: true, ordinary: 2, calls: [] };
      assert.deepEqual(answer, expected, stderr);
    }
  });

  it('memory is an error of mmap, which names the remedy', async () => {
    const env = answering({ open: { 0: NO_MEMORY }, register: 0 });
    const { answer, stderr } = await outcomeOf(false, env);
    const remedies = ['RLIMIT_AS'];
    const error = { code: 'ENOMEM', errno: NO_MEMORY, syscall: 'mmap', remedies };
    assert.deepEqual(answer, { error, calls: [[5 * MIB, 0]] }, stderr);
  });

  it('huge pages that were insisted on is an error of mmap, which names the remedy', async () => {
    const env = answering({ open: { 1: NO_MEMORY }, register: 0 });
    const { answer, stderr } = await outcomeOf(true, env);
    const remedies = ['vm.nr_hugepages'];
    const error = { code: 'ENOMEM', errno: NO_MEMORY, syscall: 'mmap', remedies };
    assert.deepEqual(answer, { error, calls: [[6 * MIB, 1]] }, stderr);
  });

  it('huge pages that were to be tried takes transparent ones', async () => {
    const env = answering({ open: { 1: NO_MEMORY }, register: 0 });
    const { answer, stderr } = await outcomeOf('try', env);
    const { calls, reason, ...rest } = answer ?? { calls: [] };
    assert.deepEqual(rest, { registered: false, bytes: 6 * MIB, works: true, ordinary: 0 }, stderr);
    assert.match(reason ?? '', /huge.*never registered/);
    assert.deepEqual(calls, [
      [6 * MIB, 1],
      [6 * MIB, 2],
    ]);
  });

  it('nothing takes huge pages, and registers none with a ring', async () => {
    for (const hugePages of [true, 'try'] as const) {
      const env = answering({ open: {}, register: 0 });
      const { answer, stderr } = await outcomeOf(hugePages, env);
      assert.equal(answer?.registered, false, stderr);
      assert.match(answer.reason ?? '', /huge.*never registered/);
      assert.deepEqual(answer.calls, [[6 * MIB, 1]]);
    }
  });

  it('memory from outside of its own is ordinary memory, and says so', async () => {
    const env = answering({ open: { 0: NOT_SUPPORTED }, register: 0 });
    const { answer, stderr } = await outcomeOf(false, env);
    const { reason, ...rest } = answer ?? { calls: [] };
    assert.deepEqual(
      rest,
      { registered: false, bytes: 0, works: true, ordinary: 2, calls: [[5 * MIB, 0]] },
      stderr,
    );
    assert.match(reason ?? '', /no-external-memory/);
  });

  it('the registration uses the memory all the same, and says why', async () => {
    const env = answering({ open: {}, register: NO_MEMORY });
    const { answer, stderr } = await outcomeOf(false, env);
    const { reason, calls, ...rest } = answer ?? { calls: [] };
    assert.deepEqual(rest, { registered: false, bytes: 5 * MIB, works: true, ordinary: 0 }, stderr);
    assert.match(reason ?? '', /\w/);
    assert.deepEqual(calls[0], [5 * MIB, 0]);
  });
});
