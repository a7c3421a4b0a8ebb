// What a program does with memory and contexts around a send: detaches, aborts, corks, changes.
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { OVERWRITTEN } from '../../scripts/pattern';
import type { UdpParams } from '../helpers/udp-place';
import { FORCED, withSession } from '../helpers/udp-session';

/** Memory that is transferred in the turn in which it is sent: refused, or sent right, never wrong. */
export async function detached(params: UdpParams): Promise<void> {
  await withSession(params, { zeroCopy: { engine: 'copy' } }, async ({ socket, out, target }) => {
    const elsewhere: ArrayBuffer[] = [];
    for (let i = 0; i < 60; i++) {
      const parcel = out.take(target, 700 + i);
      const data = Buffer.from(new Uint8Array(parcel.data).buffer);
      const done = out.releaseCallback(parcel);
      socket.send(data, target.port, target.address, done);
      if (i % 3 === 0) {
        const memory = structuredClone(data.buffer, { transfer: [data.buffer] });
        // Nobody's business any more, unless it was sent already: then it was copied by now.
        new Uint8Array(memory).fill(OVERWRITTEN);
        elsewhere.push(memory);
      }
      if (i % 10 === 0) await nextTurn();
    }
    await out.verify();
    for (const code of out.errors) assert.equal(code, 'ERR_ZC_BUFFER_DETACHED');
    assert.ok(out.errors.length <= 20);
  });
}

/** The same with zero copy, where the kernel may hold the memory: it is left as it is. */
export async function detachedZeroCopy(params: UdpParams): Promise<void> {
  // The kernel may have had the memory when it was detached: that is counted.
  const options = { zeroCopy: FORCED, detached: 'some' } as const;
  await withSession(params, options, async (session) => {
    const { socket, out, target } = session;
    const elsewhere: ArrayBuffer[] = [];
    let handed = 0;
    for (let i = 0; i < 60; i++) {
      const parcel = out.take(target, 700 + i);
      const data = Buffer.from(new Uint8Array(parcel.data).buffer);
      const done = out.releaseCallback(parcel);
      socket.send(data, target.port, target.address, (error, bytes) => {
        handed++;
        done(error, bytes);
      });
      if (i % 3 === 0) {
        elsewhere.push(structuredClone(data.buffer, { transfer: [data.buffer] }));
      }
      if (i % 10 === 0) await nextTurn();
    }
    await out.settled();
    await target.drained();
    const { wrong } = await target.report();
    assert.deepEqual({ wrong, handed }, { wrong: 0, handed: 60 });
    for (const code of out.errors) assert.equal(code, 'ERR_ZC_BUFFER_DETACHED');
    await out.verify();
    assert.equal(elsewhere.length, 20);
  });
}

/** Signals: aborted before, aborted when it is too late, and never. */
export async function aborted(params: UdpParams): Promise<void> {
  await withSession(params, {}, async ({ socket, out, target }) => {
    const { port, address } = target;
    for (let i = 0; i < 40; i++) {
      const controller = new AbortController();
      const parcel = out.take(target, 900);
      if (i % 4 === 0) controller.abort();
      const options = { port, address, signal: controller.signal };
      const settled = out.promised(parcel, socket.send(parcel.data, options));
      if (i % 4 === 1) {
        await settled;
        controller.abort();
      }
    }
    await out.verify();
    assert.equal(out.errors.length, 10);
    assert.deepEqual([...new Set(out.errors)], ['ABORT_ERR']);
  });
}

/** Aborted in the turn of the send: it is sent or it is not, and says which. */
export async function abortedAtOnce(params: UdpParams): Promise<void> {
  await withSession(params, {}, async ({ socket, out, target }) => {
    const { port, address } = target;
    for (let i = 0; i < 40; i++) {
      const controller = new AbortController();
      const parcel = out.take(target, 900);
      const { signal } = controller;
      void out.promised(parcel, socket.send(parcel.data, { port, address, signal }));
      controller.abort();
    }
    await out.verify();
    for (const code of out.errors) assert.equal(code, 'ABORT_ERR');
  });
}

/** Callbacks and promises run in the async context of their send. */
export async function contexts(params: UdpParams): Promise<void> {
  const storage = new AsyncLocalStorage<number>();
  await withSession(params, {}, async ({ socket, out, target }) => {
    const { port, address } = target;
    const seen: (number | undefined)[] = [];
    const failures: (number | undefined)[] = [];
    for (let i = 0; i < 30; i++) {
      storage.run(i, () => {
        const parcel = out.take(target, 500);
        const done = out.releaseCallback(parcel);
        socket.send(parcel.data, port, address, (error, bytes) => {
          seen[i] = storage.getStore();
          done(error, bytes);
        });
        socket.send(Buffer.alloc(65_536), port, address, () => failures.push(storage.getStore()));
      });
      if (i % 7 === 0) await nextTurn();
    }
    await out.verify();
    await nextTurn();
    const each = Array.from({ length: 30 }, (_, i) => i);
    assert.deepEqual(seen, each);
    assert.deepEqual(
      failures.sort((a, b) => Number(a) - Number(b)),
      each,
    );
  });
}

/** Corked pieces make up one datagram, which goes out at uncork(), not before. */
export async function corked(params: UdpParams): Promise<void> {
  await withSession(params, {}, async ({ socket, out, target }) => {
    for (let round = 0; round < 20; round++) {
      const parcel = out.take(target, 1200);
      const half = out.releaseCallback(parcel, 600);
      let handed = 0;
      socket.cork();
      socket.send(parcel.data.subarray(0, 600), target.port, target.address, () => void handed++);
      socket.send(parcel.data.subarray(600), target.port, target.address, (error, bytes) => {
        handed++;
        half(error, bytes);
      });
      await nextTurn();
      assert.equal((await target.report()).datagrams, round);
      socket.uncork();
      await out.settled();
      await target.reached(round + 1);
      assert.equal(handed, 2);
    }
    await out.verify();
    assert.equal((await target.report()).datagrams, 20);
  });
}

/** close() of a corked socket: memory comes back, and the half datagram is nobody's. */
export async function closedCorked(params: UdpParams): Promise<void> {
  const { openUdp, closeUdp } = await import('../helpers/udp-session.js');
  await withSession(params, {}, async ({ out, target }) => {
    const socket = await openUdp(params);
    socket.cork();
    const parcel = out.take(target, 1200);
    const done = out.releaseCallback(parcel, 600);
    const { port, address } = target;
    socket.send(parcel.data.subarray(0, 600), port, address, (error, bytes) => {
      // Sent or not: it is no datagram of ours.
      done(error ?? Object.assign(new Error('half'), { code: 'HALF' }), bytes);
    });
    await nextTurn();
    await closeUdp(socket);
    await out.settled();
    assert.equal(out.released, 1);
  });
}

/** A burst from one turn, in order, every callback in order, too. */
export async function burst(params: UdpParams): Promise<void> {
  await withSession(params, {}, async ({ socket, out, target }) => {
    const order: number[] = [];
    for (let i = 0; i < 200; i++) {
      const parcel = out.take(target, 64 + i);
      const done = out.releaseCallback(parcel);
      socket.send(parcel.data, target.port, target.address, (error, bytes) => {
        order.push(i);
        done(error, bytes);
      });
    }
    await out.verify();
    assert.deepEqual(
      order,
      Array.from({ length: 200 }, (_, i) => i),
    );
    assert.equal((await target.report()).outOfOrder, 0);
  });
}

/** Where a source address is chosen, the receiver sees it; and DSCP with ECN arrive. */
export async function sources(params: UdpParams): Promise<void> {
  await withSession(params, {}, async ({ socket, out, receiver }) => {
    const library = { receiveTos: true, packetInfo: true };
    const target = await receiver.target(params.type, { library });
    const { port, address } = target;
    const source = secondAddress(params);
    const tosValues = [0, 0b101110_00, 0b001010_10, 1, 255];
    for (const tos of tosValues) {
      const parcel = out.take(target, 300);
      await out.promised(parcel, socket.send(parcel.data, { port, address, tos }));
      const other = out.take(target, 300);
      const options = source === undefined ? {} : { source };
      await out.promised(other, socket.send(other.data, { port, address, tos, ...options }));
    }
    const named = out.take(target, 300);
    const by = { port, address, interface: params.device };
    await out.promised(named, socket.send(named.data, by));
    await out.verify();
    assert.deepEqual(out.errors, []);
    const { with: seen } = await target.report();
    assert.deepEqual(seen.destinations, { [target.address]: 11 });
    assert.equal(Object.keys(seen.interfaces).length, 1);
    assert.ok(Object.keys(seen.interfaces).every((index) => Number(index) > 0));
    const counts = Object.fromEntries(tosValues.map((tos) => [tos, tos === 0 ? 3 : 2]));
    assert.deepEqual(seen.tos, counts);
    const own = params.type === 'udp4' ? params.address4 : params.address6;
    const expected = source === undefined ? { [own]: 11 } : { [own]: 6, [source]: 5 };
    assert.deepEqual(seen.sources, expected);
  });
}

// All of 127.0.0.0/8 is ours on loopback; elsewhere there is one address only, and it is named.
function secondAddress(params: UdpParams): string | undefined {
  return params.place === 'loopback' && params.type === 'udp4' ? '127.0.0.2' : undefined;
}
