// How much memory the kernel may reference at a time: for each socket, and for the process.
import assert from 'node:assert/strict';
import type { ZeroCopyOptions } from '../../lib/index';
import { getReactor, Reactor } from '../../lib/native/reactor';
import type { Outgoing } from '../helpers/outgoing';
import { type Address, ReceiverClient } from '../helpers/receiver-client';
import { portsClosed } from '../helpers/remains';
import { until } from '../../scripts/until';
import { highestOfWrites } from '../helpers/writes';

const MIB = 1024 * 1024;
const READERS = 50;

export interface BudgetParams {
  readonly to: Address;
  readonly zeroCopy: ZeroCopyOptions;
}

/** Ten thousand sends to a reader that is slower than the sender. */
export async function socketBudget(params: BudgetParams): Promise<void> {
  const client = await ReceiverClient.open(params.to);
  const zeroCopy = { ...params.zeroCopy, maxPendingBytes: MIB };
  const out = await client.stream({ stallAfter: 0 }, { zeroCopy });
  const most = await highestOfWrites(
    () => out.socket.zeroCopy.pendingBytes,
    async () => {
      for (let i = 0; i < 100; i++) out.write(33_000);
      await until('the budget is spent', () => out.socket.zeroCopy.stats.budgetCopies > 0);
      await client.resume(out);
      await until(
        'ten thousand sends',
        async () => {
          for (let i = 0; i < 200; i++) if (!out.write(33_000)) await out.drained();
          return out.socket.zeroCopy.stats.zeroCopySends >= 10_000;
        },
        20_000,
      );
      await out.settled();
    },
  );
  assert.ok(most <= MIB, `${most} bytes were pinned`);
  assert.ok(most > MIB / 2, `only ${most} bytes were ever pinned`);
  out.end(1);
  assert.deepEqual(await client.report(out), { bytes: out.written, wrong: 0, end: 'end' });
  await out.settled();
  await portsClosed();
  await client.close();
}

/** Fifty readers that stall, with a small budget for all of them. */
export async function processBudget(params: BudgetParams): Promise<void> {
  const reactor = getReactor();
  assert.ok(reactor instanceof Reactor);
  const small = 8 * MIB;
  reactor.native.setBudget(small);
  const client = await ReceiverClient.open(params.to);
  const streams: Outgoing[] = [];
  const sum = (): number => streams.reduce((s, o) => s + o.socket.zeroCopy.pendingBytes, 0);
  const most = await highestOfWrites(sum, async () => {
    for (let i = 0; i < READERS; i++) {
      const out = await client.stream({ stallAfter: 0 }, { zeroCopy: params.zeroCopy });
      streams.push(out);
      for (let j = 0; j < 20; j++) out.write(100_000);
    }
    await until('the budget is spent', () => {
      return streams.some((out) => out.socket.zeroCopy.stats.budgetCopies > 0);
    });
    assert.equal(reactor.processPinned, sum());
  });
  assert.ok(most <= small, `${most} bytes were pinned`);
  assert.ok(most > small / 2, `only ${most} bytes were ever pinned`);
  for (const out of streams) {
    out.end(1);
    await client.resume(out);
  }
  for (const out of streams) {
    assert.deepEqual(await client.report(out), { bytes: out.written, wrong: 0, end: 'end' });
    await out.settled();
  }
  await portsClosed();
  assert.deepEqual([sum(), reactor.processPinned], [0, 0]);
  reactor.native.setBudget(reactor.processBudget);
  await client.close();
}

/** Bytes that wait in the stream do not count as copied yet. */
export async function copiedBytes(params: BudgetParams): Promise<void> {
  const client = await ReceiverClient.open(params.to);
  const out = await client.stream({ stallAfter: 0 }, { zeroCopy: params.zeroCopy });
  for (let i = 0; i < 40; i++) out.write(MIB);
  await until('something is pinned', () => out.socket.zeroCopy.pendingBytes > 0);
  const { copiedBytes } = out.socket.zeroCopy.stats;
  out.socket.destroy();
  await client.resume(out);
  await client.report(out);
  await portsClosed();
  await client.close();
  assert.equal(copiedBytes, out.headBytes);
}
