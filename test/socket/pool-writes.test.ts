// Memory of a pool that is written in every way and freed at any moment: the far end compares every byte, and whatever
// the pool gives out again is overwritten at once.
import assert from 'node:assert/strict';
import net from 'node:net';
import { BufferPool, enableZeroCopy } from '../../lib/index';
import { seededRandom } from '../../scripts/random';
import { until } from '../../scripts/until';
import { gather, loopback, sha256, type Upgraded } from '../helpers/loopback';
import { MIB } from '../helpers/pool-stats';

const SIZES = [1, 100, 5_000, 20_000, 70_000, 300_000];
const STEPS = 250;

type Way = (sender: Upgraded, piece: Buffer, free: () => void) => void;

/** What frees, frees once: now, or when the write calls back. */
const WAYS: readonly Way[] = [
  (sender, piece, free) => {
    sender.write(piece);
    free();
  },
  (sender, piece, free) => sender.write(piece, free),
  (sender, piece, free) => {
    // A view that the stream makes a Buffer of.
    sender.write(new Uint8Array(piece.buffer, piece.byteOffset, piece.length));
    free();
  },
  (sender, piece, free) => {
    sender.cork();
    sender.write(piece.subarray(0, piece.length >> 1));
    sender.write(piece.subarray(piece.length >> 1), free);
    sender.uncork();
  },
  (sender, piece, free) => {
    sender.write(piece.subarray(0, piece.length >> 1));
    sender.write('');
    sender.write(piece.subarray(piece.length >> 1));
    free();
  },
  (sender, piece, free) => {
    sender.send(piece).then(free, free);
  },
  // Past our own write(): Node's rule is that the memory stays until the callback.
  (sender, piece, free) => net.Socket.prototype.write.call(sender, piece, undefined, free),
];

describe('memory of a pool', () => {
  const connections = loopback();

  for (const engine of ['msg_zerocopy', 'io_uring', 'copy'] as const) {
    for (const seed of [1, 2, 3, 4]) {
      it(`arrives whole by ${engine} however it is written and freed (seed ${seed})`, async () => {
        const random = seededRandom(seed);
        const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
        const pool = new BufferPool({ bytes: 2 * MIB });
        const { sender, receiver } = await connections.pair({ engine, threshold: 4_096, pool });
        const arrived = gather(receiver);
        const written: Buffer[] = [];
        let left = 0;
        for (let step = 0; step < STEPS; step++) {
          const piece = pool.allocUnsafe(pick(SIZES)).fill(1 + (step % 250));
          written.push(Buffer.from(piece));
          left++;
          pick(WAYS)(sender, piece, () => {
            left--;
            // The pool's memory may be the kernel's for longer; a piece that it gave out otherwise is still ours.
            pool.free(piece);
            const next = pool.allocUnsafe(piece.length).fill(0xff);
            pool.free(next);
          });
          if (random() < 0.1) receiver.pause();
          if (random() < 0.2) receiver.resume();
          if (random() < 0.5) await new Promise(setImmediate);
        }
        receiver.resume();
        await until('everything is freed', () => left === 0);
        sender.end();
        const bytes = written.reduce((sum, { length }) => sum + length, 0);
        assert.deepEqual(await arrived, { bytes, sha256: sha256(...written) });
        await until('nothing is pinned', () => pool.stats.pinnedPieces === 0);
        const { usedBytes, pieces, waitingFrees, leakedPieces } = pool.stats;
        assert.deepEqual([usedBytes, pieces, waitingFrees, leakedPieces], [0, 0, 0, 0]);
      });
    }
  }

  it('arrives whole by a write() that was wrapped before the upgrade and writes another piece in front', async () => {
    const pool = new BufferPool({ bytes: MIB });
    const { sender, receiver } = await connections.plainPair();
    const arrived = gather(receiver);
    const prefix = pool.allocUnsafe(8_192).fill('p');
    const { write } = sender;
    sender.write = (chunk: unknown, ...rest: unknown[]): boolean => {
      write.call(sender, prefix);
      return write.call(sender, chunk as Buffer, ...(rest as []));
    };
    enableZeroCopy(sender, { engine: 'msg_zerocopy', threshold: 4_096 });
    const expected = [];
    for (let i = 0; i < 20; i++) {
      const piece = pool.allocUnsafe(65_536).fill(i + 1);
      expected.push(prefix, Buffer.from(piece));
      sender.write(piece);
      pool.free(piece);
      if (i % 3 === 0) await new Promise(setImmediate);
    }
    const hash = sha256(...expected);
    sender.write = write;
    sender.end();
    assert.deepEqual(await arrived, { bytes: 20 * 73_728, sha256: hash });
    await until('nothing is pinned', () => pool.stats.pinnedPieces === 0);
    pool.free(prefix);
    assert.equal(pool.stats.usedBytes, 0);
  });

  it('arrives whole by a write() that was wrapped before the upgrade and writes each chunk twice', async () => {
    const pool = new BufferPool({ bytes: MIB });
    const { sender, receiver } = await connections.plainPair();
    const arrived = gather(receiver);
    const { write } = sender;
    sender.write = (chunk: unknown, ...rest: unknown[]): boolean => {
      write.call(sender, chunk as Buffer);
      return write.call(sender, chunk as Buffer, ...(rest as []));
    };
    // Nothing may be pending: the engine copies, and is done with a chunk before the stream passes it the second one.
    enableZeroCopy(sender, { engine: 'msg_zerocopy', threshold: 4_096, maxPendingBytes: 0 });
    const expected = [];
    for (let i = 0; i < 64; i++) {
      const piece = pool.allocUnsafe(MIB).fill(i + 1);
      const copy = Buffer.from(piece);
      expected.push(copy, copy);
      sender.write(piece);
      pool.free(piece);
      await until('the piece is free', () => pool.stats.usedBytes === 0);
    }
    sender.write = write;
    sender.end();
    const bytes = 128 * MIB;
    assert.deepEqual(await arrived, { bytes, sha256: sha256(...expected) });
    assert.equal(pool.stats.pinnedPieces, 0);
  });
});
