// Descriptors: few of them left, and those that idle connections give back.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type net from 'node:net';
import { createServer, isZeroCopy, type ZeroCopyOptions } from '../../lib/index';
import { getReactor } from '../../lib/native/reactor';
import { Heard } from '../helpers/heard';
import type { Outgoing } from '../helpers/outgoing';
import { type Address, ReceiverClient } from '../helpers/receiver-client';
import { countDescriptors, openPorts, portsClosed } from '../helpers/remains';
import { until } from '../../scripts/until';

export interface DescriptorsParams {
  readonly to: Address;
  readonly zeroCopy: ZeroCopyOptions;
  readonly senderHost: string;
}

const PIECE = 200_000;
/**
 * With a limit of 256, duplicates are taken below number 192: for some 80 connections, which have two
 * descriptors then. So many more fit in any case, also if none of the duplicates is given back.
 */
const CONNECTIONS = 130;

/** A server near RLIMIT_NOFILE accepts every connection; the late ones are served by copy. */
export async function nearLimit(params: DescriptorsParams) {
  const client = await ReceiverClient.open(params.to);
  const fallbacks = new Heard<{ reason: string }>('fallback');
  const server = createServer({ zeroCopy: params.zeroCopy });
  const streams: Outgoing[] = [];
  const reasons = new Set<string | undefined>();
  server.on('connection', (socket: net.Socket) => {
    assert.ok(isZeroCopy(socket));
    const out = client.begin(socket, {});
    out.write(PIECE);
    reasons.add(socket.zeroCopy.reason);
    streams.push(out);
  });
  server.listen(0, '::');
  await once(server, 'listening');
  await client.dial(params.senderHost, (server.address() as net.AddressInfo).port, CONNECTIONS);
  await until('every connection is accepted', () => streams.length === CONNECTIONS);
  const zeroCopies = streams.filter((out) => out.socket.zeroCopy.stats.zeroCopySends > 0).length;
  for (const out of streams) out.end(PIECE);
  for (const out of streams) {
    assert.deepEqual(await client.report(out), { bytes: out.written, wrong: 0, end: 'end' });
    await out.settled();
    assert.deepEqual(out.errors, []);
  }
  fallbacks.stop();
  server.close();
  await once(server, 'close');
  await portsClosed();
  await client.close();
  return {
    zeroCopies,
    connections: CONNECTIONS,
    reasons: [...reasons].map((reason) => reason ?? 'none'),
    announced: [...new Set(fallbacks.messages.map(({ reason }) => reason))],
  };
}

/** Idle connections have one descriptor again after a while, and send zero-copy again when asked. */
export async function idle(params: DescriptorsParams): Promise<void> {
  getReactor();
  const client = await ReceiverClient.open(params.to);
  const streams: Outgoing[] = [];
  for (let i = 0; i < 20; i++) streams.push(await client.stream({}, { zeroCopy: params.zeroCopy }));
  const withOne = countDescriptors();
  const sendAll = async (times: number): Promise<void> => {
    for (const out of streams) for (let i = 0; i < times; i++) out.write(PIECE + i);
    for (const out of streams) await out.settled();
  };
  await sendAll(3);
  assert.equal(countDescriptors(), withOne + streams.length);
  await until('the duplicates are given back', () => countDescriptors() <= withOne, 12_000);
  assert.equal(openPorts(), 0);
  const before = streams.map((out) => out.socket.zeroCopy.stats.zeroCopySends);
  await sendAll(5);
  streams.forEach((out, index) => {
    const { stats, pendingBytes, state } = out.socket.zeroCopy;
    assert.ok(stats.zeroCopySends > (before[index] ?? 0), 'no zero copy after the pause');
    // The kernel counts on: had we begun anew, its ids would be strays to us.
    assert.deepEqual([stats.strayNotifications, pendingBytes, state], [0, 0, 'active']);
    assert.equal(stats.notifications, stats.zeroCopySends);
    out.end(1);
  });
  for (const out of streams) {
    assert.deepEqual(await client.report(out), { bytes: out.written, wrong: 0, end: 'end' });
    await out.settled();
    assert.deepEqual([out.errors, out.outOfOrder], [[], 0]);
  }
  await portsClosed();
  await client.close();
}
