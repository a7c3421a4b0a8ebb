// Packets that are produced in a raw socket's ring: that they arrive as they were, by whom they were sent, and what
// becomes of them when routes and neighbours change between two of them.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import {
  createRawSocket,
  headers,
  metrics,
  type RawCommitOptions,
  type RawSocketOptions,
  type Reason,
  type SendReport,
  type ZeroCopyRawSocket,
} from '../../lib/index';
import { OVERWRITTEN } from '../../scripts/pattern';
import { Outbox } from '../helpers/packet-frames';
import type { Family } from '../helpers/packet-receiver-protocol';
import { ip, LINK_HEADER, setMtu, type Wire, whileSlow } from '../helpers/packet-wire';
import type { FarUdp } from './packet-far';
import { assertCode, failureOf, type Near, ringOf, scenario } from './packet-scenario';

const FRAMES = 8;

interface FamilyParams {
  readonly family: Family;
}

interface Sending {
  readonly near: Near;
  readonly wire: Wire;
  readonly family: Family;
  readonly socket: ZeroCopyRawSocket;
  readonly udp: FarUdp;
  readonly out: Outbox;
  /** Where packets go: the far end. */
  readonly address: string;
}

function farAddress(wire: Wire, family: Family): string {
  return family === 4 ? wire.far.address4 : wire.far.address6;
}

/** A raw socket with a ring, a UDP socket at the far end and packets for it. */
function sending<P extends FamilyParams>(
  body: (sending: Sending, params: P) => Promise<void>,
  options: Partial<RawSocketOptions> = {},
): (params: P) => Promise<void> {
  return scenario<P>(async (near, params) => {
    const { family } = params;
    const { udp, out } = await near.route(family, 'dgram');
    const ring = ringOf(FRAMES);
    const socket = createRawSocket({
      family,
      protocol: 'raw',
      headerIncluded: true,
      ring,
      ...options,
    });
    const address = farAddress(near.wire, family);
    try {
      await body({ near, wire: near.wire, family, socket, udp, out, address }, params);
    } finally {
      if (socket.zeroCopy.state !== 'closed') {
        const closed = once(socket, 'close');
        socket.close();
        await closed;
      }
      restore(near.wire);
    }
  });
}

/** What packetSuites set up between the two ends. */
function restore({ near, far }: Wire): void {
  const permanent = (address: string): void =>
    void ip(
      near,
      'neigh',
      'replace',
      address,
      'lladdr',
      far.mac,
      'dev',
      near.device,
      'nud',
      'permanent',
    );
  for (const address of [far.address4, far.address6]) permanent(address);
}

/** Fills a frame of the ring with `packet`. */
function produce(socket: ZeroCopyRawSocket, packet: Buffer): Buffer {
  const frame = socket.reserve(packet.length);
  frame.fill(OVERWRITTEN);
  packet.copy(frame);
  return frame;
}

/** Sends one packet from the ring; its memory is somebody else's the moment it is given back. */
async function commitOne(
  { socket, address }: Sending,
  packet: Buffer,
  options: RawCommitOptions = { address },
): Promise<SendReport> {
  return socket.commit(produce(socket, packet), options);
}

/** By whom a packet that arrives was sent, and why. */
async function sendOne(sending: Sending, bytes = 900): Promise<Reason | 'by the ring'> {
  const { udp, out } = sending;
  const packet = out.frame(bytes);
  const report = await commitOne(sending, packet);
  assert.equal(report.bytes, packet.length);
  await udp.expect(out.taken());
  if (report.reason === undefined) {
    assert.equal(report.engine, 'tx_ring');
    assert.equal(report.unknownBytes, packet.length);
    assert.equal(sending.socket.zeroCopy.engine, 'tx_ring');
    return 'by the ring';
  }
  assert.equal(report.engine, 'copy');
  assert.equal(report.copiedBytes, packet.length);
  assert.equal(sending.socket.zeroCopy.reason, report.reason);
  assert.equal(sending.socket.zeroCopy.state, 'paused');
  return report.reason;
}

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

/** What the ring may not send, with what the raw socket makes of it. */
export const tooLong = sending<FamilyParams>(async (all) => {
  const { wire, socket, out, address, udp } = all;
  const most = wire.mtu;
  const longest = out.frame(out.largestPayload);
  assert.equal(longest.length, most);
  assert.equal((await commitOne(all, longest)).engine, 'tx_ring');
  const packet = Buffer.concat([out.stray(out.largestPayload), Buffer.alloc(1)]);
  const before = await failureOf(() => socket.send(packet, { address }));
  const error = await failureOf(() => commitOne(all, packet));
  assert.deepEqual([error.code, error.message], ['EMSGSIZE', before.message]);
  await udp.expect(out.taken());
  assert.equal(await sendOne(all), 'by the ring');
  // The device's MTU changes between two packets.
  const shorter = out.stray(out.largestPayload);
  setMtu(wire.near, most - 100);
  try {
    await assertCode(() => commitOne(all, shorter), 'EMSGSIZE');
    assert.equal(await sendOne(all), 'by the ring');
  } finally {
    setMtu(wire.near, most);
  }
  assert.equal(await sendOne(all, out.largestPayload), 'by the ring');
  assert.equal(socket.freeFrames, FRAMES);
});

/** The neighbour gets another link address between two packets. */
export const movedNeighbour = sending<FamilyParams>(async (all) => {
  const { wire, address } = all;
  assert.equal(await sendOne(all), 'by the ring');
  const other = '02:00:00:00:77:01';
  ip(wire.far, 'link', 'set', wire.far.device, 'address', other);
  const known = ['lladdr', other, 'dev', wire.near.device, 'nud', 'permanent'];
  ip(wire.near, 'neigh', 'replace', address, ...known);
  try {
    // It takes frames for itself only.
    assert.equal(await sendOne(all), 'by the ring');
  } finally {
    ip(wire.far, 'link', 'set', wire.far.device, 'address', wire.far.mac);
  }
  restore(wire);
  assert.equal(await sendOne(all), 'by the ring');
});

/** While frames wait for a slow device. */
export const movedWhileBusy = sending<FamilyParams>(async (all) => {
  const { wire, address, socket, out, near } = all;
  const caught = await near.far.open({
    protocol: all.family === 4 ? 0x0800 : 0x86dd,
    promiscuous: true,
  });
  const other = '02:00:00:00:77:02';
  const mark = 'the last of them';
  await whileSlow(wire, async () => {
    const commits: Promise<SendReport>[] = [];
    for (let i = 0; i < 4; i++) commits.push(commitOne(all, out.stray(out.largestPayload)));
    const known = ['lladdr', other, 'dev', wire.near.device, 'nud', 'permanent'];
    ip(wire.near, 'neigh', 'replace', address, ...known);
    for (let i = 0; i < 3; i++) commits.push(commitOne(all, out.stray(out.largestPayload)));
    const last = out.stray(100);
    last.write(mark, last.length - 20);
    commits.push(commitOne(all, last));
    for (const { engine } of await Promise.all(commits)) assert.equal(engine, 'tx_ring');
  });
  const frames = await caught.catch(mark);
  await caught.close();
  const isUdp = (frame: Buffer): boolean => frame[LINK_HEADER + (all.family === 4 ? 9 : 6)] === 17;
  const to = frames
    .map(({ data }) => Buffer.from(data, 'base64'))
    .filter(isUdp)
    .map((frame) => frame.toString('hex', 0, 6));
  const [before = '', after = ''] = [wire.far.mac, other].map((mac) => mac.replaceAll(':', ''));
  const four = <T>(one: T): T[] => Array<T>(4).fill(one);
  assert.deepEqual(to, [...four(before), ...four(after)]);
  assert.equal(socket.freeFrames, FRAMES);
});

/** The kernel finds the neighbour; meanwhile, and where it has to confirm it, its own socket sends. */
export const lostNeighbour = sending<FamilyParams>(async (all) => {
  const { wire, address } = all;
  const forget = (): string => ip(wire.near, 'neigh', 'del', address, 'dev', wire.near.device);
  assert.equal(await sendOne(all), 'by the ring');
  forget();
  assert.equal(await sendOne(all), 'no-neighbour');
  // It arrived, so the neighbour is known by now.
  assert.equal(await sendOne(all), 'by the ring');
  const stale = ['lladdr', wire.far.mac, 'dev', wire.near.device, 'nud', 'stale'];
  ip(wire.near, 'neigh', 'replace', address, ...stale);
  assert.equal(await sendOne(all), 'no-neighbour');
  assert.equal(await sendOne(all), 'by the ring');
});

/** Counted and published, once for each change. */
export const announced = sending<FamilyParams>(async (all) => {
  const { wire, address, socket } = all;
  const heard: unknown[] = [];
  const onFallback = (message: unknown): void => {
    const { socket: whose, reason } = message as { socket: unknown; reason: string };
    if (whose === socket) heard.push(reason);
  };
  const onResume = (message: unknown): void => {
    if ((message as { socket: unknown }).socket === socket) heard.push('resume');
  };
  subscribe('msg-zerocopy:fallback', onFallback);
  subscribe('msg-zerocopy:resume', onResume);
  try {
    const before = metrics().fallbacks['no-neighbour'] ?? 0;
    ip(wire.near, 'neigh', 'replace', address, 'dev', wire.near.device, 'nud', 'failed');
    assert.equal(await sendOne(all), 'no-neighbour');
    assert.equal(await sendOne(all), 'by the ring');
    assert.equal(metrics().fallbacks['no-neighbour'], before + 1);
    assert.deepEqual(heard, ['no-neighbour', 'resume']);
  } finally {
    unsubscribe('msg-zerocopy:fallback', onFallback);
    unsubscribe('msg-zerocopy:resume', onResume);
  }
});

/** Another address of the far end, and how this end gets there. */
async function byRoute(
  all: Sending,
  body: (to: string, set: (...how: string[]) => void) => Promise<void>,
): Promise<void> {
  const { wire, family } = all;
  const to = family === 4 ? '198.51.100.7' : '2001:db8:7::7';
  const bits = family === 4 ? 32 : 128;
  ip(
    wire.far,
    'addr',
    'add',
    `${to}/${bits}`,
    'dev',
    wire.far.device,
    ...(family === 6 ? ['nodad'] : []),
  );
  const set = (...how: string[]): void =>
    void ip(wire.near, `-${family}`, 'route', 'replace', ...how);
  try {
    await body(to, set);
  } finally {
    ip(wire.near, `-${family}`, 'route', 'flush', 'exact', `${to}/${bits}`);
    ip(wire.far, 'addr', 'del', `${to}/${bits}`, 'dev', wire.far.device);
  }
}

/** A packet to another address, whose datagram the far end's socket does not get. */
function packetTo(all: Sending, to: string, bytes: number): Buffer {
  const { family, wire } = all;
  const source = family === 4 ? wire.near.address4 : wire.near.address6;
  const fields = { source, destination: to, protocol: 253, payloadLength: bytes };
  const header = family === 4 ? headers.ipv4(fields) : headers.ipv6(fields);
  return Buffer.concat([header, all.out.payload(bytes)]);
}

/** By a gateway, then nowhere, then by a narrow path, then by another device. */
export const changedRoute = sending<FamilyParams>(async (all) => {
  const { wire, family, near, socket } = all;
  await byRoute(all, async (to, set) => {
    const caught = await near.far.open({ protocol: family === 4 ? 0x0800 : 0x86dd });
    const gateway = farAddress(wire, family);
    const send = (bytes: number): Promise<SendReport> =>
      commitOne(all, packetTo(all, to, bytes), { address: to });
    set(to, 'via', gateway);
    assert.equal((await send(1000)).engine, 'tx_ring');
    set('unreachable', to);
    const known = await failureOf(() => socket.send(packetTo(all, to, 1000), { address: to }));
    const error = await failureOf(() => send(1000));
    assert.deepEqual([error.code, error.message], [known.code, known.message]);
    ip(wire.near, `-${family}`, 'route', 'del', 'unreachable', to);
    set(to, 'via', gateway, 'mtu', '1300');
    assert.equal((await send(1000)).engine, 'tx_ring');
    if (family === 4) {
      const { engine, reason } = await send(1400);
      assert.deepEqual([engine, reason], ['copy', 'path-mtu']);
    } else {
      // The kernel fragments no packet of IPv6 that brings its header.
      await assertCode(() => socket.send(packetTo(all, to, 1400), { address: to }), 'EMSGSIZE');
      await assertCode(() => send(1400), 'EMSGSIZE');
    }
    assert.equal((await send(1000)).engine, 'tx_ring');
    const whole = LINK_HEADER + (family === 4 ? 20 : 40) + 1000;
    const sizes = (await caught.catch(family === 4 ? 5 : 3)).map(({ bytes }) => bytes);
    assert.equal(sizes.filter((bytes) => bytes === whole).length, 3);
    assert.ok(
      sizes.every((bytes) => bytes <= LINK_HEADER + 1300),
      `fragments: ${sizes.join()}`,
    );
    await caught.close();
    set(to, 'dev', 'lo');
    assert.deepEqual((await send(1000)).reason, 'loopback');
  });
});

/** To this host, to several, and to what has no link header. */
export const detours = sending<FamilyParams>(async (all) => {
  const { wire, family, socket } = all;
  const reasonTo = async (to: string): Promise<Reason | undefined> => {
    const report = await commitOne(all, packetTo(all, to, 200), { address: to });
    assert.equal(report.copiedBytes, report.bytes);
    return report.reason;
  };
  assert.equal(await reasonTo(family === 4 ? '127.0.0.1' : '::1'), 'loopback');
  assert.equal(await reasonTo(family === 4 ? wire.near.address4 : wire.near.address6), 'loopback');
  const group = family === 4 ? '224.0.0.251' : `ff02::fb%${wire.near.device}`;
  const report = await commitOne(all, packetTo(all, group, 200), { address: group }).catch(
    (error: Error) => error,
  );
  if (family === 6) assert.equal((report as SendReport).reason, 'multicast');
  // Another destination in the header than the one that is asked for: the kernel's affair.
  const elsewhere = packetTo(all, family === 4 ? '198.51.100.9' : '2001:db8::9', 200);
  const other = await commitOne(all, elsewhere);
  assert.equal(other.reason, 'kernel-route');
  assert.equal(await sendOne(all), 'by the ring');
  assert.equal(socket.zeroCopy.reason, undefined);
});

export const tunnel = sending<FamilyParams>(async (all) => {
  const { wire, family } = all;
  ip(wire.near, 'tuntap', 'add', 'rawtun', 'mode', 'tun');
  try {
    ip(wire.near, 'link', 'set', 'rawtun', 'up');
    await byRoute(all, async (to, set) => {
      set(to, 'dev', 'rawtun');
      const report = await commitOne(all, packetTo(all, to, 200), { address: to });
      assert.deepEqual([report.engine, report.reason], ['copy', 'no-link-header']);
    });
  } finally {
    ip(wire.near, 'tuntap', 'del', 'rawtun', 'mode', 'tun');
  }
  assert.equal(await sendOne({ ...all, family }), 'by the ring');
});

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

/** Order, and memory, between what the ring sends and what goes another way from it. */
export const mixedWays = sending<FamilyParams>(async (all) => {
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
