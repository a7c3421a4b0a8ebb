// Much at once: connections that stall by the thousand, rings that are too small for what a turn
// brings, completions that come faster than they are read.
import assert from 'node:assert/strict';
import { getReactor, Reactor } from '../../lib/native/reactor';
import type { Outgoing } from '../helpers/outgoing';
import { type Manner, ReceiverClient } from '../helpers/receiver-client';
import { until } from '../../scripts/until';
import { highestOfWrites } from '../helpers/writes';
import {
  assertComplete,
  assertEngine,
  MIB,
  scenario,
  turn,
  type UringParams,
} from './io-uring-kit';

const STALLED = 2000;
const AT_A_TIME = 50;

async function open(
  client: ReceiverClient,
  count: number,
  manner: Manner,
  params: UringParams,
): Promise<Outgoing[]> {
  const streams: Outgoing[] = [];
  while (streams.length < count) {
    const some = Array.from({ length: Math.min(AT_A_TIME, count - streams.length) }, () =>
      client.stream(manner, { zeroCopy: params.zeroCopy }),
    );
    streams.push(...(await Promise.all(some)));
  }
  return streams;
}

// CPU time that the process uses within a second, in milliseconds.
async function cpuOfASecond(): Promise<number> {
  const before = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

export interface Stalled {
  readonly mostPinned: number;
  readonly cpuMs: number;
  /** Connections of which a part of the write waited. */
  readonly waiting: number;
}

export interface StalledParams extends UringParams {
  /** Of the process, in bytes. */
  readonly budget: number;
}

/** Two thousand readers that do not read, a large write to each, and all of them served at last. */
export async function manyStalled(params: StalledParams): Promise<Stalled> {
  const reactor = getReactor();
  assert.ok(reactor instanceof Reactor);
  reactor.native.setBudget(params.budget);
  const client = await ReceiverClient.open(params.to);
  const streams = await open(client, STALLED, { stallAfter: 0 }, params);
  let waiting = 0;
  let cpuMs = 0;
  const pinned = (): number => reactor.processPinned;
  const most = await highestOfWrites(pinned, async () => {
    for (const out of streams) out.write(1024 * 1024);
    // What the budget has no room for is copied: that goes on while the pinned bytes stay the same.
    const accepted = (): number => streams.reduce((sum, out) => sum + out.accepted, 0);
    await until('the send buffers are full', async () => {
      const before = accepted();
      for (let i = 0; i < 20; i++) await client.received(streams[i] as Outgoing);
      return reactor.processPinned > 0 && accepted() === before;
    });
    waiting = streams.filter((out) => out.socket.writableLength > 0).length;
    cpuMs = await cpuOfASecond();
    for (const out of streams) out.end(1);
    await Promise.all(streams.map((out) => client.resume(out)));
    for (const out of streams) await assertComplete(client, out);
  });
  assert.equal(reactor.processPinned, 0);
  reactor.native.setBudget(reactor.processBudget);
  await client.close();
  return { mostPinned: most, cpuMs, waiting };
}

/** Two hundred connections write in one turn, several times; a ring of four entries takes part of it. */
export const inOneTurn = scenario(async (client, params: UringParams) => {
  const streams = await open(client, 200, {}, params);
  for (let round = 0; round < 5; round++) {
    for (const [index, out] of streams.entries()) {
      out.write(40_000 + 1000 * index);
      if (index % 2 === 0) out.write(100);
    }
    await Promise.all(streams.map((out) => out.settled()));
  }
  for (const out of streams) out.end(50_000);
  for (const out of streams) {
    await assertComplete(client, out);
    assertEngine(out, params);
  }
});

/** Many writes in a turn on each of many connections, all of which stall, and then drain at once. */
export const drainedAtOnce = scenario(async (client, params: UringParams) => {
  const streams = await open(client, 60, { stallAfter: 0 }, params);
  for (const out of streams) for (let i = 0; i < 20; i++) out.write(33_000);
  await until('something is pinned', () => streams.some((o) => o.socket.zeroCopy.pendingBytes > 0));
  await Promise.all(streams.map((out) => client.resume(out)));
  for (const out of streams) out.end(1);
  for (const out of streams) await assertComplete(client, out);
});

/** Small forced sends, more than the send buffer has room for, of which few are released before the reader reads. */
export const forcedOnOne = scenario(async (client, params: UringParams) => {
  const zeroCopy = { ...params.zeroCopy, threshold: 1 };
  const out = await client.stream({ stallAfter: 0 }, { zeroCopy });
  for (let i = 0; i < 4000; i++) {
    // Many times what the reader's machine takes in its place.
    out.write(1000 + (i % 200));
    // So that each is accepted by itself, as long as there is space.
    await turn();
  }
  const pendingSends = out.socket.zeroCopy.pendingSends;
  await client.resume(out);
  out.end(1);
  await assertComplete(client, out);
  assert.ok(pendingSends > 500, `only ${pendingSends} sends waited to be released`);
  assert.equal(out.socket.zeroCopy.stats.copiedBytes, 0);
});

export interface Latency {
  readonly mostPendingBytes: number;
  readonly written: number;
  readonly zeroCopyBytes: number;
  readonly budgetCopies: number;
}

export interface LatencyParams extends UringParams {
  readonly totalBytes: number;
  /** Bytes in a second; as fast as they are accepted when absent. */
  readonly rate?: number;
}

const CHUNK = 64 * 1024;

/** A long stream without a pause, and the most that was pending of it at any time. */
export async function longStream(params: LatencyParams): Promise<Latency> {
  const client = await ReceiverClient.open(params.to);
  // Above what the process may pin: nothing but releases bounds what is pending.
  const zeroCopy = { ...params.zeroCopy, maxPendingBytes: 1024 * MIB };
  const out = await client.stream({}, { zeroCopy });
  const pinned = (): number => (getReactor() as Reactor).processPinned;
  const most = await highestOfWrites(pinned, async () => {
    const started = performance.now();
    while (out.written < params.totalBytes) {
      const due = ((performance.now() - started) * (params.rate ?? Infinity)) / 1000;
      if (out.written >= due) await turn();
      else if (!out.write(CHUNK)) await out.drained();
    }
    out.end(1);
    await assertComplete(client, out);
  });
  const { zeroCopyBytes, budgetCopies } = out.socket.zeroCopy.stats;
  await client.close();
  return { mostPendingBytes: most, written: out.written, zeroCopyBytes, budgetCopies };
}
