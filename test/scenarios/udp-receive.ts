// Reception: coalesced by the kernel or not, in batches, beside a receiver that stalls.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createUdpSocket, type ZeroCopyUdpSocket } from '../../lib/index';
import { DatagramChecker } from '../helpers/udp-datagrams';
import type { UdpParams } from '../helpers/udp-place';
import { openUdp, withSession } from '../helpers/udp-session';
import { until } from '../../scripts/until';

const BURST_DATAGRAMS = 20_000;
const BURST_BYTES = 100;

/** Rows that the kernel may coalesce, delivered as the datagrams that were sent. */
export async function coalesced(params: UdpParams): Promise<void> {
  await withSession(params, {}, async ({ socket, out, receiver }) => {
    const target = await receiver.target(params.type, { library: { gro: true } });
    const { port, address } = target;
    for (let i = 0; i < 60; i++) {
      const segmentSize = 100 + i * 21;
      const bytes = segmentSize * 12 + (i % 5) * 17;
      const parcel = out.takeSegments(target, segmentSize, bytes);
      await out.promised(parcel, socket.send(parcel.data, { port, address, segmentSize }));
      const alone = out.take(target, i % 4 === 0 ? 0 : 50 * i);
      socket.send(alone.data, port, address, out.releaseCallback(alone));
      await out.pace();
    }
    await out.verify();
    const report = await target.report();
    assert.equal(report.outOfOrder, 0);
    assert.equal(report.with.messages, report.datagrams);
  });
}

/** The same delivered whole, with the size to cut it by. */
export async function whole(params: UdpParams): Promise<void> {
  await withSession(params, {}, async ({ socket, out, receiver }) => {
    const target = await receiver.target(params.type, { library: { gro: 'whole' } });
    const { port, address } = target;
    for (const segmentSize of [200, 777, 1200, 1200]) {
      const parcel = out.takeSegments(target, segmentSize, segmentSize * 10 + 99);
      await out.promised(parcel, socket.send(parcel.data, { port, address, segmentSize }));
    }
    await out.verify();
    const { with: seen, datagrams } = await target.report();
    assert.ok(seen.messages < datagrams, `${seen.messages} messages for ${datagrams} datagrams`);
    for (const size of ['200', '777', '1200']) assert.ok(size in seen.segmentSizes, size);
  });
}

/** Many small datagrams, as many at a time as the receive buffer holds: in order, every byte right. */
export async function batches(params: UdpParams): Promise<void> {
  await withSession(params, {}, async ({ socket, out, receiver }) => {
    const target = await receiver.target(params.type, { library: { gro: false } });
    const { port, address } = target;
    const each = Math.min(500, Math.floor(target.opened.recvBufferSize / 4 / 1400));
    for (let sent = 0; sent < BURST_DATAGRAMS; sent += each) {
      const count = Math.min(each, BURST_DATAGRAMS - sent);
      const parcels = Array.from({ length: count }, () => out.take(target, BURST_BYTES));
      const data = parcels.map((parcel) => parcel.data);
      await out.many(parcels, socket.sendMany(data, { port, address }));
      await target.reached(sent + count);
    }
    await out.verify();
    const report = await target.report();
    assert.deepEqual([report.datagrams, report.outOfOrder], [BURST_DATAGRAMS, 0]);
  });
}

/** What does not fit into a receive buffer is lost; the socket knows how much. */
export async function drops(params: UdpParams): Promise<void> {
  await withSession(params, {}, async ({ socket, out, receiver }) => {
    const options = { library: {}, recvBufferSize: 8192 };
    const target = await receiver.target(params.type, options);
    const { port, address } = target;
    await receiver.ask({ do: 'stall', milliseconds: 600 });
    const parcels = Array.from({ length: 200 }, () => out.take(target, 1000));
    const datagrams = parcels.map((parcel) => ({ data: parcel.data, port, address }));
    await out.many(parcels, socket.sendMany(datagrams));
    await target.drained();
    // The count travels with datagrams that come later.
    const last = out.take(target, 1000);
    await out.promised(last, socket.send(last.data, { port, address }));
    await out.verify({ loss: 'some' });
    await until('all are accounted for', async () => {
      const report = await target.report();
      return report.datagrams + report.with.receiveDrops >= 201;
    });
    const report = await target.report();
    assert.ok(report.with.receiveDrops > 0);
    // A marker that came while it stalled is among those that were dropped.
    assert.ok(report.datagrams + report.with.receiveDrops <= 201 + 40);
  });
}

/** The package receives from node:dgram what node:dgram sent, through events and as an iterator. */
export async function iterated(params: UdpParams): Promise<void> {
  await withSession(params, {}, async ({ receiver, target }) => {
    const socket = await openUdp(params, { recvBufferSize: 1024 * 1024 });
    const checker = new DatagramChecker(9);
    const host = params.type === 'udp4' ? params.address4 : params.address6;
    const { port } = socket.address();
    await receiver.ask({
      do: 'send',
      socket: target.opened.socket,
      host,
      port,
      stream: 9,
      count: 100,
      bytes: 700,
    });
    for await (const { data, rinfo } of socket) {
      checker.take(data);
      assert.deepEqual([rinfo.address, rinfo.port, rinfo.size], [target.address, target.port, 700]);
      if (checker.datagrams === 100) break;
    }
    const { wrong, ranges, outOfOrder } = checker.report();
    assert.deepEqual({ wrong, ranges, outOfOrder }, { wrong: 0, ranges: [[0, 99]], outOfOrder: 0 });
    await closeAnyway(socket);
  });
}

// Leaving the loop may have closed it.
async function closeAnyway(socket: ZeroCopyUdpSocket): Promise<void> {
  try {
    await new Promise<void>((resolve) => socket.close(resolve));
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ERR_SOCKET_DGRAM_NOT_RUNNING');
  }
}

/** Two sockets on one port share what comes from many; nothing is lost or doubled between them. */
export async function shared(params: UdpParams): Promise<void> {
  await withSession(params, {}, async ({ out, receiver }) => {
    const library = { reusePort: true };
    const first = await receiver.target(params.type, { library });
    const { port, stream } = first;
    const second = await receiver.target(params.type, { library, port, stream });
    const senders = [];
    for (let i = 0; i < 32; i++) {
      const sender = createUdpSocket({ type: params.type });
      sender.bind(0);
      await once(sender, 'listening');
      senders.push(sender);
    }
    for (const sender of senders) {
      const parcel = out.take(first, 400);
      sender.send(parcel.data, port, first.address, out.releaseCallback(parcel));
    }
    await out.settled();
    const reports = async () => [await first.report(), await second.report()] as const;
    await until('all have come', async () => {
      const [one, other] = await reports();
      return one.datagrams + other.datagrams >= 32;
    });
    for (const { wrong, repeated, datagrams } of await reports()) {
      assert.deepEqual({ wrong, repeated }, { wrong: 0, repeated: 0 });
      assert.ok(datagrams > 0 && datagrams < 32, `${datagrams} of 32`);
    }
    for (const sender of senders) sender.close();
  });
}
