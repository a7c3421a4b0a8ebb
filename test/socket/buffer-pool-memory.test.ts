// The memory of a BufferPool: who drops pieces, transfers them, or ends with them.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { BufferPool } from '../../lib/index';
import { isPoolMemory, pinPieces, unpinPieces } from '../../lib/memory/pool-pins';
import { untilCollected } from '../helpers/collect';
import { isolated } from '../helpers/isolated';
import { assertStats, exhaust, isFilledWith, MIB, overlap, PAGE } from '../helpers/pool-stats';

describe('BufferPool', () => {
  describe('and garbage collection', () => {
    it('keeps the bytes of a slice that outlives its piece', async () => {
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

    it('reports no leak of a piece that was freed, or freed while pinned', async () => {
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

    it('warns of leaks once per process, with a code', async () => {
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

    it('frees the memory of unreachable pools, and of no others', async () => {
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

  describe('and its memory', () => {
    it('cannot be transferred by structuredClone() or postMessage()', () => {
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
    const title = 'cannot be transferred by ArrayBuffer.prototype.transfer()';
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

    it('uses ordinary memory, with one warning, after a byte stream took its memory', async () => {
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

    it('does not keep a process alive', async () => {
      const { answer, code, stderr } = await isolated(({ zc }) => {
        const kept = globalThis as unknown as { piece: Buffer };
        kept.piece = new zc.BufferPool({ bytes: 65_536 }).alloc(1);
        return kept.piece.length;
      });
      assert.deepEqual([answer, code], [1, 0], stderr);
    });

    it('is freed with the worker that made it', async () => {
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
