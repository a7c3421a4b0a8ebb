// Where io_uring is refused, or stops to be allowed: what is said of it, and that everything arrives.
import assert from 'node:assert/strict';
import { capabilities, type ZeroCopyOptions } from '../../lib/index';
import { Heard } from '../helpers/heard';
import { ReceiverClient } from '../helpers/receiver-client';
import { assertComplete, MIB, type UringParams } from './io-uring-kit';

const SIZES = [1, 700_000, 4096, 8191, 0, 32_768, 3 * MIB, 17, 200_001, MIB];

/** Sends in mixed sizes; what the control and capabilities() say meanwhile. */
export async function transfer(params: UringParams) {
  const fallbacks = new Heard<{ reason: string }>('fallback');
  const client = await ReceiverClient.open(params.to);
  const out = await client.stream({}, { zeroCopy: params.zeroCopy });
  await out.writeAll([...SIZES, ...SIZES]);
  const { engine, reason, state } = out.socket.zeroCopy;
  const buffer = out.take(MIB);
  const report = await out.socket.send(buffer);
  buffer.fill(0xee);
  out.end(100_000);
  await assertComplete(client, out);
  await client.close();
  fallbacks.stop();
  const told = fallbacks.messages.map((message) => message.reason);
  const { stats } = out.socket.zeroCopy;
  const capability = capabilities().tcp.io_uring;
  return { engine, reason, state, report, stats, told, capability };
}

/** To a reader that stalls first: so much is pinned at a time that a small limit is met. */
export async function stalledTransfer(params: UringParams) {
  const client = await ReceiverClient.open(params.to);
  const out = await client.stream({ stallAfter: 0 }, { zeroCopy: params.zeroCopy });
  for (let i = 0; i < 60; i++) out.write(100_000 + i);
  await client.received(out);
  await client.resume(out);
  await out.settled();
  for (let i = 0; i < 20; i++) {
    out.write(33_000);
    await out.settled();
  }
  out.end(1);
  await assertComplete(client, out);
  await client.close();
  return { stats: out.socket.zeroCopy.stats, capability: capabilities().tcp.io_uring };
}

const NOBODY = 65_534;

/** Privileges dropped while requests are in flight, and afterwards new connections. */
export async function privilegesDropped(params: UringParams) {
  assert.equal(process.geteuid?.(), 0);
  const client = await ReceiverClient.open(params.to);
  const out = await client.stream({ stallAfter: 0 }, { zeroCopy: params.zeroCopy });
  for (let i = 0; i < 40; i++) out.write(200_000);
  await client.received(out);
  assert.ok(out.socket.zeroCopy.pendingBytes > 0, 'nothing is in flight');
  process.seteuid?.(NOBODY);
  const later = await client.stream({}, { zeroCopy: params.zeroCopy });
  try {
    await client.resume(out);
    for (const stream of [out, later]) {
      await stream.writeAll(SIZES);
      stream.end(100_000);
      await assertComplete(client, stream);
    }
  } finally {
    process.seteuid?.(0);
  }
  await client.close();
  const { engine, reason, stats } = later.socket.zeroCopy;
  return { engine, reason, stats };
}

/** Every engine by name, one connection each. */
export async function byName(params: UringParams) {
  const answers: Record<string, [engine: string, reason: string]> = {};
  for (const engine of ['io_uring', 'auto', 'msg_zerocopy', 'copy'] as const) {
    const zeroCopy: ZeroCopyOptions = { engine };
    const { engine: used, reason } = await transfer({ ...params, zeroCopy });
    answers[engine] = [used, reason ?? 'none'];
  }
  return answers;
}
