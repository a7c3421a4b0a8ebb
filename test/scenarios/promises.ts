// When callbacks and flush() speak.
import assert from 'node:assert/strict';
import type { ZeroCopyOptions } from '../../lib/index';
import { type Address, ReceiverClient } from '../helpers/receiver-client';
import { portsClosed } from '../helpers/remains';
import { until } from '../../scripts/until';
import { pin } from './teardown';

const MIB = 1024 * 1024;

export interface PromisesParams {
  readonly to: Address;
  readonly zeroCopy: ZeroCopyOptions;
}

/** With callbackAt 'accept' a callback fires while the kernel still references its memory. */
export async function accept(params: PromisesParams) {
  const client = await ReceiverClient.open(params.to);
  const seen: Record<string, number> = {};
  for (const callbackAt of ['accept', 'release'] as const) {
    const zeroCopy = { ...params.zeroCopy, callbackAt };
    const out = await client.stream({ stallAfter: 0 }, { zeroCopy });
    // One that fits into any send buffer, unread by the peer, whose window it fills.
    const data = Buffer.alloc(48 * 1024, 'a');
    let pendingThen = -1;
    for (let i = 0; i < 40 && !out.socket.writableNeedDrain; i++) {
      out.socket.write(data, () => {
        pendingThen = Math.max(pendingThen, out.socket.zeroCopy.pendingBytes);
      });
      await client.received(out);
    }
    seen[callbackAt] = pendingThen;
    out.socket.destroy();
    await client.resume(out);
    await client.report(out);
    await out.socket.zeroCopy.flush();
  }
  await portsClosed();
  await client.close();
  return seen;
}

/** flush() of a destroyed socket waits for the receiver. */
export async function flushAfterClose(params: PromisesParams): Promise<void> {
  const client = await ReceiverClient.open(params.to);
  const out = await pin(client, params.zeroCopy);
  out.socket.destroy();
  await out.closed();
  let flushed = 0;
  const flushes = [1, 2].map(() => out.socket.zeroCopy.flush().then(() => flushed++));
  await client.received(out);
  assert.equal(flushed, 0, 'flush() did not wait');
  assert.equal(out.socket.zeroCopy.state, 'active');
  await client.resume(out);
  await Promise.all(flushes);
  assert.deepEqual([out.socket.zeroCopy.pendingBytes, out.socket.zeroCopy.state], [0, 'closed']);
  await out.socket.zeroCopy.flush();
  assert.equal((await client.report(out)).wrong, 0);
  await portsClosed();
  await client.close();
}

/** Many writes at once, of which the kernel releases later ones first where packets are lost. */
export async function order(params: PromisesParams) {
  const client = await ReceiverClient.open(params.to);
  const streams = await Promise.all(
    Array.from({ length: 4 }, () => client.stream({}, { zeroCopy: params.zeroCopy })),
  );
  for (const out of streams) {
    for (let i = 0; i < 60; i++) out.write(i % 3 === 2 ? 100 + i : 120_000 + i);
    out.end(MIB);
  }
  for (const out of streams) {
    const report = await client.report(out);
    assert.deepEqual(report, { bytes: out.written, wrong: 0, end: 'end' });
    await out.settled();
    assert.deepEqual([out.errors, out.outOfOrder, out.released], [[], 0, 61]);
  }
  await until('all released', () => streams.every((s) => s.socket.zeroCopy.pendingSends === 0));
  await portsClosed();
  await client.close();
}
