// What every engine does alike, over every family of addresses and every path. Each scenario makes one
// connection, asserts by itself, and leaves no port and no descriptor behind.
import assert from 'node:assert/strict';
import net from 'node:net';
import { createServer, enableZeroCopy, isZeroCopy, type ZeroCopyOptions } from '../../lib/index';
import { getReactor } from '../../lib/native/reactor';
import { getSubmitRing } from '../../lib/native/submit-ring';
import { countWrong, fillFrom, OVERWRITTEN } from '../../scripts/pattern';
import type { Outgoing } from '../helpers/outgoing';
import { type Address, ReceiverClient } from '../helpers/receiver-client';
import { countDescriptors, descriptorsBackTo, portsClosed } from '../helpers/remains';
import { until } from '../../scripts/until';

export interface ConformanceParams {
  readonly to: Address;
  readonly zeroCopy: ZeroCopyOptions;
  /** Where the receiver reaches a server of the scenario's. */
  readonly senderHost: string;
}

type Body = (client: ReceiverClient, params: ConformanceParams) => Promise<void>;

const MIB = 1024 * 1024;
const SIZES = [1, 700_000, 4096, 8191, 8192, 0, 32_768, 3 * MIB, 17, 65_536, 200_001, 1, MIB];

function scenario(body: Body): (params: ConformanceParams) => Promise<void> {
  return async (params) => {
    // Before counting: the first use takes descriptors that stay.
    getReactor();
    getSubmitRing();
    const before = countDescriptors();
    const client = await ReceiverClient.open(params.to);
    try {
      await body(client, params);
      await portsClosed();
    } finally {
      await client.close();
    }
    await descriptorsBackTo(before);
  };
}

async function assertComplete(client: ReceiverClient, out: Outgoing): Promise<void> {
  const report = await client.report(out);
  await out.settled();
  await out.closed();
  assert.deepEqual([out.errors, out.outOfOrder, out.socketError], [[], 0, undefined]);
  assert.deepEqual(report, { bytes: out.written, wrong: 0, end: 'end' });
  assertReleased(out);
  assert.equal(out.socket.bytesWritten, out.written + out.headBytes);
}

function assertReleased(out: Outgoing): void {
  const { pendingBytes, pendingSends, stats } = out.socket.zeroCopy;
  assert.deepEqual([pendingBytes, pendingSends], [0, 0]);
  assert.equal(stats.strayNotifications, 0);
  assert.equal(stats.notifications, stats.zeroCopySends);
}

export const callbacks = scenario(async (client, { zeroCopy }) => {
  const out = await client.stream({}, { zeroCopy });
  await out.writeAll([...SIZES, ...SIZES]);
  out.end(123_456);
  await assertComplete(client, out);
});

export const oneTurn = scenario(async (client, { zeroCopy }) => {
  const out = await client.stream({}, { zeroCopy });
  out.write(MIB);
  await out.settled();
  // Nothing is pending. All but the last are copied, the smallest without a held callback, and their
  // callbacks come behind the acceptance of the last.
  for (const bytes of [384, 31_000, 3, 31_000, 12, 327_680]) out.write(bytes);
  out.end(1);
  await assertComplete(client, out);
});

export const corked = scenario(async (client, { zeroCopy }) => {
  const out = await client.stream({}, { zeroCopy });
  for (let round = 0; round < 6; round++) {
    out.socket.cork();
    // A header, a body, and a trailer, as http writes them; text among them; an empty chunk.
    for (const bytes of [180, 40_000 * (round + 1), 2, 0]) out.write(bytes);
    for (const bytes of [64, 70_000]) out.writeText(bytes);
    // More small chunks than one system call takes pieces.
    for (let i = 0; i < 300 * round; i++) out.write(7 + i);
    out.socket.uncork();
  }
  await out.drained();
  out.end(1);
  await assertComplete(client, out);
});

export const sendReports = scenario(async (client, { zeroCopy }) => {
  const out = await client.stream({}, { zeroCopy });
  for (const sizes of [[MIB], [10], [100_000, 3, 50_000], [5000, 5000], [4 * MIB], [0]]) {
    const buffers = sizes.map((bytes) => out.take(bytes));
    const report = await out.socket.send(buffers);
    for (const buffer of buffers) buffer.fill(OVERWRITTEN);
    const { zeroCopyBytes, copiedBytes, kernelCopiedBytes, unknownBytes } = report;
    const sum = zeroCopyBytes + copiedBytes + kernelCopiedBytes + unknownBytes;
    assert.equal(
      report.bytes,
      sizes.reduce((a, b) => a + b),
    );
    assert.equal(sum, report.bytes, `${JSON.stringify(report)} of ${sizes.join()}`);
  }
  out.end(1);
  await assertComplete(client, out);
});

export const flushed = scenario(async (client, { zeroCopy }) => {
  const out = await client.stream({}, { zeroCopy });
  let early = 0;
  for (let i = 0; i < 4; i++) {
    const buffer = out.take(MIB);
    // Without a callback, only flush() reports the release.
    out.socket.write(buffer);
    const flush = out.socket.zeroCopy.flush();
    await flush;
    if (out.socket.zeroCopy.pendingBytes > 0) early++;
    buffer.fill(OVERWRITTEN);
  }
  out.end(1);
  await assertComplete(client, out);
  assert.equal(early, 0);
});

export const flushedAfterClose = scenario(async (client, { zeroCopy }) => {
  const out = await client.stream({}, { zeroCopy });
  const buffer = out.take(6 * MIB);
  out.socket.end(buffer);
  await until('everything is accepted', () => out.socket.writableFinished);
  out.socket.destroy();
  await out.closed();
  await out.socket.zeroCopy.flush();
  assertReleased(out);
  buffer.fill(OVERWRITTEN);
  assert.deepEqual(await client.report(out), { bytes: out.written, wrong: 0, end: 'end' });
});

export const echoed = scenario(async (client, { zeroCopy }) => {
  const out = await client.stream({ echo: true }, { zeroCopy });
  let back = 0;
  let wrong = 0;
  out.socket.on('data', (chunk: Buffer) => {
    wrong += countWrong(chunk, out.stream, back);
    back += chunk.length;
  });
  await out.writeAll(SIZES);
  out.end(9);
  await assertComplete(client, out);
  assert.deepEqual({ back, wrong }, { back: out.written, wrong: 0 });
});

export const halfClosedByPeer = scenario(async (client, { zeroCopy }) => {
  const out = await client.stream({ endAfter: 500_000 }, { zeroCopy, allowHalfOpen: true });
  const ended = new Promise((resolve) => out.socket.once('end', resolve));
  await out.writeAll(SIZES);
  await ended;
  await out.writeAll(SIZES);
  out.end(70_000);
  await assertComplete(client, out);
});

export const destroyedMidway = scenario(async (client, { zeroCopy }) => {
  const out = await client.stream({ pace: { bytes: 262_144, everyMs: 5 } }, { zeroCopy });
  for (let i = 0; i < 12; i++) out.write(MIB);
  await until('some of it arrived', async () => (await client.received(out)) > 0);
  out.socket.destroy();
  await out.settled();
  await out.socket.zeroCopy.flush();
  assertReleased(out);
  const report = await client.report(out);
  assert.deepEqual([report.wrong, report.end], [0, 'end']);
  // Everything that the kernel had accepted is delivered, as after a destroy() in plain Node. How
  // much that was is not known of what libuv writes: it counts at dispatch.
  if (zeroCopy.engine !== 'msg_zerocopy') assert.ok(report.bytes <= out.accepted);
  else if (out.socket.zeroCopy.stats.zeroCopySends > 0) assert.equal(report.bytes, out.accepted);
  assert.equal(out.outOfOrder, 0);
});

export const resetByPeer = scenario(async (client, { zeroCopy }) => {
  const out = await client.stream({ resetAfter: 2 * MIB }, { zeroCopy });
  // Far more than all buffers on the way hold.
  for (let i = 0; i < 200 && !out.socket.destroyed; i++) if (!out.write(MIB)) await out.drained();
  await out.closed();
  await out.settled();
  assertReleased(out);
  assert.equal((await client.report(out)).wrong, 0);
  assert.equal(out.outOfOrder, 0);
  assert.match(out.socketError ?? '', /^(ECONNRESET|EPIPE)$/);
});

export const serverSide = scenario(async (client, { zeroCopy, senderHost }) => {
  const server = createServer({ zeroCopy });
  await new Promise<void>((resolve) => server.listen(0, '::', resolve));
  const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve));
  await client.dial(senderHost, (server.address() as net.AddressInfo).port, 1);
  const socket = await accepted;
  assert.ok(isZeroCopy(socket));
  const out = client.begin(socket, {});
  await out.writeAll(SIZES);
  out.end(1);
  await assertComplete(client, out);
  await new Promise((resolve) => server.close(resolve));
});

export const writtenWhileConnecting = scenario(async (client, { zeroCopy, to }) => {
  const socket = enableZeroCopy(net.connect(to), zeroCopy);
  const out = client.begin(socket, {});
  assert.ok(socket.connecting);
  await out.writeAll([MIB, 5, 400_000]);
  out.end(MIB);
  await assertComplete(client, out);
});

export const piped = scenario(async (client, { zeroCopy }) => {
  const out = await client.stream({}, { zeroCopy });
  const { Readable } = await import('node:stream');
  const chunks = function* (): Generator<Buffer> {
    for (let i = 0; i < 40; i++) yield out.take(100_000 + i);
  };
  Readable.from(chunks(), { objectMode: false }).pipe(out.socket);
  await assertComplete(client, out);
});

export const switchedOffAndOn = scenario(async (client, { zeroCopy }) => {
  const out = await client.stream({}, { zeroCopy });
  for (let i = 0; i < 6; i++) {
    enableZeroCopy(out.socket, i % 2 === 0 ? zeroCopy : { engine: 'copy' });
    await out.writeAll([300_000, 100, 300_000]);
  }
  out.end(1);
  await assertComplete(client, out);
});

export const everythingForced = scenario(async (client, { zeroCopy }) => {
  for (const threshold of [0, 1]) {
    const out = await client.stream({}, { zeroCopy: { ...zeroCopy, threshold } });
    await out.writeAll([1, 2, 0, 4095, 4096, 100_000, 3, 3, 3, 2 * MIB, 1]);
    out.end(1);
    await assertComplete(client, out);
  }
});

export const smallBudget = scenario(async (client, { zeroCopy }) => {
  for (const threshold of [0, 1, 32_768]) {
    const options = { ...zeroCopy, threshold, maxPendingBytes: 100_000 };
    const out = await client.stream({}, { zeroCopy: options });
    await out.writeAll([90_000, 90_000, 4 * MIB, 50_000, 50_000, 50_000, 8192, 4096, 5]);
    out.end(1);
    await assertComplete(client, out);
  }
});

/** The keystream itself: that it notices what the other scenarios rely on. */
export function keystreamNotices(): void {
  const bytes = Buffer.alloc(3 * MIB);
  fillFrom(bytes, 7, 5);
  assert.equal(countWrong(bytes, 7, 5), 0);
  assert.ok(countWrong(bytes, 7, 6) > MIB, 'a shifted stream');
  assert.ok(countWrong(bytes, 8, 5) > MIB, 'another stream');
  bytes.fill(OVERWRITTEN, MIB, MIB + 77);
  assert.equal(countWrong(bytes, 7, 5), 77);
}
