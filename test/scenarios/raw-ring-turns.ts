// What is committed to a raw socket's ring within one callback: when the kernel gets it, and in what order.
import assert from 'node:assert/strict';
import { createRawSocket, type SendReport } from '../../lib/index';
import { LINK_HEADER, whileSlow } from '../helpers/packet-wire';
import {
  FRAMES,
  type FamilyParams,
  type Sending,
  commitOne,
  produce,
  sending,
} from './raw-ring-kit';

const ROUNDS = 100;
const UDP = 17;
/** Frames of one commit. */
const TOGETHER = 16;
/** What waits for the end of a callback at most. */
const MOST_WAITING = 64;

/** Frames that the kernel took so far. */
const handed = ({ socket }: Pick<Sending, 'socket'>): number => socket.zeroCopy.stats.zeroCopySends;

/** A new callback, in which nothing was committed yet. */
const nextCallback = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

function busyFor(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

/** The first goes at once, others of the same callback share a call at its end, and none waits for its promise. */
export const sharedCalls = sending<FamilyParams>(async (all) => {
  const { socket, out, udp, address } = all;
  let shared = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const frames = Array.from({ length: 5 }, (_, i) => produce(socket, out.frame(50 + i)));
    await nextCallback();
    const before = handed(all);
    const commits: Promise<SendReport>[] = [];
    for (const frame of frames) {
      commits.push(socket.commit(frame, { address }));
      if (commits.length === 1) assert.equal(handed(all), before + 1, 'the first waits');
    }
    if (handed(all) < before + 5) shared++;
    await new Promise<void>((resolve) => process.nextTick(resolve));
    assert.equal(handed(all), before + 5, 'some wait beyond the callback');
    for (const { engine } of await Promise.all(commits)) assert.equal(engine, 'tx_ring');
  }
  // A busy machine may be too slow for some.
  assert.ok(shared > ROUNDS / 4, `${shared} of ${ROUNDS} callbacks shared a call`);
  await udp.expect(out.taken());
});

/** A callback that computes for long between its packets does not hold them up. */
export const longCallback = sending<FamilyParams>(async (all) => {
  const { out, udp } = all;
  await nextCallback();
  const before = handed(all);
  const commits: Promise<SendReport>[] = [];
  for (let i = 1; i <= 4; i++) {
    commits.push(commitOne(all, out.frame(100 + i)));
    assert.equal(handed(all), before + i);
    busyFor(1);
  }
  await Promise.all(commits);
  await udp.expect(out.taken());
});

/** A full ring, and many commits in one callback, call the kernel before its end. */
export const fullRing = sending<FamilyParams>(async (all) => {
  const { wire, socket, out, udp } = all;
  const commits: Promise<SendReport>[] = [];
  const packets = Array.from({ length: 4 * FRAMES }, () => out.frame(out.largestPayload));
  // So slow that few come back meanwhile.
  await whileSlow(wire, async () => {
    await nextCallback();
    while (socket.freeFrames > 0) {
      commits.push(commitOne(all, packets[commits.length] as Buffer));
    }
    assert.ok(commits.length >= FRAMES);
    assert.equal(handed(all), commits.length);
    await Promise.all(commits);
  });
  await udp.expect(out.taken().slice(0, commits.length));
  const { family, address } = all;
  const ring = { frames: 256, frameSize: 2048 };
  const large = createRawSocket({ family, protocol: 'raw', headerIncluded: true, ring });
  for (let round = 0; round < ROUNDS; round++) {
    const batches = Array.from({ length: 12 }, () =>
      Array.from({ length: TOGETHER }, () => produce(large, out.frame(50))),
    );
    await nextCallback();
    let committed = handed({ socket: large });
    for (const batch of batches) {
      commits.push(large.commit(batch, { address }));
      committed += batch.length;
      const waiting = committed - handed({ socket: large });
      assert.ok(waiting < MOST_WAITING, `${waiting} wait`);
    }
    await Promise.all(commits);
  }
  large.close();
  await udp.expect(out.taken());
});

/** What the raw socket sends does not overtake what waits for the end of the callback. */
export const keptOrder = sending<FamilyParams>(async (all) => {
  const { near, socket, out, address, family, wire } = all;
  const caught = await near.far.open({ protocol: family === 4 ? 0x0800 : 0x86dd });
  const headerBytes = (family === 4 ? 20 : 40) + 8;
  const protocolAt = LINK_HEADER + (family === 4 ? 9 : 6);
  for (let round = 0; round < ROUNDS; round++) {
    await nextCallback();
    const packets = Array.from({ length: 6 }, () => out.stray(300));
    // The kernel's affair: its header names another destination.
    const elsewhere = packets[3] as Buffer;
    elsewhere.writeUInt8(elsewhere.readUInt8(headerBytes - 9) ^ 1, headerBytes - 9);
    const mark = `the last of round ${round}.`;
    const last = packets[5] as Buffer;
    last.write(mark, last.length - 40);
    const sent: Promise<SendReport>[] = [];
    for (const [i, packet] of packets.entries()) {
      if (i === 0 || i === 5) sent.push(socket.send(packet, { address }));
      else sent.push(commitOne(all, packet));
    }
    const reports = await Promise.all(sent);
    const engines = reports.map(({ engine }) => engine);
    const [ring, copy] = ['tx_ring', 'copy'];
    assert.deepEqual(engines, [copy, ring, ring, copy, ring, copy]);
    const arrived = (await caught.catch(mark))
      .map(({ data }) => Buffer.from(data, 'base64'))
      .filter((frame) => frame[protocolAt] === UDP)
      .map((frame) => frame.toString('hex', LINK_HEADER + headerBytes));
    const [first, ...expected] = packets.map((packet) => packet.toString('hex', headerBytes));
    // What is committed may overtake a send() that waits for the end of the callback.
    assert.deepEqual(arrived.splice(arrived.indexOf(first as string), 1), [first]);
    assert.deepEqual(arrived, expected, `round ${round}, to ${wire.far.device}`);
  }
  await caught.close();
});

/** close() in the callback of a commit sends it. */
export const closedAtOnce = sending<FamilyParams>(async (all) => {
  const { socket, out, udp } = all;
  await nextCallback();
  const commits = Array.from({ length: 5 }, (_, i) => commitOne(all, out.frame(100 + i)));
  socket.close();
  for (const { engine } of await Promise.all(commits)) assert.equal(engine, 'tx_ring');
  await udp.expect(out.taken());
});
