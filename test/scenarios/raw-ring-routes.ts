// Packets that a raw socket's ring must not send, and what becomes of them when routes and neighbours change.
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { headers, metrics, type Reason, type SendReport } from '../../lib/index';
import { ip, LINK_HEADER, setMtu, whileSlow } from '../helpers/packet-wire';
import { assertCode, failureOf } from './packet-scenario';
import {
  FRAMES,
  type FamilyParams,
  type Sending,
  farAddress,
  sending,
  commitOne,
  sendOne,
  restore,
} from './raw-ring-kit';

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
  const packets = Array.from({ length: 4 }, () => out.stray(out.largestPayload));
  await whileSlow(wire, async () => {
    const commits: Promise<SendReport>[] = [];
    // In one callback: those that wait for its end go to where the neighbour was.
    for (const packet of packets) commits.push(commitOne(all, packet));
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
