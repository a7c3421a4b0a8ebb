// Pools and pieces that end with the block where `using` declares them.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { BufferPool, metrics, type PoolBuffer } from '../../lib/index';
import { pinPieces, unpinPieces } from '../../lib/memory/pool-pins';
import { streamBytes } from '../../scripts/pattern';
import { until } from '../../scripts/until';
import { untilCollected } from '../helpers/collect';
import { isolated } from '../helpers/isolated';
import { gather, loopback, sha256, STALLING_BYTES } from '../helpers/loopback';
import { everywhere } from '../helpers/tcp-place';
import { forEachTestNode } from '../helpers/test-nodes';

const PAGE = 4096;
const FOREIGN = { code: 'ERR_ZC_FOREIGN_BUFFER', name: 'ZeroCopyError' };
const DISPOSED = { code: 'ERR_ZC_POOL_DISPOSED', name: 'ZeroCopyError' };
const LIBRARY = path.join(__dirname, '../../lib/index.js');

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** One piece of the pool, one of ordinary memory, and one of no bytes. */
function piecesOf(pool: BufferPool): [PoolBuffer, PoolBuffer, PoolBuffer] {
  return [pool.alloc(PAGE), pool.allocUnsafe(2 * pool.stats.bytes), pool.alloc(0)];
}

describe('a piece that ends with its block', () => {
  it('is freed after it, whichever memory it uses', () => {
    const pool = new BufferPool({ bytes: 4 * PAGE });
    let kept: Buffer[];
    {
      using own = pool.alloc(PAGE);
      using ordinary = pool.allocUnsafe(8 * PAGE);
      using empty = pool.alloc(0);
      kept = [own, ordinary, empty];
      assert.equal(pool.stats.pieces, 1);
    }
    assert.deepEqual([pool.stats.pieces, pool.stats.usedBytes], [0, 0]);
    for (const piece of kept) assert.throws(() => pool.free(piece), FOREIGN);
  });

  it('is freed when the block throws', () => {
    const pool = new BufferPool({ bytes: 4 * PAGE });
    const failing = (): void => {
      using piece = pool.alloc(PAGE);
      throw new Error(`of ${piece.length} bytes`);
    };
    assert.throws(failing, /of 4096 bytes/);
    assert.equal(pool.stats.pieces, 0);
  });

  it("may be freed before and disposed of twice without freeing the next owner's memory", () => {
    const pool = new BufferPool({ bytes: PAGE });
    const [first, ordinary, empty] = piecesOf(pool);
    for (const piece of [first, ordinary, empty]) {
      pool.free(piece);
      const next = pool.alloc(PAGE);
      piece[Symbol.dispose]();
      piece[Symbol.dispose]();
      assert.equal(pool.stats.pieces, 1);
      assert.throws(() => pool.free(piece), FOREIGN);
      next[Symbol.dispose]();
      next[Symbol.dispose]();
      assert.equal(pool.stats.pieces, 0);
    }
  });

  it('looks like any Buffer, and its slices are not disposable', () => {
    const pool = new BufferPool({ bytes: 4 * PAGE });
    for (const piece of [pool.alloc(5), pool.alloc(8 * PAGE)]) {
      assert.deepStrictEqual(piece, Buffer.alloc(piece.length));
      assert.deepEqual(Object.getOwnPropertySymbols({ ...piece }), []);
      const slices = [piece.subarray(1), piece.subarray(), Buffer.from(piece)];
      for (const slice of slices) assert.ok(!(Symbol.dispose in slice));
      const { usedBytes } = pool.stats;
      piece[Symbol.dispose].call(piece.subarray(1) as PoolBuffer);
      assert.equal(pool.stats.usedBytes, usedBytes);
    }
  });

  it('waits for its release, like one that is freed', () => {
    const pool = new BufferPool({ bytes: PAGE });
    const piece = pool.alloc(PAGE);
    const pins = pinPieces([piece]) ?? [];
    piece[Symbol.dispose]();
    piece[Symbol.dispose]();
    assert.deepEqual([pool.stats.waitingFrees, pool.stats.pieces], [1, 1]);
    unpinPieces(pins);
    assert.deepEqual([pool.stats.waitingFrees, pool.stats.pieces], [0, 0]);
  });
});

describe('a pool that ends with its block', () => {
  it('allocates nothing more, holds no memory, and reports it', () => {
    const before = metrics().registeredBytes;
    let ended: BufferPool;
    {
      using pool = new BufferPool({ bytes: 16 * PAGE });
      assert.equal(pool.disposed, false);
      assert.equal(metrics().registeredBytes, before + (pool.registered ? 16 * PAGE : 0));
      ended = pool;
    }
    assert.equal(ended.disposed, true);
    assert.equal(ended.registered, false);
    assert.match(ended.reason ?? '', /^disposed: /);
    assert.equal(metrics().registeredBytes, before);
    for (const size of [0, 1, 64 * PAGE]) {
      assert.throws(() => ended.alloc(size), DISPOSED);
      assert.throws(() => ended.allocUnsafe(size), DISPOSED);
    }
    assert.throws(() => ended.alloc(-1), { code: 'ERR_OUT_OF_RANGE' });
    const { bytes, usedBytes, pieces } = ended.stats;
    assert.deepEqual({ bytes, usedBytes, pieces }, { bytes: 0, usedBytes: 0, pieces: 0 });
  });

  it('ends once, however often and in whichever way it is disposed of', async () => {
    const pool = new BufferPool({ bytes: PAGE });
    pool.free(pool.alloc(PAGE));
    pool[Symbol.dispose]();
    pool[Symbol.dispose]();
    await Promise.all([pool[Symbol.asyncDispose](), pool[Symbol.asyncDispose]()]);
    pool[Symbol.dispose]();
    assert.equal(pool.stats.bytes, 0);
  });

  it('returns its memory to the system when every piece was freed', () => {
    const pool = new BufferPool({ bytes: 16 * PAGE });
    const piece = pool.allocUnsafe(16 * PAGE).fill(7);
    pool.free(piece);
    assert.equal(piece[PAGE], 7);
    pool[Symbol.dispose]();
    assert.ok(piece.every((byte) => byte === 0));
  });

  it('keeps the bytes of unfreed pieces, and accepts one late free() of each', () => {
    const pool = new BufferPool({ bytes: 16 * PAGE });
    const [own, ordinary, empty] = piecesOf(pool);
    own.fill(7);
    pool[Symbol.dispose]();
    assert.ok(own.every((byte) => byte === 7));
    for (const piece of [own, ordinary, empty]) {
      pool.free(piece);
      assert.throws(() => pool.free(piece), FOREIGN);
      piece[Symbol.dispose]();
    }
    assert.throws(() => pool.free(Buffer.alloc(1) as PoolBuffer), FOREIGN);
  });

  it('keeps its memory until nothing of it is pinned', async () => {
    const pool = new BufferPool({ bytes: 16 * PAGE });
    const { registered } = pool;
    const [freed, left] = [pool.alloc(PAGE).fill(1), pool.alloc(PAGE).fill(2)];
    const pins = [freed, left].map((piece) => pinPieces([piece]) ?? []);
    pool.free(freed);
    let ended = false;
    const ending = pool[Symbol.asyncDispose]().then(() => (ended = true));
    const waiting = async (pieces: number): Promise<void> => {
      await turn();
      const { pinnedPieces, waitingFrees } = pool.stats;
      assert.deepEqual([pinnedPieces, waitingFrees, ended], [pieces, pieces, false]);
      assert.equal(pool.registered, registered);
    };
    await waiting(2);
    unpinPieces(pins[0] ?? []);
    await waiting(1);
    unpinPieces(pins[1] ?? []);
    await ending;
    assert.deepEqual([pool.registered, pool.stats.bytes], [false, 0]);
  });

  it('is not reported as a leak, and neither are pieces that ended with it', async () => {
    const pool = new BufferPool({ bytes: 64 * PAGE });
    const refs = ((): WeakRef<Buffer>[] => {
      const pieces = [pool.alloc(PAGE), pool.alloc(PAGE), pool.alloc(PAGE)];
      pieces[0]?.[Symbol.dispose]();
      return pieces.map((piece) => new WeakRef(piece));
    })();
    pool[Symbol.dispose]();
    // One of another pool, forgotten behind them: when it is counted they would have been.
    const other = new BufferPool({ bytes: PAGE });
    (() => void other.alloc(PAGE))();
    await untilCollected('the leak is counted', () => other.stats.leakedPieces === 1);
    assert.ok(refs.every((ref) => ref.deref() === undefined));
    assert.equal(pool.stats.leakedPieces, 0);
  });

  it('ends even when a byte stream took its memory away', async () => {
    const { answer, code, stderr } = await isolated(async ({ zc }) => {
      const pool = new zc.BufferPool({ bytes: 65_536 });
      const piece = pool.allocUnsafe(4096).fill(3);
      const stream = new ReadableStream({
        type: 'bytes',
        start: (controller) => controller.enqueue(piece),
      });
      const { value } = await stream.getReader().read();
      await pool[Symbol.asyncDispose]();
      return [(value as Uint8Array)[4095], pool.stats.bytes];
    });
    assert.deepEqual([answer, code], [[3, 0], 0], stderr);
  });

  it('ends without the addon, too', async () => {
    const body = ({ zc }: { zc: typeof import('../../lib/index') }) => {
      const pool = new zc.BufferPool();
      const piece = pool.alloc(10);
      pool[Symbol.dispose]();
      let code = '';
      try {
        pool.alloc(1);
      } catch (error) {
        ({ code = '' } = error as NodeJS.ErrnoException);
      }
      pool.free(piece);
      return [code, pool.registered, pool.disposed];
    };
    const { answer, stderr } = await isolated(body, { env: { MSG_ZEROCOPY_ADDON: 'off' } });
    assert.deepEqual(answer, ['ERR_ZC_POOL_DISPOSED', false, true], stderr);
  });

  it('keeps the process alive while its end is awaited, and no longer', async () => {
    const { answer, code, stderr } = await isolated(async ({ zc, net, events }) => {
      const server = net.createServer();
      server.listen(0, '127.0.0.1');
      await events.once(server, 'listening');
      const { port } = server.address() as import('node:net').AddressInfo;
      const socket = zc.connect({ port, host: '127.0.0.1', zeroCopy: { threshold: 1 } });
      const [[peer]] = (await Promise.all([
        events.once(server, 'connection'),
        events.once(socket, 'connect'),
      ])) as [[import('node:net').Socket], unknown];
      const pool = new zc.BufferPool({ bytes: 4 * 1024 * 1024 });
      const piece = pool.alloc(4 * 1024 * 1024);
      socket.write(piece);
      // Only the pool's end waits for releases.
      for (const each of [socket, peer, server]) each.unref();
      const { pinnedPieces } = pool.stats;
      peer.resume();
      await pool[Symbol.asyncDispose]();
      return [pinnedPieces, pool.stats.bytes];
    });
    assert.deepEqual([answer, code], [[1, 0], 0], stderr);
  });

  it('ends with the worker in which its end is awaited', async () => {
    const script = `
      const { workerData, parentPort } = require('node:worker_threads');
      const { BufferPool } = require(workerData.library);
      const { pinPieces } = require(workerData.pins);
      const pool = new BufferPool({ bytes: 1 << 20 });
      pinPieces([pool.alloc(10)]);
      pool[Symbol.asyncDispose]().then(() => parentPort.postMessage('ended'));
      parentPort.postMessage(pool.stats.pinnedPieces);`;
    const pins = path.join(__dirname, '../../lib/memory/pool-pins.js');
    const worker = new Worker(script, { eval: true, workerData: { library: LIBRARY, pins } });
    assert.deepEqual(await once(worker, 'message'), [1]);
    assert.equal(await worker.terminate(), 1);
  });
});

for (const engine of ['msg_zerocopy', 'io_uring', 'copy'] as const) {
  describe(`a pool that ends within a callback, engine ${engine}`, () => {
    const connections = loopback();

    it('of its own last piece, which arrives intact', async () => {
      const { sender, receiver } = await connections.pair({ engine, threshold: 1 });
      const pool = new BufferPool({ bytes: 8 * PAGE });
      const arrived = gather(receiver);
      const piece = pool.alloc(8 * PAGE).fill(3);
      const expected = sha256(piece);
      await new Promise<void>((resolve) => {
        sender.end(piece, () => {
          pool[Symbol.dispose]();
          piece.fill(0xff);
          resolve();
        });
      });
      assert.deepEqual(await arrived, { bytes: 8 * PAGE, sha256: expected });
      await until('the pool has gone', () => pool.stats.bytes === 0);
    });

    it('of a write before others of its pieces, which arrive intact', async () => {
      const { sender, receiver } = await connections.pair({ engine, threshold: 1 });
      const pool = new BufferPool({ bytes: 2 * STALLING_BYTES });
      const first = pool.alloc(PAGE).fill(1);
      const rest = pool.allocUnsafe(STALLING_BYTES);
      streamBytes(5, STALLING_BYTES).copy(rest);
      const expected = sha256(first, rest);
      sender.write(first, () => pool[Symbol.dispose]());
      sender.end(rest, () => pool.free(rest));
      const { bytes, sha256: hash } = await gather(receiver);
      assert.deepEqual([bytes, hash], [PAGE + STALLING_BYTES, expected]);
      await until('the pool has gone', () => pool.stats.bytes === 0);
    });
  });

  everywhere(`pieces and pools that end while they are sent, engine ${engine}`, (getPlace) => {
    const params = () => ({ to: getPlace().to(), zeroCopy: { engine, threshold: 1 } });

    it('arrive intact, and the pool ends with the last release', async () => {
      const seen = await getPlace().runner.run('pool-disposal', 'whileStalled', params());
      assert.ok(seen.pinnedPieces > 0, 'something is pinned while the reader stalls');
      assert.equal(seen.waitingFrees, seen.pinnedPieces);
      assert.equal(seen.endedEarly, false);
      assert.equal(seen.zeroCopySends > 0, engine !== 'copy');
    });

    it('arrive intact when the pool ends before its pieces', async () => {
      await getPlace().runner.run('pool-disposal', 'beforePieces', params());
    });

    it('are released by a destroyed connection', async () => {
      await getPlace().runner.run('pool-disposal', 'whenDestroyed', params());
    });
  });
}

describe('`using` under other versions of Node', () => {
  const calls = `
    const piece = pool.alloc(4096);
    piece[Symbol.dispose]();
    pool[Symbol.dispose]();`;
  const blocks = '{ using all = pool; using piece = all.alloc(4096); }';
  forEachTestNode((node, version) => {
    // The syntax is V8's from Node 24 on; before, compilers write calls.
    const native = Number(version.slice(1).split('.')[0]) >= 24;
    it(`ends pool and piece in ${version}, as ${native ? 'a block' : 'calls'}`, () => {
      const script = `
        const { BufferPool } = require(process.argv[1]);
        const pool = new BufferPool({ bytes: 1 << 20 });
        ${native ? blocks : calls}
        console.log(JSON.stringify([pool.disposed, pool.stats.pieces, pool.stats.bytes]));`;
      const answer = execFileSync(node, ['-e', script, LIBRARY], { encoding: 'utf8' });
      assert.deepEqual(JSON.parse(answer), [true, 0, 0]);
    });
  });
});
