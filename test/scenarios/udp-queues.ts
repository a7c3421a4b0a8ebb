// Datagrams that stay in a queue that does not move: their memory is pinned until it does.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { SendQueue } from './udp-network';
import type { UdpParams } from '../helpers/udp-place';
import { closeUdp, openUdp, type Session, withSession } from '../helpers/udp-session';

const LARGE_BUFFER = { sendBufferSize: 4 * 1024 * 1024 };
const TURNS = 20;

async function turns(): Promise<void> {
  for (let i = 0; i < TURNS; i++) await nextTurn();
}

function sendAll({ socket, out, target }: Session, count: number, bytes: number): void {
  for (let i = 0; i < count; i++) {
    const parcel = out.take(target, bytes);
    socket.send(parcel.data, target.port, target.address, out.releaseCallback(parcel));
  }
}

/** Before each test: one that failed may have left the queue stopped. */
export function flowing(params: UdpParams): void {
  new SendQueue(params.device).flow();
}

/** More sends than optmem_max has room for notifications: the others go by copy, and all settle. */
export function enobufs(params: UdpParams): Promise<void> {
  return withSession(params, LARGE_BUFFER, async (session) => {
    const { socket, out, target } = session;
    const queue = new SendQueue(params.device);
    queue.stop();
    for (let i = 0; i < 10; i++) {
      sendAll(session, 50, 100);
      await nextTurn();
    }
    await turns();
    const { stats, pendingSends } = socket.zeroCopy;
    assert.ok(stats.enobufs > 0, 'the limit was never met');
    assert.ok(pendingSends > 0, 'nothing is pinned');
    queue.release();
    await target.drained();
    await out.verify();
    assert.deepEqual(out.errors, []);
    // And on it goes.
    sendAll(session, 20, 900);
    await out.verify();
  });
}

/** More than the send buffer holds waits its turn inside this package, in order, and all settles. */
export function fullSendBuffer(params: UdpParams): Promise<void> {
  return withSession(params, { sendBufferSize: 16_384 }, async (session) => {
    const { socket, out, target } = session;
    const queue = new SendQueue(params.device);
    queue.stop();
    sendAll(session, 200, 1000);
    await turns();
    assert.ok(socket.getSendQueueCount() > 0, 'nothing waits');
    assert.ok(out.released < out.begun);
    queue.release();
    await target.drained();
    await out.verify();
    assert.deepEqual(out.errors, []);
    assert.equal((await target.report()).outOfOrder, 0);
    assert.equal(socket.getSendQueueCount(), 0);
  });
}

/** Beyond maxQueuedBytes a send is refused, and nothing of it goes out; or it waits. */
export async function queueLimit(params: UdpParams): Promise<void> {
  const small = { sendBufferSize: 16_384, maxQueuedBytes: 20_000 };
  for (const whenQueueFull of ['reject', 'wait'] as const) {
    await withSession(params, { ...small, whenQueueFull }, async (session) => {
      const { out, target } = session;
      const queue = new SendQueue(params.device);
      queue.stop();
      for (let i = 0; i < 8; i++) {
        sendAll(session, 20, 1000);
        await nextTurn();
      }
      queue.release();
      await target.drained();
      await out.settled();
      await target.drained();
      await out.verify();
      const codes = [...new Set(out.errors)];
      assert.deepEqual(codes, whenQueueFull === 'reject' ? ['ERR_ZC_QUEUE_FULL'] : []);
    });
  }
}

/** What the queue has no room for is lost without an error, as datagrams are, and released. */
export function shortQueue(params: UdpParams): Promise<void> {
  return withSession(params, LARGE_BUFFER, async (session) => {
    const { out, target } = session;
    const queue = new SendQueue(params.device);
    queue.stopShort(10);
    for (let i = 0; i < 5; i++) {
      sendAll(session, 30, 1000);
      await nextTurn();
    }
    queue.release();
    await target.drained();
    await out.verify({ loss: 'some' });
    const { datagrams } = await target.report();
    assert.ok(datagrams < 150, 'nothing was dropped');
    for (const code of out.errors) assert.equal(code, 'ENOBUFS');
    sendAll(session, 20, 900);
    await out.settled();
    await target.reached(datagrams + 20);
  });
}

/** Pending bytes are counted, flush() waits for them, and a callback never comes before its release. */
export function pinned(params: UdpParams): Promise<void> {
  return withSession(params, {}, async (session) => {
    const { socket, out, target } = session;
    const queue = new SendQueue(params.device);
    queue.stop();
    sendAll(session, 20, 1200);
    let flushed = false;
    void socket.zeroCopy.flush().then(() => (flushed = true));
    await turns();
    const { pendingBytes, pendingSends } = socket.zeroCopy;
    assert.ok(pendingSends >= 15, `${pendingSends} sends are pinned`);
    assert.equal(pendingBytes, pendingSends * 1200);
    assert.equal(out.begun - out.released, pendingSends);
    assert.equal(flushed, false);
    queue.release();
    await target.drained();
    await out.verify();
    await socket.zeroCopy.flush();
    await nextTurn();
    assert.equal(flushed, true);
  });
}

/** close() with datagrams in the queue: they go out, and each callback waits for its release. */
export function closed(params: UdpParams): Promise<void> {
  return withSession(params, {}, async (session) => {
    const { out, target } = session;
    const socket = await openUdp(params);
    const queue = new SendQueue(params.device);
    queue.stop();
    sendAll({ ...session, socket }, 20, 1200);
    await turns();
    const before = out.released;
    const close = once(socket, 'close');
    socket.close();
    await turns();
    assert.ok(before <= 5 && out.released <= before + 1, `${out.released} were released`);
    assert.throws(() => socket.close(), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' });
    queue.release();
    await target.drained();
    await out.verify();
    await close;
    assert.deepEqual(out.errors, []);
  });
}

/** close() while sends still wait for space: each is released once, with an error or sent right. */
export function closedWaiting(params: UdpParams): Promise<void> {
  return withSession(params, {}, async (session) => {
    const { out, target } = session;
    const socket = await openUdp(params, { sendBufferSize: 16_384 });
    const queue = new SendQueue(params.device);
    queue.stop();
    sendAll({ ...session, socket }, 100, 1200);
    await turns();
    assert.ok(socket.getSendQueueCount() > 0, 'nothing waits');
    const close = once(socket, 'close');
    socket.close();
    queue.release();
    await target.drained();
    await out.settled();
    await target.drained();
    await out.verify();
    await close;
  });
}

/** An abort signal takes back what waits, and only that. */
export function abortedWaiting(params: UdpParams): Promise<void> {
  return withSession(params, { sendBufferSize: 16_384 }, async (session) => {
    const { socket, out, target } = session;
    const { port, address } = target;
    const queue = new SendQueue(params.device);
    queue.stop();
    sendAll(session, 40, 1200);
    await turns();
    const controller = new AbortController();
    const parcels = Array.from({ length: 10 }, () => out.take(target, 1200));
    const { signal } = controller;
    for (const parcel of parcels) {
      void out.promised(parcel, socket.send(parcel.data, { port, address, signal }));
    }
    await turns();
    controller.abort();
    await turns();
    assert.deepEqual([...new Set(out.errors)], ['ABORT_ERR']);
    queue.release();
    await target.drained();
    await out.verify();
    assert.equal(out.errors.length, 10);
  });
}

/** cork() and uncork() are in order with what waits: one datagram, and the others as they were. */
export function corkedWaiting(params: UdpParams): Promise<void> {
  return withSession(params, { sendBufferSize: 16_384 }, async (session) => {
    const { socket, out, target } = session;
    const queue = new SendQueue(params.device);
    queue.stop();
    sendAll(session, 60, 1000);
    await turns();
    assert.ok(socket.getSendQueueCount() > 0, 'nothing waits');
    const parcel = out.take(target, 900);
    const onRelease = out.releaseCallback(parcel, 300);
    socket.cork();
    for (const at of [0, 300, 600]) {
      const piece = parcel.data.subarray(at, at + 300);
      const last = at === 600 ? onRelease : () => undefined;
      socket.send(piece, target.port, target.address, last);
    }
    socket.uncork();
    sendAll(session, 5, 800);
    await turns();
    queue.release();
    await target.drained();
    await out.verify();
    assert.deepEqual(out.errors, []);
  });
}

/** Two sockets closed at different times: one's end says nothing about the other's memory. */
export function twoSockets(params: UdpParams): Promise<void> {
  return withSession(params, {}, async (session) => {
    const { out, target } = session;
    const other = await openUdp(params);
    const queue = new SendQueue(params.device);
    queue.stop();
    sendAll(session, 10, 1200);
    sendAll({ ...session, socket: other }, 10, 1200);
    const close = closeUdp(other);
    await turns();
    queue.release();
    await target.drained();
    await out.verify();
    await close;
  });
}
