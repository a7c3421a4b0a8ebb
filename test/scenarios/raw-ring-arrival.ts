// Packets that are produced in a raw socket's ring arrive as they were, and in order with what else the socket sends.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRawSocket, headers, type SendReport } from '../../lib/index';
import { OVERWRITTEN } from '../../scripts/pattern';
import { ip } from '../helpers/packet-wire';
import { assertCode } from './packet-scenario';
import { FRAMES, type FamilyParams, sending, produce, commitOne, restore } from './raw-ring-kit';

/** One by one and together, of every size, several times round the ring. */
export const arrive = sending<FamilyParams>(async (all) => {
  const { socket, udp, out, address } = all;
  for (let round = 0; round < 3 * FRAMES; round++) {
    const bytes = Math.round((out.largestPayload * round) / (3 * FRAMES - 1));
    assert.equal((await commitOne(all, out.frame(bytes))).engine, 'tx_ring');
  }
  for (let round = 0; round < FRAMES; round++) {
    await socket.ready();
    const count = 1 + (round % FRAMES);
    const batch = Array.from({ length: count }, (_, i) => produce(socket, out.frame(100 * i)));
    await socket.commit(batch, { address });
  }
  await udp.expect(out.taken());
  const { zeroCopySends, notifications, copiedBytes } = socket.zeroCopy.stats;
  assert.equal(zeroCopySends, 3 * FRAMES + (FRAMES * (FRAMES + 1)) / 2);
  assert.equal(notifications, zeroCopySends);
  assert.equal(copiedBytes, 0);
  assert.equal(socket.freeFrames, FRAMES);
});

/** A connected socket needs no address, and takes none. */
export const connected = sending<FamilyParams>(async (all) => {
  const { socket, out, udp, address } = all;
  socket.connect(address);
  await once(socket, 'connect');
  assert.equal((await commitOne(all, out.frame(500), {})).engine, 'tx_ring');
  const frame = produce(socket, out.stray(500));
  await assertCode(() => socket.commit(frame, { address }), 'ERR_SOCKET_DGRAM_IS_CONNECTED');
  socket.discard(frame);
  await udp.expect(out.taken());
});

/** Length, checksum, identification and source, where they are missing. */
export const headerCompleted = sending<FamilyParams>(async (all) => {
  const { near, wire, socket, out, address } = all;
  const caught = await near.far.open({ protocol: 0x0800 });
  const packet = out.stray(300);
  packet.writeUInt16BE(0, 2); // length
  packet.writeUInt16BE(0, 4); // identification
  packet.writeUInt16BE(0, 10); // checksum
  packet.fill(0, 12, 16); // source
  const frozen = Buffer.from(packet);
  frozen.writeUInt16BE(0x4000, 6); // not to be fragmented: needs no identification
  for (const one of [packet, packet, frozen]) await commitOne(all, one);
  // The kernel's own, for comparison.
  await socket.send(packet, { address });
  const frames = (await caught.catch(4)).map(({ data }) =>
    Buffer.from(data, 'base64').subarray(14),
  );
  await caught.close();
  const numbers = frames.map((one) => one.readUInt16BE(4));
  for (const one of frames) {
    assert.equal(one.readUInt16BE(2), packet.length);
    assert.equal(one.subarray(12, 16).join('.'), wire.near.address4);
    assert.deepEqual(one.subarray(20), packet.subarray(20));
    const fields = Buffer.from(one.subarray(0, 20));
    fields.writeUInt16BE(0, 10);
    assert.equal(one.readUInt16BE(10), headers.internetChecksum(fields));
  }
  assert.equal(numbers[2], 0);
  assert.notEqual(numbers[0], 0);
  assert.equal(new Set(numbers.slice(0, 2)).size, 2);
  assert.deepEqual(frames[0]?.subarray(6, 10), frames[3]?.subarray(6, 10));
});

/** Order, and memory, between what the ring sends and what the raw socket sends from it. */
export const mixedPaths = sending<FamilyParams>(async (all) => {
  const { wire, socket, out, udp, address } = all;
  const stale = ['lladdr', wire.far.mac, 'dev', wire.near.device, 'nud', 'stale'];
  const commits: Promise<SendReport>[] = [];
  for (let round = 0; round < FRAMES; round++) {
    // Every other packet is the kernel's.
    if (round % 2 === 0) ip(wire.near, 'neigh', 'replace', address, ...stale);
    else restore(wire);
    const frame = produce(socket, out.frame(700 + round));
    commits.push(socket.commit(frame, { address }));
    assert.throws(() => socket.discard(frame), { code: 'ERR_INVALID_ARG_TYPE' });
  }
  const reports = await Promise.all(commits);
  const engines = reports.map(({ engine }) => engine);
  assert.deepEqual(
    engines,
    Array.from({ length: FRAMES }, (_, i) => (i % 2 === 0 ? 'copy' : 'tx_ring')),
  );
  await socket.zeroCopy.flush();
  assert.equal(socket.freeFrames, FRAMES);
  await udp.expect(out.taken());
});

/** Everything else goes by the raw socket, as without a ring. */
export const besideRing = sending<FamilyParams>(async (all) => {
  const { socket, out, udp, address } = all;
  const packet = out.frame(800);
  const report = await socket.send(packet, { address });
  packet.fill(OVERWRITTEN);
  assert.deepEqual([report.engine, report.reason], ['copy', 'not-reserved']);
  const list = [out.frame(10), out.frame(20)];
  assert.equal((await socket.sendMany(list, { address })).reason, 'not-reserved');
  for (const one of list) one.fill(OVERWRITTEN);
  await udp.expect(out.taken());
  const before = socket.freeFrames;
  const frame = produce(socket, out.stray(100));
  socket.discard(frame);
  assert.equal(socket.freeFrames, before);
  await assertCode(() => socket.commit(frame, { address }), 'ERR_INVALID_ARG_TYPE');
  await assertCode(() => socket.commit(socket.reserve(3), { address }), 'ERR_OUT_OF_RANGE');
  await assertCode(() => socket.commit(socket.reserve(100)), 'ERR_INVALID_ARG_TYPE');
  const { buffer, byteOffset } = socket.reserve(100);
  const intoTheNext = Buffer.from(buffer, byteOffset);
  await assertCode(() => socket.commit(intoTheNext, { address }), 'ERR_INVALID_ARG_TYPE');
  const twice = socket.reserve(100);
  await assertCode(() => socket.commit([twice, twice], { address }), 'ERR_OUT_OF_RANGE');
  assert.throws(() => socket.reserve(1e6), { code: 'ERR_OUT_OF_RANGE' });
  const without = createRawSocket({ family: all.family, protocol: 'raw', headerIncluded: true });
  assert.equal(without.freeFrames, 0);
  assert.throws(() => without.reserve(100), { code: 'ERR_ZC_NO_RING' });
  await assertCode(() => without.ready(), 'ERR_ZC_NO_RING');
  without.close();
  await once(without, 'close');
});
