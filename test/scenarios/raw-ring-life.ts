// The life of a raw socket's ring: devices that go down, the off switch, copies that wait, close().
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRawSocket, headers } from '../../lib/index';
import { ip, setMtu, whileSlow } from '../helpers/packet-wire';
import { assertCode, failureOf, ringOf } from './packet-scenario';
import {
  FRAMES,
  type FamilyParams,
  sending,
  produce,
  commitOne,
  sendOne,
  restore,
} from './raw-ring-kit';

/** IPv6 needs 1280. */
const LOWERED_MTU = { 4: 700, 6: 1280 } as const;
const GONE6 = ['2001:db8:77::1/64', '2001:db8:77::2'] as const;

/** The device goes down and comes back. */
export const deviceDown = sending<FamilyParams>(async (all) => {
  const { wire, socket, out, address, family } = all;
  assert.equal(await sendOne(all), 'by the ring');
  ip(wire.near, 'link', 'set', wire.near.device, 'down');
  try {
    const known = await failureOf(() => socket.send(out.stray(100), { address }));
    const error = await failureOf(() => commitOne(all, out.stray(100)));
    assert.deepEqual([error.code, error.message], [known.code, known.message]);
  } finally {
    ip(wire.near, 'link', 'set', wire.near.device, 'up');
    ip(wire.near, 'addr', 'replace', `${wire.near.address6}/64`, 'dev', wire.near.device, 'nodad');
    restore(wire);
  }
  assert.equal(await sendOne({ ...all, family }), 'by the ring');
  assert.equal(socket.freeFrames, FRAMES);
});

/** close() with frames in a slow device, reserved ones, and copies that wait. */
export const closedWhileBusy = sending<FamilyParams>(async (all) => {
  const { wire, socket, out, udp } = all;
  const first = sendOne(all);
  assert.equal(await first, 'by the ring');
  const busy = async (): Promise<void> => {
    const commits = Array.from({ length: 5 }, () => commitOne(all, out.frame(out.largestPayload)));
    const reserved = produce(socket, out.stray(100));
    const closed = once(socket, 'close');
    socket.close();
    assert.equal(socket.zeroCopy.state, 'active');
    await assertCode(() => socket.commit(reserved, all), 'ERR_SOCKET_DGRAM_NOT_RUNNING');
    for (const { engine } of await Promise.all(commits)) assert.equal(engine, 'tx_ring');
    await closed;
  };
  // A tenth of a second for the five, which a busy machine may take until close() is called.
  await whileSlow(wire, busy, { rate: '600kbit' });
  assert.equal(socket.zeroCopy.pendingSends, 0);
  await udp.expect(out.taken());
});

/** The off switch: from the ring, and copied. */
export const switchedOff = sending<FamilyParams>(
  async (all) => {
    const { out, udp, socket } = all;
    const report = await commitOne(all, out.frame(500));
    assert.deepEqual([report.engine, report.reason], ['copy', 'disabled']);
    assert.equal(socket.zeroCopy.state, 'unsupported');
    await udp.expect(out.taken());
  },
  { zeroCopy: { engine: 'copy' } },
);

/** Copies that wait for room in the raw socket's send buffer stay in their slots, and those behind them in order. */
export const copiesThatWait = sending<FamilyParams & { readonly then: 'wait' | 'close' }>(
  async (all, { then }) => {
    const { wire, socket, out, udp, address } = all;
    const codes: (string | undefined)[] = [];
    let sent = 0;
    const packets = Array.from({ length: FRAMES }, () => out.frame(out.largestPayload));
    await whileSlow(wire, async () => {
      const commits = packets.map((packet) => socket.commit(produce(socket, packet), { address }));
      assert.ok(socket.freeFrames < FRAMES, 'nothing waits');
      assert.ok(socket.getSendQueueCount() > 0, 'nothing waits');
      const closed = then === 'close' ? once(socket, 'close') : undefined;
      if (then === 'close') socket.close();
      for (const commit of commits) {
        codes.push(
          await commit.then(
            ({ engine, reason }) => `${engine} ${reason}`,
            ({ code }: NodeJS.ErrnoException) => code,
          ),
        );
      }
      await closed;
      sent = codes.filter((code) => code === 'copy disabled').length;
      // The device has them yet, of which it would lose what it does not send before it is fast again.
      await udp.arrived(sent);
    });
    assert.deepEqual(codes.slice(sent), Array<string>(FRAMES - sent).fill('ECANCELED'));
    if (then === 'wait') {
      assert.equal(sent, FRAMES);
      assert.equal(socket.freeFrames, FRAMES);
    } else assert.ok(sent > 0 && sent < FRAMES, codes.join());
    await udp.expect(out.taken().slice(0, sent));
  },
  { zeroCopy: { engine: 'copy' }, sendBufferSize: 4608 },
);

/** A lower MTU while packets are sent: from then on those that do not fit fail, and nothing else does. */
export const shrunkWhileSending = sending<FamilyParams>(async (all) => {
  const { wire, out, udp, socket } = all;
  const lowered = LOWERED_MTU[all.family];
  const long = lowered + 100;
  const send = (bytes: number): Promise<string> =>
    commitOne(all, bytes === long ? out.stray(bytes) : out.frame(bytes)).then(
      ({ engine }) => engine,
      ({ code }: NodeJS.ErrnoException) => code ?? '',
    );
  const before: string[] = [];
  const after: string[] = [];
  for (let i = 0; i < 20; i++) before.push(await send(i % 2 === 0 ? long : 500));
  setMtu(wire.near, lowered);
  try {
    for (let i = 0; i < 20; i++) after.push(await send(i % 2 === 0 ? long : 500));
  } finally {
    setMtu(wire.near, wire.mtu);
    // IPv6 gives up a device of less than 1280.
    ip(wire.near, 'addr', 'replace', `${wire.near.address6}/64`, 'dev', wire.near.device, 'nodad');
    restore(wire);
  }
  const alternating = (one: string): string[] => [one, 'tx_ring'];
  const ten = (one: string): string[] => Array.from({ length: 10 }, () => alternating(one)).flat();
  assert.deepEqual(before, ten('tx_ring'));
  assert.deepEqual(after, ten('EMSGSIZE'));
  assert.equal(socket.freeFrames, FRAMES);
  assert.equal((await udp.take()).length, 30);
  out.taken();
});

/** The device of two sockets is removed while they send. */
export const deviceRemoved = sending<FamilyParams>(async (all) => {
  const { wire, family } = all;
  const device = 'rawgone';
  const [here, there] = family === 4 ? ['203.0.113.1/24', '203.0.113.2'] : GONE6;
  ip(wire.near, 'link', 'add', 'name', device, 'type', 'ifb');
  const ring = ringOf(FRAMES);
  const open = () => createRawSocket({ family, protocol: 'raw', headerIncluded: true, ring });
  const sockets = [open(), open()];
  try {
    ip(wire.near, 'link', 'set', device, 'up');
    ip(wire.near, 'addr', 'add', here, 'dev', device, ...(family === 6 ? ['nodad'] : []));
    const link = ['lladdr', '02:00:00:00:77:03', 'dev', device, 'nud', 'permanent'];
    ip(wire.near, 'neigh', 'replace', there, ...link);
    const fields = { source: here.split('/')[0] as string, destination: there, protocol: 253 };
    const made = { ...fields, payloadLength: 1000 };
    const header = family === 4 ? headers.ipv4(made) : headers.ipv6(made);
    const packet = Buffer.concat([header, Buffer.alloc(1000, 7)]);
    const outcomes = sockets.map(async (socket) => {
      const codes: string[] = [];
      while (codes.length < 4000 && !codes.slice(-5, -4).includes('ENETUNREACH')) {
        await socket.ready();
        const sent = socket.commit(produce(socket, packet), { address: there });
        codes.push(
          await sent.then(
            ({ engine }) => engine,
            ({ code }: NodeJS.ErrnoException) => code ?? '',
          ),
        );
        await new Promise<void>((resolve) => void setImmediate(resolve));
      }
      return codes;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    ip(wire.near, 'link', 'del', device);
    for (const codes of await Promise.all(outcomes)) {
      const gone = codes.indexOf('ENETUNREACH');
      assert.ok(gone > 0, codes.slice(-5).join());
      assert.deepEqual(new Set(codes.slice(0, gone)), new Set(['tx_ring']));
      assert.deepEqual(new Set(codes.slice(gone)), new Set(['ENETUNREACH']));
    }
    for (const socket of sockets) assert.equal(socket.freeFrames, FRAMES);
  } finally {
    for (const socket of sockets) {
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    }
  }
});
