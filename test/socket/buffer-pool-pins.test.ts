// Pieces of a BufferPool that are being sent: none is handed out again before its release.
import assert from 'node:assert/strict';
import { BufferPool } from '../../lib/index';
import { isPoolMemory, pinPieces, unpinPieces } from '../../lib/memory/pool-pins';
import { isolated } from '../helpers/isolated';
import { gather, loopback, sha256 } from '../helpers/loopback';
import { until } from '../../scripts/until';
import { assertStats, exhaust, FOREIGN, MIB, overlap, PAGE } from '../helpers/pool-stats';

describe('BufferPool', () => {
  describe('a pinned piece', () => {
    it('is reused at its last unpin and not before', () => {
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

    it('still belongs to its owner when it is unpinned without free()', () => {
      const pool = new BufferPool({ bytes: 2 * PAGE });
      const piece = pool.allocUnsafe(2 * PAGE);
      for (let i = 0; i < 3; i++) unpinPieces(pinPieces([piece]) ?? []);
      assertStats(pool, { pieces: 1, usedBytes: 2 * PAGE });
      pool.free(piece);
      assertStats(pool, {});
    });
  });

  for (const engine of ['msg_zerocopy', 'io_uring'] as const) {
    describe(`a piece being sent, engine ${engine}`, () => {
      const connections = loopback();

      it('is sent intact when it is freed before its release, and returns to the pool after it', async () => {
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

      it('is sent intact when it is freed in the callback, and returns to the pool', async () => {
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
    it('are on each piece, of whichever pool, that one of its views lies in', () => {
      const [pool, other] = [new BufferPool({ bytes: MIB }), new BufferPool({ bytes: MIB })];
      const [a, b] = [pool.allocUnsafe(PAGE), other.allocUnsafe(3 * PAGE)];
      const pins = pinPieces([Buffer.alloc(10), a, Buffer.from('text'), b.subarray(2 * PAGE)]);
      assertStats(pool, { pieces: 1, usedBytes: PAGE, pinnedPieces: 1 });
      assertStats(other, { pieces: 1, usedBytes: 3 * PAGE, pinnedPieces: 1 });
      unpinPieces(pins ?? []);
      assertStats(pool, { pieces: 1, usedBytes: PAGE });
      assertStats(other, { pieces: 1, usedBytes: 3 * PAGE });
    });

    it('do not exist for other memory, empty views and free pages', () => {
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

    it('are on every piece under a view that covers several', () => {
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

    it('do not exist in a program without a pool', async () => {
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
});
