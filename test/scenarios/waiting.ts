// Writers that wait for each callback before they write on, and others: scenarios.
import assert from 'node:assert/strict';
import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { ZeroCopyOptions } from '../../lib/index';
import type { Outgoing } from '../helpers/outgoing';
import { type Address, ReceiverClient } from '../helpers/receiver-client';

/** Large enough for a response to go without copying. */
const WRITE = 128 * 1024;
/** The peer reads so slowly that memory is released well behind its acceptance. */
const PACE = { bytes: WRITE, everyMs: 4 };
const MOST_WRITES = 1_000;

interface Params {
  readonly to: Address;
  readonly zeroCopy: ZeroCopyOptions;
  /** After data from its peer a connection sends by io_uring where it may choose, others by MSG_ZEROCOPY. */
  readonly hears: boolean;
}

const fallbacks: unknown[] = [];
subscribe('msg-zerocopy:fallback', (message) => {
  fallbacks.push((message as { reason: unknown }).reason);
});

async function withStream(
  { to, zeroCopy, hears }: Params,
  body: (out: Outgoing, client: ReceiverClient) => Promise<void>,
  reading: { pace?: typeof PACE } = { pace: PACE },
): Promise<void> {
  const client = await ReceiverClient.open(to);
  const out = await client.stream(reading, { zeroCopy });
  if (hears) {
    const heard = once(out.socket, 'data');
    await client.say(out, 1);
    await heard;
  }
  await body(out, client);
  // What is still on its way need not take its time.
  await client.resume(out);
  out.end(1);
  assert.deepEqual(await client.report(out), { bytes: out.written, wrong: 0, end: 'end' });
  await out.settled();
  assert.deepEqual(out.errors, []);
  assert.equal(out.outOfOrder, 0);
  await client.close();
}

function waits(out: Outgoing): Promise<void> {
  out.write(WRITE);
  return out.settled();
}

// With nothing between its writes.
async function untilCopied(out: Outgoing): Promise<void> {
  const { zeroCopy } = out.socket;
  for (let i = 0; i < MOST_WRITES; i++) {
    await waits(out);
    if (zeroCopy.reason === 'waiting-writer' && zeroCopy.state === 'paused') return;
  }
  assert.fail(`${zeroCopy.state} after ${MOST_WRITES} writes`);
}

/** Waits for each callback; then streams. */
export async function waitsThenStreams(params: Params) {
  let copied = 0;
  await withStream(params, async (out) => {
    const { zeroCopy } = out.socket;
    assert.equal(zeroCopy.engine, params.hears ? 'io_uring' : 'msg_zerocopy');
    fallbacks.length = 0;
    await untilCopied(out);
    assert.ok(zeroCopy.stats.zeroCopySends >= 4, 'the first writes went zero-copy');
    assert.equal(zeroCopy.engine, 'copy');
    assert.ok(fallbacks.includes('waiting-writer'), `told of: ${fallbacks.join(', ')}`);
    const before = zeroCopy.stats;
    const report = await out.socket.send(out.take(WRITE));
    assert.deepEqual([report.copiedBytes, report.reason], [WRITE, 'waiting-writer']);
    assert.equal(zeroCopy.stats.waitingCopies, before.waitingCopies + 1);
    assert.equal(zeroCopy.stats.zeroCopySends, before.zeroCopySends);
    copied = zeroCopy.stats.waitingCopies;
    for (let i = 0; i < 10 * MOST_WRITES && zeroCopy.state !== 'active'; i++) {
      out.write(WRITE);
      await out.drained();
    }
    const { zeroCopyBytes } = zeroCopy.stats;
    for (let i = 0; i < 10; i++) out.write(WRITE);
    await out.settled();
    const sent = zeroCopy.stats.zeroCopyBytes - zeroCopyBytes;
    assert.equal(sent, 10 * WRITE, 'a stream goes zero-copy again');
  });
  return { copied };
}

/** Whether the callback of a writer that is copied for comes before the event loop goes on. */
export async function callsBackAtOnce(params: Params) {
  let first = '';
  await withStream(params, async (out) => {
    await untilCopied(out);
    const released = waits(out).then(() => 'the callback');
    first = await Promise.race([released, ticks().then(() => 'the event loop')]);
  });
  return { first };
}

async function ticks(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise<void>((resolve) => process.nextTick(resolve));
}

/** Streams with callbacks that nobody waits for. */
export async function streams(params: Params) {
  let seen: unknown[] = [];
  await withStream(params, async (out) => {
    for (let i = 0; i < 300; i++) {
      out.write(WRITE);
      await out.drained();
    }
    const { state, stats } = out.socket.zeroCopy;
    seen = [state, stats.waitingCopies];
  });
  return { seen };
}

/** Waits for each callback, and insists on zero copy. */
export async function insists(params: Params) {
  let seen: unknown[] = [];
  await withStream(params, async (out) => {
    for (let i = 0; i < 30; i++) await waits(out);
    const { state, stats } = out.socket.zeroCopy;
    seen = [state, stats.waitingCopies];
  });
  return { seen };
}

/** How writers wait that a program may well have. Each does its `rounds`. */
const MANNERS = {
  'one write after the other': (out: Outgoing, rounds: number) =>
    pump(out, rounds, () => waits(out)),
  'one write after the other, with work in between': (out: Outgoing, rounds: number) =>
    pump(out, rounds, () => waits(out).then(work)),
  'two at a time, with work in between': (out: Outgoing, rounds: number) => {
    const one = (): Promise<void> => released(out).then(work);
    return Promise.all([pump(out, rounds / 2, one), pump(out, rounds / 2, one)]);
  },
  'beside a peer that talks all the time, with work in between': async (
    out: Outgoing,
    rounds: number,
    client: ReceiverClient,
  ) => {
    let isOver = false;
    const talk = async (): Promise<void> => {
      while (!isOver) await client.say(out, 1);
    };
    const talks = [talk(), talk(), talk(), talk()];
    await pump(out, rounds, () => waits(out).then(work));
    isOver = true;
    await Promise.all(talks);
  },
};

export type Manner = keyof typeof MANNERS;

/** A writer waits for its callbacks in some manner: how many of its writes did not. */
export async function waitsInManner({
  manner,
  rounds,
  ...params
}: Params & { manner: Manner; rounds: number }) {
  let waited = 0;
  await withStream(
    params,
    async (out, client) => {
      await MANNERS[manner](out, rounds, client);
      const { zeroCopySends, waitingCopies } = out.socket.zeroCopy.stats;
      assert.equal(zeroCopySends + waitingCopies, rounds);
      waited = zeroCopySends;
    },
    {},
  );
  return { waited };
}

/** Answers each word of the peer, after some work, with callbacks that nobody waits for. */
export async function answers({ rounds, ...params }: Params & { rounds: number }) {
  let copied = 0;
  await withStream(
    params,
    async (out, client) => {
      await pump(out, rounds, async () => {
        const heard = once(out.socket, 'data');
        await Promise.all([client.say(out, 1), heard]);
        await work();
        out.write(WRITE);
      });
      copied = out.socket.zeroCopy.stats.waitingCopies;
      await out.settled();
    },
    {},
  );
  return { copied };
}

async function pump(out: Outgoing, rounds: number, one: () => Promise<void>): Promise<void> {
  for (let round = 0; round < rounds && !out.socket.destroyed; round++) await one();
}

function released(out: Outgoing): Promise<void> {
  const buffer = out.take(WRITE);
  return new Promise((resolve) => {
    const onRelease = out.releaseCallback(buffer);
    out.socket.write(buffer, (error) => {
      onRelease(error);
      resolve();
    });
  });
}

// What takes turns of the event loop, such as reading a file.
async function work(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}
