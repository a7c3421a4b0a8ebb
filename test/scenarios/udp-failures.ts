// Sends that fail in the middle of sends that do not: every id stays in step with the kernel's, every
// callback comes once, and only what was accepted arrives.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createUdpSocket } from '../../lib/index';
import { portsClosed } from '../helpers/remains';
import { UdpOutgoing } from '../helpers/udp-outgoing';
import type { UdpParams } from '../helpers/udp-place';
import { type Target, UdpReceiver } from '../helpers/udp-receiver';
import { closeUdp, connectUdp, FORCED, type Session, withSession } from '../helpers/udp-session';
import { until } from '../../scripts/until';

const ROUNDS = 30;

/** One send that fails; settles with its error's code when its memory is ours again. */
export type Failing = (session: Session, round: number) => Promise<string | undefined>;

/** A send that is told its error by callback. The memory is a parcel's, which must not arrive. */
export function failingTo(bytes: number, port: number, address: string): Failing {
  return ({ socket, out, target }) =>
    new Promise((resolve) => {
      const parcel = out.take(target, bytes);
      const done = out.releaseCallback(parcel);
      socket.send(parcel.data, port, address, (error, count) => {
        done(error ?? Object.assign(new Error('went'), { code: 'NO_ERROR' }), count);
        resolve((error as NodeJS.ErrnoException | null)?.code);
      });
    });
}

/** The same by promise, as a row of segments. */
export function failingSegments(segmentSize: number, bytes: number): Failing {
  return async ({ socket, out, target }) => {
    const { port, address } = target;
    const parcel = out.takeSegments(target, segmentSize, bytes);
    const before = out.errors.length;
    // Whether a wrong argument throws or rejects is not what is looked at here.
    const sent = async () => socket.send(parcel.data, { port, address, segmentSize });
    await out.promised(parcel, sent());
    return out.errors[before];
  };
}

function sendGood({ socket, out, target }: Session, count: number): void {
  for (let i = 0; i < count; i++) {
    const parcel = out.take(target, 200 + i);
    socket.send(parcel.data, target.port, target.address, out.releaseCallback(parcel));
  }
}

/** Lets `failing` fail between zero-copy sends; answers the codes it failed with. */
export async function amidst(params: UdpParams, failing: Failing): Promise<string[]> {
  const codes = new Set<string>();
  await withSession(params, {}, async (session) => {
    const { out, socket } = session;
    for (let round = 0; round < ROUNDS; round++) {
      sendGood(session, 3);
      const failed = failing(session, round);
      sendGood(session, 2);
      codes.add(String(await failed));
      if (round % 7 === 0) await socket.zeroCopy.flush();
    }
    await nextTurn();
    await out.verify();
    assert.equal(out.errors.length, ROUNDS);
    assert.ok(socket.zeroCopy.stats.zeroCopySends >= ROUNDS * 5);
  });
  return [...codes];
}

/** More segments than UDP_MAX_SEGMENTS are refused before the kernel sees them. */
export async function tooManySegments(params: UdpParams): Promise<void> {
  const codes = await amidst(params, failingSegments(10, 1290));
  assert.deepEqual(codes, ['ERR_OUT_OF_RANGE']);
}

/**
 * Segments larger than the MTU are refused by the kernel, behind the point where ids are given: they go
 * one by one then, and a route that refused is asked again for smaller ones only.
 */
export async function segmentOverMtu(params: UdpParams): Promise<void> {
  await withSession(params, {}, async (session) => {
    const { socket, out, target } = session;
    const { port, address } = target;
    const sendRow = (segmentSize: number): Promise<unknown> => {
      const parcel = out.takeSegments(target, segmentSize, segmentSize * 3);
      return out.promised(parcel, socket.send(parcel.data, { port, address, segmentSize }));
    };
    for (let round = 0; round < ROUNDS; round++) {
      sendGood(session, 3);
      // Every third size was refused before.
      const sent = sendRow(round % 3 === 2 ? 3000 : 3000 - 40 * round);
      sendGood(session, 2);
      await sent;
      await out.pace();
    }
    assert.equal(socket.zeroCopy.stats.softwareSegments, ROUNDS * 3);
    await sendRow(1200);
    assert.equal(socket.zeroCopy.stats.softwareSegments, ROUNDS * 3);
    await out.verify();
    assert.deepEqual(out.errors, []);
  });
}

export async function tooLong(params: UdpParams): Promise<void> {
  const { address4, address6 } = params.at;
  const address = params.type === 'udp4' ? address4 : address6;
  assert.deepEqual(await amidst(params, failingTo(65_536, 9, address)), ['EMSGSIZE']);
}

/** The code with which node:dgram's own send fails. */
async function plainFailure(type: UdpParams['type'], address: string): Promise<string | undefined> {
  const socket = dgram.createSocket(type);
  const error = await new Promise<NodeJS.ErrnoException | null>((resolve) =>
    socket.send(Buffer.alloc(700), 9, address, resolve),
  );
  socket.close();
  return error?.code;
}

/** A broadcast without permission: over IPv6 it is one to an address of IPv4. */
export async function forbidden(params: UdpParams): Promise<void> {
  const address = params.type === 'udp4' ? '255.255.255.255' : '::ffff:255.255.255.255';
  const [code, ...others] = await amidst(params, failingTo(700, 9, address));
  // EACCES; without any route, as on the rig, the route is what is missed.
  assert.equal(code, await plainFailure(params.type, address));
  assert.ok(code !== undefined);
  assert.deepEqual(others, []);
}

/** sendMany() that meets an error sends the rest, and says how much went out. */
export async function manyWithOneBad(params: UdpParams): Promise<void> {
  await withSession(params, {}, async ({ socket, out, target }) => {
    const { port, address } = target;
    for (let bad = 0; bad < 8; bad++) {
      const parcels = Array.from({ length: 8 }, (_, i) => {
        return out.take(target, i === bad ? 65_536 : 300 + i);
      });
      const datagrams = parcels.map((parcel) => ({ data: parcel.data, port, address }));
      const promise = socket.sendMany(datagrams);
      const failed = promise.then(
        () => undefined,
        (error: { code: string; sentDatagrams: number }) => error,
      );
      await out.many(parcels, promise, parcels.slice(bad, bad + 1));
      const { code, sentDatagrams } = (await failed) ?? {};
      assert.deepEqual({ code, sentDatagrams }, { code: 'EMSGSIZE', sentDatagrams: 7 });
    }
    await out.verify();
  });
}

async function closedPort(session: Session, type: UdpParams['type']): Promise<Target> {
  const target = await session.receiver.target(type);
  await target.close();
  return target;
}

/** A closed port answers by ICMP: the next send or 'error' says so, and ids are not disturbed. */
export async function refused(params: UdpParams): Promise<void> {
  await withSession(params, {}, async (session) => {
    const { socket, out, target } = session;
    const errors: string[] = [];
    socket.on('error', (error: NodeJS.ErrnoException) => errors.push(String(error.code)));
    const nobody = await closedPort(session, params.type);
    await connectUdp(socket, nobody);
    const before = out.errors.length;
    for (let round = 0; round < ROUNDS; round++) {
      const parcel = out.take(nobody, 400);
      socket.send(parcel.data, out.releaseCallback(parcel));
      await out.settled();
      await nextTurn();
    }
    await until('the refusal is told', () => errors.length + out.errors.length - before > 0);
    const codes = new Set([...errors, ...out.errors]);
    assert.deepEqual([...codes], ['ECONNREFUSED']);
    socket.disconnect();
    sendGood(session, 20);
    await out.settled();
    // What the closed port was sent cannot be asked for: only the open one is compared.
    await target.reached(20);
    const { wrong, datagrams } = await target.report();
    assert.deepEqual({ wrong, datagrams }, { wrong: 0, datagrams: 20 });
    assert.deepEqual(out.violations, []);
  });
}

/** Unsolicited ICMP errors: unconnected sends to closed ports between the others. */
export async function noise(params: UdpParams): Promise<void> {
  await withSession(params, {}, async (session) => {
    const { socket, out } = session;
    socket.on('error', (error) => assert.fail(error));
    const nobody = await closedPort(session, params.type);
    let handed = 0;
    for (let round = 0; round < ROUNDS; round++) {
      sendGood(session, 3);
      socket.send(Buffer.alloc(500), nobody.port, nobody.address, () => void handed++);
      if (round % 5 === 0) await nextTurn();
    }
    sendGood(session, 50);
    await out.verify();
    await until('all is released', () => handed === ROUNDS);
    assert.deepEqual(out.errors, []);
  });
}

/** A callback that throws: the others still come, and the exception is uncaught once for each. */
export async function thrown(params: UdpParams): Promise<void> {
  const { uncaughtDuring } = await import('../helpers/uncaught.js');
  await withSession(params, {}, async (session) => {
    const { socket, out, target } = session;
    const caught = await uncaughtDuring(async () => {
      for (let i = 0; i < 60; i++) {
        const parcel = out.take(target, 300);
        const done = out.releaseCallback(parcel);
        socket.send(parcel.data, target.port, target.address, (error, bytes) => {
          done(error, bytes);
          if (i % 20 === 7) throw new Error(`thrown by ${i}`);
        });
      }
      await out.settled();
      await nextTurn();
    });
    const messages = caught.map((error) => (error as Error).message);
    assert.deepEqual(messages.sort(), ['thrown by 27', 'thrown by 47', 'thrown by 7']);
    await out.verify();
  });
}

/** Errors of sends without a callback are counted, as node:dgram drops them. */
export async function untold(params: UdpParams): Promise<void> {
  await withSession(params, {}, async (session) => {
    const { socket, out, target } = session;
    socket.on('error', (error) => assert.fail(error));
    sendGood(session, 5);
    socket.send(Buffer.alloc(65_536), target.port, target.address);
    sendGood(session, 5);
    await out.verify();
    assert.equal(socket.zeroCopy.stats.failedSends, 1);
  });
}

/**
 * No room in epoll: nothing is sent zero-copy whose notification would cause no wake-up, and a socket that
 * will never hear says so. Run with a preloaded library (test/scenarios/kernel-faults.c).
 */
export async function unwatched(params: UdpParams) {
  const receiver = await UdpReceiver.open(params.at);
  const target = await receiver.target(params.type);
  const socket = createUdpSocket({ type: params.type, zeroCopy: FORCED });
  const errors: unknown[] = [];
  socket.on('error', ({ code, syscall }: NodeJS.ErrnoException) => errors.push([code, syscall]));
  const out = new UdpOutgoing();
  const reports: unknown[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const parcel = out.take(target, 500 + i);
    const { port, address } = target;
    const report = await out.promised(parcel, socket.send(parcel.data, { port, address }));
    reports.push([report?.reason, report?.copiedBytes === parcel.data.length]);
  }
  await out.verify();
  const { pendingSends, stats } = socket.zeroCopy;
  await closeUdp(socket);
  await portsClosed();
  await receiver.close();
  return { errors, reports, pendingSends, zeroCopySends: stats.zeroCopySends };
}

/** SO_ZEROCOPY is swallowed: no send lacks a notification (test/scenarios/kernel-faults.c). */
export async function swallowed(params: UdpParams) {
  let seen = {};
  await withSession(params, { zeroCopy: FORCED }, async ({ socket, out, target }) => {
    const { port, address } = target;
    const reasons = new Set<string | undefined>();
    for (let i = 0; i < ROUNDS; i++) {
      const parcel = out.take(target, 500 + i);
      const report = await out.promised(parcel, socket.send(parcel.data, { port, address }));
      reasons.add(report?.reason);
    }
    await out.verify();
    const { state, reason, stats } = socket.zeroCopy;
    seen = { reasons: [...reasons], state, reason, sends: stats.zeroCopySends, errors: out.errors };
  });
  return seen;
}

/** Sends one by one, by copy, one of which the kernel refuses at first (test/scenarios/kernel-faults.c). */
export async function passingWant(params: UdpParams) {
  let copiedBytes = 0;
  const errors: string[] = [];
  await withSession(params, { zeroCopy: { engine: 'copy' } }, async ({ socket, out, target }) => {
    const { port, address } = target;
    for (let i = 0; i < ROUNDS; i++) {
      const parcel = out.take(target, 500 + i);
      await out.promised(parcel, socket.send(parcel.data, { port, address }));
    }
    await out.verify();
    errors.push(...out.errors);
    copiedBytes = socket.zeroCopy.stats.copiedBytes;
  });
  return { errors, copiedBytes };
}
