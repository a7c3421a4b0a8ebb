// Scenarios: pieces and pools that end with their blocks (`using`) while the kernel, or a queue, still has their
// bytes. Whatever the next owner of the memory does to it, what arrives is what was written.
import assert from 'node:assert/strict';
import { BufferPool, metrics, type ZeroCopyOptions } from '../../lib/index';
import { fillFrom } from '../../scripts/pattern';
import { until } from '../../scripts/until';
import type { Outgoing } from '../helpers/outgoing';
import { overwriteFree } from '../helpers/pool-pieces';
import { type Address, ReceiverClient } from '../helpers/receiver-client';

interface Params {
  readonly to: Address;
  readonly zeroCopy: ZeroCopyOptions;
}

const PIECE_BYTES = 200_000;
const PIECES = 24;

/** Writes a piece that ends with the block, whose memory is reused at once. */
function writePiece(out: Outgoing, pool: BufferPool): void {
  {
    using piece = pool.allocUnsafe(PIECE_BYTES);
    fillFrom(piece, out.stream, out.written);
    out.written += piece.length;
    out.socket.write(piece);
  }
  overwriteFree(pool);
}

async function assertArrived(client: ReceiverClient, out: Outgoing): Promise<void> {
  const report = await client.report(out);
  assert.deepEqual(report, { bytes: out.written, wrong: 0, end: 'end' });
}

/** Pieces, and then their pool, end while a reader stalls. What is pinned meanwhile is told. */
export async function whileStalled({ to, zeroCopy }: Params) {
  const client = await ReceiverClient.open(to);
  const registered = metrics().registeredBytes;
  const pool = new BufferPool({ bytes: 16 * 1024 * 1024 });
  const { registered: wasRegistered } = pool;
  const out = await client.stream({ stallAfter: 0 }, { zeroCopy });
  for (let i = 0; i < PIECES; i++) writePiece(out, pool);
  const { pinnedPieces, waitingFrees } = pool.stats;
  let ended = false;
  const ending = pool[Symbol.asyncDispose]().then(() => (ended = true));
  assert.throws(() => pool.allocUnsafe(1), { code: 'ERR_ZC_POOL_DISPOSED' });
  // A round trip to the receiver, which reads nothing of the stream.
  await client.received(out);
  const endedEarly = ended;
  await client.resume(out);
  out.end(1);
  await ending;
  assert.deepEqual([pool.registered, pool.stats.bytes, pool.stats.pieces], [false, 0, 0]);
  assert.equal(metrics().registeredBytes, registered);
  await assertArrived(client, out);
  await client.close();
  const { zeroCopySends } = out.socket.zeroCopy.stats;
  return { wasRegistered, pinnedPieces, waitingFrees, endedEarly, zeroCopySends };
}

/** The pool ends, by its block, before unfreed pieces are sent. */
export async function beforePieces({ to, zeroCopy }: Params): Promise<void> {
  const client = await ReceiverClient.open(to);
  const out = await client.stream({ stallAfter: 0 }, { zeroCopy });
  const callbacks: unknown[] = [];
  const pieces: Buffer[] = [];
  let stats: (() => BufferPool['stats']) | undefined;
  {
    using pool = new BufferPool({ bytes: 16 * 1024 * 1024 });
    stats = () => pool.stats;
    for (let i = 0; i < PIECES; i++) {
      const piece = pool.allocUnsafe(PIECE_BYTES);
      pieces.push(piece);
      fillFrom(piece, out.stream, out.written);
      out.written += piece.length;
      // Its owner's free() comes behind the end of the pool.
      out.socket.write(piece, (error) => {
        callbacks.push(error);
        pool.free(piece);
      });
    }
  }
  // Pages of the process that come from nowhere else are filled meanwhile.
  for (let i = 0; i < PIECES; i++) Buffer.allocUnsafeSlow(PIECE_BYTES).fill(0xee);
  await client.resume(out);
  out.end(1);
  await assertArrived(client, out);
  await until('all callbacks came', () => callbacks.length === PIECES);
  assert.ok(callbacks.every((error) => error === null || error === undefined));
  await until('the pool has gone', () => stats?.().bytes === 0);
}

/** A connection that is destroyed with pieces in flight lets go of them, and of the pool. */
export async function whenDestroyed({ to, zeroCopy }: Params): Promise<void> {
  const client = await ReceiverClient.open(to);
  const out = await client.stream(
    { stallAfter: 0 },
    { zeroCopy: { ...zeroCopy, lingerTimeoutMs: 200 } },
  );
  {
    await using pool = new BufferPool({ bytes: 16 * 1024 * 1024 });
    for (let i = 0; i < PIECES; i++) writePiece(out, pool);
    out.socket.destroy();
  }
  await out.closed();
  await client.close();
}
