// metrics() beside the stats of the sockets that it sums: TCP by every engine, UDP, open and closed.
import assert from 'node:assert/strict';
import { metrics, type ProcessMetrics, type ZeroCopyOptions } from '../../lib/index';
import { between, seededRandom } from '../../scripts/random';
import { type Address, ReceiverClient } from '../helpers/receiver-client';
import { portsClosed } from '../helpers/remains';

export interface MetricsParams {
  readonly to: Address;
  readonly engines: readonly NonNullable<ZeroCopyOptions['engine']>[];
}

type Sums = Record<string, number>;

function add(sums: Sums, stats: object): void {
  for (const [name, count] of Object.entries(stats)) sums[name] = (sums[name] ?? 0) + count;
}

function difference(after: object, before: object): Sums {
  const sums: Sums = { ...(after as Sums) };
  for (const [name, count] of Object.entries(before)) sums[name] = (sums[name] ?? 0) - count;
  return sums;
}

function assertOrdered({ buckets, count, sum }: ProcessMetrics['releaseLatency']): void {
  let last = { le: 0, count: 0 };
  for (const bucket of buckets) {
    assert.ok(bucket.le > last.le && bucket.count >= last.count, JSON.stringify(buckets));
    last = bucket;
  }
  assert.deepEqual(last, { le: Infinity, count });
  assert.ok(sum >= 0);
}

/** A socket of each engine with writes of all sizes; half of them close, the others stay open. */
export async function summed({ to, engines }: MetricsParams): Promise<Sums> {
  const before = metrics();
  const client = await ReceiverClient.open(to);
  const random = seededRandom(5);
  const all = [];
  for (const engine of engines) {
    for (const way of ['closed', 'open', 'reset', 'small'] as const) {
      const out = await client.stream({}, { zeroCopy: { engine } });
      const largest = way === 'small' ? 10 : 17;
      await out.writeAll(Array.from({ length: 60 }, () => 2 ** between(random, 3, largest)));
      if (way === 'closed' || way === 'small') out.end(100);
      if (way === 'reset') out.socket.resetAndDestroy();
      all.push({ out, way });
    }
  }
  for (const { out, way } of all) {
    await out.settled();
    if (way !== 'open') await out.closed();
    await out.socket.zeroCopy.flush();
  }
  const sums: Sums = {};
  for (const { out } of all) add(sums, out.socket.zeroCopy.stats);
  const after = metrics();
  const totals = difference(after.totals, before.totals);
  for (const [name, count] of Object.entries(totals)) assert.equal(count, sums[name] ?? 0, name);
  assert.equal(after.openSockets - before.openSockets, engines.length);
  assert.deepEqual([after.pendingBytes, after.pendingSends], [0, 0]);
  assert.equal(after.releaseLatency.count, after.totals.notifications);
  assertOrdered(after.releaseLatency);
  assert.equal(after.totals.notifications, after.totals.zeroCopySends);

  for (const { out } of all) out.socket.destroy();
  for (const { out } of all) await out.closed();
  await portsClosed();
  const end = metrics();
  assert.deepEqual(end.totals, after.totals);
  assert.equal(end.openSockets, before.openSockets);
  assert.deepEqual([end.openPorts, end.pinnedBytes], [0, 0]);
  assert.ok(end.budgetBytes > 0);
  await client.close();
  return totals;
}

/** One connection after another on the same net.Socket: nothing is lost, nothing counted twice. */
export async function reconnected({ to }: MetricsParams): Promise<void> {
  const before = metrics();
  const client = await ReceiverClient.open(to);
  const zeroCopy = { engine: 'msg_zerocopy' } as const;
  const { socket, ...first } = await client.stream({}, { zeroCopy });
  let written = first.headBytes;
  for (let round = 0; round < 3; round++) {
    for (const bytes of [100, 200_000]) {
      written += bytes;
      socket.write(Buffer.alloc(bytes));
    }
    socket.end();
    await new Promise((resolve) => socket.once('close', resolve));
    await socket.zeroCopy.flush();
    const { zeroCopyBytes, copiedBytes } = socket.zeroCopy.stats;
    assert.equal(zeroCopyBytes + copiedBytes, written);
    const totals = difference(metrics().totals, before.totals);
    assert.deepEqual(
      [totals['zeroCopyBytes'], totals['copiedBytes']],
      [zeroCopyBytes, copiedBytes],
    );
    if (round === 2) break;
    const head = Buffer.from(`${JSON.stringify({ stream: first.stream + 5_000 + round })}\n`);
    written += head.length;
    socket.connect(to.port, to.host).resume();
    socket.write(head);
    await new Promise((resolve) => socket.once('connect', resolve));
  }
  await portsClosed();
  assert.equal(metrics().openSockets, before.openSockets);
  await client.close();
}

/** What is pinned shows while it is, and a reset to get it back is counted with its reason. */
export async function pinned({ to }: MetricsParams): Promise<void> {
  const before = metrics();
  const client = await ReceiverClient.open(to);
  const zeroCopy = { engine: 'msg_zerocopy', lingerTimeoutMs: 50 } as const;
  const out = await client.stream({ stallAfter: 0 }, { zeroCopy });
  while (!out.socket.writableNeedDrain) out.write(500_000);
  const { pendingBytes, pendingSends } = out.socket.zeroCopy;
  const during = metrics();
  assert.ok(pendingBytes > 0);
  assert.deepEqual([during.pendingBytes, during.pendingSends], [pendingBytes, pendingSends]);
  assert.equal(during.pinnedBytes, pendingBytes);
  assert.equal(during.openPorts, 1);
  out.socket.destroy();
  await out.closed();
  assert.equal(metrics().openSockets, before.openSockets + 1);
  await out.socket.zeroCopy.flush();
  await portsClosed();
  const after = metrics();
  const aborted = difference(after.aborts, before.aborts);
  assert.deepEqual(aborted, { 'linger-timeout': 1 });
  assert.deepEqual([after.pinnedBytes, after.openSockets], [0, before.openSockets]);
  assert.ok(after.releaseLatency.sum - before.releaseLatency.sum > 0.05);
  await client.close();
}
