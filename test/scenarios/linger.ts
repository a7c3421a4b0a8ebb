// What becomes of a destroyed connection whose memory the kernel still references.
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { StreamPort } from '../../lib/send/port';
import { Heard } from '../helpers/heard';
import type { Outgoing } from '../helpers/outgoing';
import { ReceiverClient } from '../helpers/receiver-client';
import { portsClosed } from '../helpers/remains';
import { until } from '../../scripts/until';
import { pin, type TeardownParams } from './teardown';

interface Abort {
  readonly reason: string;
  readonly pendingBytes: number;
}

const TIMEOUT_MS = 500;

async function assertReleased(out: Outgoing): Promise<void> {
  await out.settled();
  await out.socket.zeroCopy.flush();
  const { pendingBytes, pendingSends } = out.socket.zeroCopy;
  assert.deepEqual([pendingBytes, pendingSends, out.outOfOrder], [0, 0, 0]);
  await portsClosed();
}

function assertAborted(aborts: Heard<Abort>, reason: string): void {
  assert.deepEqual(
    aborts.messages.map((message) => message.reason),
    [reason],
  );
  assert.ok((aborts.messages[0]?.pendingBytes ?? 0) > 0, 'an abort for nothing');
}

/** A reader that never reads on is reset, and everything comes back. */
export async function stalled(params: TeardownParams): Promise<void> {
  const client = await ReceiverClient.open(params.to);
  const aborts = new Heard<Abort>('abort');
  const zeroCopy = { ...params.zeroCopy, lingerTimeoutMs: TIMEOUT_MS };
  const out = await pin(client, zeroCopy, { answer: true });
  const started = performance.now();
  out.socket.destroy();
  await out.closed();
  // Nothing but the clock may end this.
  assert.ok(out.socket.zeroCopy.pendingBytes > 0, 'nothing is pinned');
  await assertReleased(out);
  const took = performance.now() - started;
  aborts.stop();
  assertAborted(aborts, 'linger-timeout');
  assert.ok(took >= TIMEOUT_MS - 1 && took < 3 * TIMEOUT_MS, `released after ${took} ms`);
  await client.resume(out);
  const report = await client.report(out);
  assert.equal(report.wrong, 0);
  assert.match(report.end, /^(ECONNRESET|EPIPE)$/);
  await client.close();
}

// A reader that takes three times the timeout, but reads steadily, is never cut.
async function readSlowly(params: TeardownParams, pieceBytes: number): Promise<void> {
  const client = await ReceiverClient.open(params.to);
  const aborts = new Heard<Abort>('abort');
  const zeroCopy = { ...params.zeroCopy, lingerTimeoutMs: TIMEOUT_MS };
  const out = await pin(client, zeroCopy, {}, pieceBytes);
  out.socket.destroy();
  await out.closed();
  const started = performance.now();
  const everyMs = 10;
  const left = out.socket.zeroCopy.stats.zeroCopyBytes - (await client.received(out));
  const bytes = Math.ceil((left * everyMs) / (3.5 * TIMEOUT_MS));
  await client.pace(out, { bytes, everyMs });
  const report = await client.report(out);
  const took = performance.now() - started;
  await assertReleased(out);
  aborts.stop();
  assert.deepEqual(report, { bytes: out.accepted, wrong: 0, end: 'end' });
  assert.deepEqual(aborts.messages, []);
  assert.ok(took > 3 * TIMEOUT_MS, `too quick to prove anything: ${took} ms`);
  await client.close();
}

/** Of many sends, one is released every now and then. */
export function steady(params: TeardownParams): Promise<void> {
  return readSlowly(params, 256 * 1024);
}

/** One send is released by its last byte only: what counts are acknowledgements. */
export function steadyInOneSend(params: TeardownParams): Promise<void> {
  return readSlowly(params, 64 * 1024 * 1024);
}

/** Data that the peer sends after our destroy() is answered with a reset, as in plain Node. */
export async function lateData(params: TeardownParams): Promise<void> {
  const client = await ReceiverClient.open(params.to);
  const aborts = new Heard<Abort>('abort');
  const out = await pin(client, params.zeroCopy, { answer: true });
  out.socket.destroy();
  await out.closed();
  await client.say(out, 10);
  await assertReleased(out);
  aborts.stop();
  assertAborted(aborts, 'peer-data');
  await client.resume(out);
  const report = await client.report(out);
  assert.equal(report.wrong, 0);
  assert.match(report.end, /^(ECONNRESET|EPIPE)$/);
  await client.close();
}

/** What lateData() is held against: Node's own write and close. */
export async function lateDataByNode(params: TeardownParams): Promise<void> {
  const client = await ReceiverClient.open(params.to);
  const manner = { stallAfter: 0, answer: true };
  const out = await client.stream(manner, { zeroCopy: { engine: 'copy' } });
  for (let i = 0; i < 64; i++) out.write(256 * 1024);
  await until('some of it is accepted', () => out.socket.bytesWritten > 0);
  out.socket.destroy();
  await out.closed();
  await client.say(out, 10);
  await client.resume(out);
  const report = await client.report(out);
  assert.equal(report.wrong, 0);
  assert.match(report.end, /^(ECONNRESET|EPIPE)$/);
  await client.close();
}

let opened: Outgoing | undefined;

/** Opens the stream of `outOfOrder`, before the way to the receiver is closed. */
export async function open(params: TeardownParams): Promise<void> {
  const client = await ReceiverClient.open(params.to);
  const zeroCopy = { ...params.zeroCopy, lingerTimeoutMs: 200 };
  const out = await client.stream({}, { zeroCopy });
  out.write(1000);
  await until('the way is open', async () => (await client.received(out)) === out.written);
  opened = out;
}

/**
 * Nothing reaches the receiver: a part of what is written waits to be acknowledged, the rest to be sent
 * at all, and an abort purges the latter first. Ranges come out of order, callbacks in that of the
 * writes all the same.
 */
export async function outOfOrder(): Promise<void> {
  assert.ok(opened !== undefined);
  const out = opened;
  const ranges: [number, number][] = [];
  // Subscribers to releases learn of each id.
  const listener = (): void => undefined;
  subscribe('msg-zerocopy:release', listener);
  const { onRange } = StreamPort.prototype;
  StreamPort.prototype.onRange = function (id, last, copied, told): void {
    ranges.push([id, last]);
    onRange.call(this, id, last, copied, told);
  };
  try {
    for (let i = 0; i < 64; i++) out.write(256 * 1024);
    // More than one notification covers: they come for up to 512 KiB each.
    await until('much is pinned', () => out.socket.zeroCopy.pendingBytes > 1024 * 1024);
    out.socket.destroy();
    await assertReleased(out);
  } finally {
    StreamPort.prototype.onRange = onRange;
    unsubscribe('msg-zerocopy:release', listener);
  }
  const lows = ranges.map(([lo]) => lo);
  const sorted = [...lows].sort((a, b) => a - b);
  assert.notDeepEqual(lows, sorted, `all in order: ${JSON.stringify(ranges)}`);
  assert.equal(out.socket.zeroCopy.stats.strayNotifications, 0);
}
