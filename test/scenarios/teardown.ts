// The ends of connections with megabytes in flight. Memory is overwritten at each release, so one that
// comes too early shows as wrong bytes at the receiver, which reads slowly to leave time for it.
import assert from 'node:assert/strict';
import type { ZeroCopyOptions } from '../../lib/index';
import type { Outgoing } from '../helpers/outgoing';
import { type Address, type Manner, ReceiverClient } from '../helpers/receiver-client';
import type { StreamReport } from './receiver-program';
import { portsClosed } from '../helpers/remains';
import { until } from '../../scripts/until';

const MIB = 1024 * 1024;
const PIECE = 256 * 1024;
/** Where a peer ends a connection that it reads. */
const END_BYTES = 8 * MIB;
/** What must be in flight for an end to be worth looking at. */
const PINNED_BYTES = MIB;
/** More than all buffers on the way hold. */
const WRITES = 240;
const SLOWLY = { bytes: PIECE, everyMs: 2 };

export interface TeardownParams {
  readonly to: Address;
  readonly zeroCopy: ZeroCopyOptions;
}

/**
 * Writes to a receiver that does not read, until at least PINNED_BYTES are in flight and a write waits.
 * More writes are queued behind it, whose callbacks will carry errors. The receiver must not have read
 * anything: its buffer would have grown, and swallow much of this later.
 */
export async function pin(
  client: ReceiverClient,
  zeroCopy: ZeroCopyOptions,
  manner: Manner = {},
  pieceBytes = PIECE,
): Promise<Outgoing> {
  const out = await client.stream({ stallAfter: 0, ...manner }, { zeroCopy });
  for (let i = 0; i < Math.max(1, (64 * PIECE) / pieceBytes); i++) out.write(pieceBytes);
  // What the kernel takes, it takes within a few turns: until nothing changes from look to look.
  let last = '';
  let same = 0;
  await until('the send buffer is full', async () => {
    await client.received(out);
    const { zeroCopyBytes } = out.socket.zeroCopy.stats;
    const now = [zeroCopyBytes, out.socket.zeroCopy.pendingBytes].join();
    same = now === last ? same + 1 : 0;
    last = now;
    return same >= 3 && out.socket.zeroCopy.pendingBytes >= PINNED_BYTES;
  });
  assert.ok(out.socket.zeroCopy.stats.zeroCopyBytes < out.written, 'everything was accepted');
  return out;
}

async function assertSettled(out: Outgoing): Promise<void> {
  await out.settled();
  await out.closed();
  await out.socket.zeroCopy.flush();
  const { pendingBytes, pendingSends, stats } = out.socket.zeroCopy;
  assert.deepEqual([pendingBytes, pendingSends, out.outOfOrder], [0, 0, 0]);
  assert.equal(stats.strayNotifications, 0);
}

type Ending = (out: Outgoing, client: ReceiverClient) => Promise<void> | void;

async function endedBy(
  params: TeardownParams,
  ending: Ending,
  manner: Manner = {},
): Promise<[Outgoing, StreamReport]> {
  const client = await ReceiverClient.open(params.to);
  const out = await pin(client, params.zeroCopy, manner);
  const before = out.released;
  await ending(out, client);
  await client.pace(out, SLOWLY);
  const report = await client.report(out);
  await assertSettled(out);
  await client.close();
  assert.ok(out.released > before, 'nothing was released after the end');
  assert.ok(out.errors.length > 0, 'no write failed');
  assert.equal(report.wrong, 0, `wrong bytes among ${report.bytes}`);
  return [out, report];
}

/** destroy(): what was accepted arrives, and FIN behind it. */
export async function destroyed(params: TeardownParams): Promise<void> {
  const [out, report] = await endedBy(params, (out) => void out.socket.destroy());
  assert.deepEqual([report.bytes, report.end], [out.accepted, 'end']);
  await portsClosed();
}

/** destroy(err) is no abort either. */
export async function destroyedWithError(params: TeardownParams): Promise<void> {
  const error = Object.assign(new Error('meant to happen'), { code: 'E_MEANT' });
  const [out, report] = await endedBy(params, (out) => void out.socket.destroy(error));
  assert.deepEqual([report.bytes, report.end], [out.accepted, 'end']);
  assert.equal(out.socketError, 'E_MEANT');
  await portsClosed();
}

/** Memory released with an error is filled with another stream's bytes at once. */
export async function reusedInErrorCallback(params: TeardownParams): Promise<void> {
  const client = await ReceiverClient.open(params.to);
  const second = await client.stream({}, { zeroCopy: params.zeroCopy });
  const [first, report] = await endedBy(params, (out) => {
    // Outgoing keeps what was released for its next writes; here it goes out elsewhere first.
    out.onRelease = () => void second.write(PIECE);
    out.socket.destroy();
  });
  assert.deepEqual([report.bytes, report.end], [first.accepted, 'end']);
  second.end(1);
  assert.deepEqual(await client.report(second), { bytes: second.written, wrong: 0, end: 'end' });
  await second.settled();
  await client.close();
  await portsClosed();
}

/** resetAndDestroy(): the peer sees a reset, and everything settles at once. */
export async function reset(params: TeardownParams): Promise<void> {
  const ending = async (out: Outgoing): Promise<void> => {
    const started = performance.now();
    out.socket.resetAndDestroy();
    await out.settled();
    const took = performance.now() - started;
    assert.ok(took < 1000, `${took} ms until memory of a reset connection came back`);
    assert.equal(out.socket.zeroCopy.pendingBytes, 0);
  };
  const [out, report] = await endedBy(params, ending, { answer: true });
  assert.match(report.end, /^(ECONNRESET|EPIPE)$/);
  assert.ok(report.bytes < out.written);
  await portsClosed();
}

/** The peer's process resets while writes wait. */
export async function resetByPeer(params: TeardownParams): Promise<void> {
  const client = await ReceiverClient.open(params.to);
  const out = await client.stream({ resetAfter: END_BYTES }, { zeroCopy: params.zeroCopy });
  for (let i = 0; i < WRITES; i++) out.write(PIECE);
  await assertSettled(out);
  const report = await client.report(out);
  assert.equal(report.wrong, 0);
  assert.match(out.socketError ?? '', /^(ECONNRESET|EPIPE)$/);
  assert.ok(out.errors.length > 0, 'no write failed');
  assert.equal(out.released, WRITES);
  await client.close();
  await portsClosed();
}

/** The peer closes, which answers what still comes with a reset. */
export async function closedByPeer(params: TeardownParams): Promise<void> {
  const client = await ReceiverClient.open(params.to);
  const out = await client.stream({ closeAfter: END_BYTES }, { zeroCopy: params.zeroCopy });
  for (let i = 0; i < WRITES; i++) out.write(PIECE);
  await assertSettled(out);
  assert.equal((await client.report(out)).wrong, 0);
  assert.equal(out.released, WRITES);
  await client.close();
  await portsClosed();
}

/** destroySoon(): everything written arrives. */
export async function destroyedSoon(params: TeardownParams): Promise<void> {
  const client = await ReceiverClient.open(params.to);
  const out = await client.stream({ pace: SLOWLY }, { zeroCopy: params.zeroCopy });
  for (let i = 0; i < 40; i++) out.write(PIECE);
  out.socket.destroySoon();
  const report = await client.report(out);
  assert.deepEqual(report, { bytes: out.written, wrong: 0, end: 'end' });
  await assertSettled(out);
  assert.deepEqual(out.errors, []);
  await client.close();
  await portsClosed();
}
