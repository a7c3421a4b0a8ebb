// The life of a raw socket's ring: devices that go down, the off switch, copies that wait, close().
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { ip, whileSlow } from '../helpers/packet-wire';
import { assertCode, failureOf } from './packet-scenario';
import {
  FRAMES,
  type FamilyParams,
  sending,
  produce,
  commitOne,
  sendOne,
  restore,
} from './raw-ring-kit';

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
  await whileSlow(wire, async () => {
    const commits = Array.from({ length: 5 }, () => commitOne(all, out.frame(out.largestPayload)));
    const reserved = produce(socket, out.stray(100));
    const closed = once(socket, 'close');
    socket.close();
    assert.equal(socket.zeroCopy.state, 'active');
    await assertCode(() => socket.commit(reserved, all), 'ERR_SOCKET_DGRAM_NOT_RUNNING');
    for (const { engine } of await Promise.all(commits)) assert.equal(engine, 'tx_ring');
    await closed;
  });
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
