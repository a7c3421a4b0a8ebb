// Answers of the kernel's that a preloaded library gives (test/scenarios/kernel-faults.c): what becomes of
// the bytes, and what is said.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { metrics } from '../../lib/index';
import { Heard } from '../helpers/heard';
import { ReceiverClient } from '../helpers/receiver-client';
import { until } from '../../scripts/until';
import { assertComplete, type UringParams } from './io-uring-kit';

const SIZES = [100_000, 1, 33_000, 700_000, 64_000, 250_000, 8_192];

/** Sends go on by copy from the refusal on. */
export async function refusedSends(params: UringParams) {
  const fallbacks = new Heard<{ reason: string }>('fallback');
  const client = await ReceiverClient.open(params.to);
  const out = await client.stream({}, { zeroCopy: { ...params.zeroCopy, threshold: 1 } });
  await out.writeAll(SIZES);
  const buffer = out.take(300_000);
  const report = await out.socket.send([buffer.subarray(0, 10), buffer.subarray(10)]);
  buffer.fill(0xee);
  const { engine, reason, state } = out.socket.zeroCopy;
  out.end(50_000);
  await assertComplete(client, out);
  await client.close();
  fallbacks.stop();
  const told = fallbacks.messages.map((message) => message.reason);
  const { zeroCopySends } = out.socket.zeroCopy.stats;
  return { engine, reason, state, report, zeroCopySends, told };
}

/** One notification never comes: what it named is kept, everything else goes on. */
export async function lostNotification(params: UringParams) {
  const client = await ReceiverClient.open(params.to);
  const out = await client.stream({}, { zeroCopy: { ...params.zeroCopy, threshold: 1 } });
  const { zeroCopy } = out.socket;
  // One at a time, because the kernel merges notifications that are not read.
  await until('the first line is released', () => zeroCopy.stats.notifications === 1);
  // Without callbacks: none would be called again.
  out.socket.write(out.take(40_000));
  await until('the loss is told', () => zeroCopy.stats.lostNotifications > 0);
  out.socket.write(out.take(50_000));
  await until('the next is released', () => zeroCopy.stats.notifications === 2);
  const { stats, pendingSends } = zeroCopy;
  assert.equal(metrics().totals.lostNotifications, stats.lostNotifications);
  out.socket.end();
  const report = await client.report(out);
  await client.close();
  return { lost: stats.lostNotifications, pendingSends, report };
}

/** Descriptors cannot be watched: every byte arrives, or the write says why not. */
export async function unwatched(params: UringParams) {
  const fallbacks = new Heard<{ reason: string }>('fallback');
  const client = await ReceiverClient.open(params.to);
  const out = await client.stream({}, { zeroCopy: { ...params.zeroCopy, threshold: 1 } });
  await out.writeAll(SIZES);
  const { engine, reason } = out.socket.zeroCopy;
  out.end(50_000);
  await assertComplete(client, out);
  await client.close();
  fallbacks.stop();
  return { engine, reason, told: fallbacks.messages.map((message) => message.reason) };
}

/** The ring's descriptor can, and no connection's, so that none can wait for space. */
export async function unwatchedWait(params: UringParams) {
  const client = await ReceiverClient.open(params.to);
  const out = await client.stream(
    { stallAfter: 0 },
    { zeroCopy: { ...params.zeroCopy, threshold: 1 } },
  );
  const failure = once(out.socket, 'error') as Promise<[NodeJS.ErrnoException]>;
  const closed = new Promise((resolve) => out.socket.once('close', resolve));
  out.socket.write(out.take(64 * 1024 * 1024));
  const [{ code, syscall }] = await failure;
  await closed;
  await client.close();
  return { code, syscall };
}
