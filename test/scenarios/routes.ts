// Connections of one route, which know what the others found out: scenarios that one process runs in turn.
import assert from 'node:assert/strict';
import type { Outgoing } from '../helpers/outgoing';
import { type Address, ReceiverClient } from '../helpers/receiver-client';
import { until } from '../../scripts/until';

const KIB = 1024;
const WRITE = 64 * KIB;
/** From one probe to the next; the last is the longest there is. */
const PAUSES_MS = [500, 1_000, 2_000, 4_000] as const;

interface Params {
  readonly to: Address;
}

let kept: { client: ReceiverClient; out: Outgoing } | undefined;

/** Opens a connection that the scenarios after this one go on with. */
export async function begin({ to }: Params): Promise<void> {
  const client = await ReceiverClient.open(to);
  kept = { client, out: await open(client) };
}

export async function end(): Promise<void> {
  const { client, out } = present();
  await finish(client, out);
  await client.close();
  kept = undefined;
}

/** Writes one after another until the state is `state`; tells what it took. */
export async function writeUntil({ state, withinMs }: { state: string; withinMs: number }) {
  const { out } = present();
  const { zeroCopy } = out.socket;
  const before = zeroCopy.stats;
  await until(
    `state '${state}'`,
    async () => {
      await writeOne(out);
      return zeroCopy.state === state;
    },
    withinMs,
  );
  const { reason, stats, thresholds } = zeroCopy;
  const sends = stats.zeroCopySends - before.zeroCopySends;
  const copied = stats.kernelCopiedSends - before.kernelCopiedSends;
  return { reason, sends, copied, thresholds };
}

/**
 * Every copied probe makes the next pause twice as long. Begins with a connection that has just paused,
 * ends behind the third probe, with the longest pause ahead.
 */
export async function backsOff(): Promise<void> {
  const { out } = present();
  const { zeroCopy } = out.socket;
  let before = performance.now();
  for (const pauseMs of PAUSES_MS.slice(0, -1)) {
    const { zeroCopySends, kernelCopiedSends } = zeroCopy.stats;
    await until('a probe was sent, and copied', async () => {
      await writeOne(out);
      return zeroCopy.stats.kernelCopiedSends > kernelCopiedSends;
    });
    const now = performance.now();
    const { stats, state, reason } = zeroCopy;
    assert.deepEqual([state, reason], ['paused', 'kernel-copied']);
    assert.equal(stats.zeroCopySends - zeroCopySends, 1, 'one probe, and nothing beside it');
    // The pause had begun a little before it was seen here.
    assert.ok(now - before > pauseMs * 0.9, `${now - before} ms instead of ${pauseMs}`);
    before = now;
  }
}

/** A connection that begins now. Tells how its first large write went. */
export async function another({ to }: Params) {
  const client = await ReceiverClient.open(to);
  const out = await open(client);
  const started = out.socket.zeroCopy.thresholds;
  const buffer = out.take(4 * WRITE);
  const report = await out.socket.send(buffer);
  const { state, reason: says, thresholds } = out.socket.zeroCopy;
  await finish(client, out);
  await client.close();
  return { report, state, says, started, thresholds };
}

function present(): { client: ReceiverClient; out: Outgoing } {
  assert.ok(kept !== undefined, 'begin comes first');
  return kept;
}

function open(client: ReceiverClient): Promise<Outgoing> {
  return client.stream({}, { zeroCopy: { engine: 'auto' } });
}

// So that the notification of one is there before the next is sent.
async function writeOne(out: Outgoing): Promise<void> {
  out.write(WRITE);
  await out.settled();
  await out.socket.zeroCopy.flush();
}

async function finish(client: ReceiverClient, out: Outgoing): Promise<void> {
  out.end(1);
  assert.deepEqual(await client.report(out), { bytes: out.written, wrong: 0, end: 'end' });
  await out.settled();
  assert.deepEqual(out.errors, []);
}
