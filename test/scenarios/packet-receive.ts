// What packet sockets receive: every frame that they asked for, whole and in its order, with what is
// known of it; and nothing else.
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { BpfInstruction, PacketRemoteInfo, ZeroCopyPacketSocket } from '../../lib/index';
import { fillFrom } from '../../scripts/pattern';
import { digest, etherFrame, EXPERIMENTAL, type Digest } from '../helpers/packet-frames';
import { closed, type Near, scenario } from './packet-scenario';
import { LINK_HEADER, linkState, type Family } from '../helpers/packet-wire';
import { between, seededRandom } from '../../scripts/random';
import { until } from '../../scripts/until';

const UDP = 17;

interface Seen {
  readonly data: Buffer;
  readonly rinfo: PacketRemoteInfo;
}

function watch(socket: ZeroCopyPacketSocket): Seen[] {
  const seen: Seen[] = [];
  socket.on('message', (data: Buffer, rinfo: PacketRemoteInfo) => seen.push({ data, rinfo }));
  return seen;
}

function keyed(stream: number, bytes: number): Buffer {
  const data = Buffer.alloc(bytes);
  fillFrom(data, stream, 0);
  return data;
}

/** Frames for the near end, of the experimental ethertype unless it is given. */
function framesTo(near: Near, count: number, protocol = EXPERIMENTAL): Buffer[] {
  const random = seededRandom(protocol + count);
  const link = { source: near.wire.far.mac, destination: near.wire.near.mac, protocol };
  return Array.from({ length: count }, (_, index) =>
    etherFrame(link, keyed(index, between(random, 46, near.wire.mtu))),
  );
}

async function reached(seen: readonly Seen[], count: number): Promise<void> {
  await until(`${count} frames`, () => seen.length >= count);
}

/** Datagrams of Node's own dgram, several for each system call. */
export const datagrams = scenario<{ readonly family: Family; readonly type: 'raw' | 'dgram' }>(
  async (near, { family, type }) => {
    const address = family === 4 ? near.wire.near.address4 : near.wire.near.address6;
    // There must be a listener, or the kernel answers with ICMP.
    const listener = createSocket({ type: `udp${family}`, recvBufferSize: 1 << 20 });
    listener.bind(0, address);
    await once(listener, 'listening');
    const protocol = family === 4 ? 0x0800 : 0x86dd;
    const socket = near.open({ protocol, type, recvBufferSize: 4 * 1024 * 1024 });
    const seen: Buffer[] = [];
    const { port } = listener.address();
    const headers = (type === 'raw' ? LINK_HEADER : 0) + (family === 4 ? 20 : 40);
    const ofIp = (type === 'raw' ? LINK_HEADER : 0) + (family === 4 ? 9 : 6);
    socket.on('message', (data: Buffer) => {
      // The kernel has its own to say, such as that an address is in use (MLD).
      if (data[ofIp] === UDP && data.readUInt16BE(headers + 2) === port) seen.push(data);
    });
    const udp = await near.far.listen(family);
    const random = seededRandom(family);
    const expected: Digest[] = [];
    for (let round = 1; round <= 4; round++) {
      const said = Array.from({ length: 100 }, (_, index) => ({
        stream: round * 1000 + index,
        bytes: between(random, 32, 1400),
      }));
      expected.push(...said.map(({ stream, bytes }) => digest(keyed(stream, bytes))));
      await udp.say({ address, port }, said);
      await until('all datagrams', () => seen.length >= expected.length);
    }
    assert.deepEqual(
      seen.map((data) => digest(data.subarray(headers + 8))),
      expected,
    );
    assert.equal(socket.zeroCopy.stats.receiveDrops, 0);
    await new Promise<void>((resolve) => listener.close(resolve));
  },
);

export const frames = scenario(async (near) => {
  const seen = watch(near.open({ protocol: EXPERIMENTAL, recvBufferSize: 4 * 1024 * 1024 }));
  const far = await near.far.open({});
  const sent = framesTo(near, 200);
  // No more at once than any socket holds.
  for (let at = 0; at < sent.length; at += 50) {
    await far.inject(sent.slice(at, at + 50));
    await reached(seen, at + 50);
  }
  assert.deepEqual(
    seen.map(({ data }) => digest(data)),
    sent.map(digest),
  );
  const { near: here, far: there } = near.wire;
  for (const [index, { rinfo }] of seen.entries()) {
    assert.deepEqual(
      { ...rinfo },
      {
        interface: here.device,
        interfaceIndex: linkState(here, here.device).ifindex,
        protocol: EXPERIMENTAL,
        packetType: 'host',
        address: there.mac,
        size: sent[index]?.length,
      },
    );
    if (index === 4) break; // the look at the device is slow
  }
  await far.close();
});

/** Data handed to a listener stays as it is while more arrives. */
export const kept = scenario(async (near) => {
  const socket = near.open({ protocol: EXPERIMENTAL });
  const seen = watch(socket);
  const far = await near.far.open({});
  const sent = framesTo(near, 30);
  for (let round = 0; round < 4; round++) await far.inject(sent);
  await reached(seen, 4 * sent.length);
  for (const [index, { data }] of seen.entries()) {
    assert.ok(data.equals(sent[index % sent.length] as Buffer), `frame ${index}`);
    data.fill(0); // each has memory of its own
  }
  await far.close();
});

export const protocolFilter = scenario(async (near) => {
  const mine = watch(near.open({ protocol: EXPERIMENTAL }));
  const others = watch(near.open({ protocol: EXPERIMENTAL + 1 }));
  const nothing = watch(near.open({}));
  const all = watch(near.open({ protocol: 'all', type: 'dgram' }));
  const far = await near.far.open({});
  const wanted = framesTo(near, 20);
  await far.inject(wanted);
  await far.inject(framesTo(near, 5, EXPERIMENTAL + 1));
  await reached(others, 5);
  await reached(mine, 20);
  const ours = (): Seen[] =>
    all.filter(({ rinfo }) => rinfo.protocol >= EXPERIMENTAL && rinfo.protocol <= EXPERIMENTAL + 1);
  await until('25 frames', () => ours().length >= 25);
  assert.deepEqual([mine.length, others.length, nothing.length, ours().length], [20, 5, 0, 25]);
  // Without the link header.
  assert.ok(
    ours().every(
      ({ data }, index) =>
        index >= 20 || data.equals((wanted[index] as Buffer).subarray(LINK_HEADER)),
    ),
  );
  await far.close();
});

const LOAD_HALF_WORD = 0x28;
const JUMP_IF_EQUAL = 0x15;
const RETURN = 0x06;

/** Accepts frames whose first two bytes behind the link header are `word`, up to `bytes` of them. */
function firstWordIs(word: number, bytes: number): BpfInstruction[] {
  return [
    { code: LOAD_HALF_WORD, jt: 0, jf: 0, k: LINK_HEADER },
    { code: JUMP_IF_EQUAL, jt: 0, jf: 1, k: word },
    { code: RETURN, jt: 0, jf: 0, k: bytes },
    { code: RETURN, jt: 0, jf: 0, k: 0 },
  ];
}

export const programFilter = scenario(async (near) => {
  const link = { source: near.wire.far.mac, destination: near.wire.near.mac };
  const marked = (word: number, bytes: number): Buffer => {
    const payload = keyed(word, bytes);
    payload.writeUInt16BE(word);
    return etherFrame(link, payload);
  };
  const sent = Array.from({ length: 60 }, (_, index) => marked(index % 3, 100 + index));
  const open = (word: number, bytes: number): Seen[] =>
    watch(near.open({ protocol: EXPERIMENTAL, filter: { program: firstWordIs(word, bytes) } }));
  const whole = open(1, 0xffff);
  const cut = open(2, 64);
  const all = watch(near.open({ protocol: EXPERIMENTAL }));
  const far = await near.far.open({});
  await far.inject(sent);
  await Promise.all([reached(whole, 20), reached(cut, 20), reached(all, 60)]);
  const expected = (word: number): Buffer[] => sent.filter((_, index) => index % 3 === word);
  assert.deepEqual(
    whole.map(({ data }) => digest(data)),
    expected(1).map(digest),
  );
  assert.deepEqual(
    cut.map(({ data }) => digest(data)),
    expected(2).map((frame) => digest(frame.subarray(0, 64))),
  );
  assert.ok(cut.every(({ rinfo }) => rinfo.truncated === true && rinfo.size === 64));
  assert.ok(whole.every(({ rinfo }) => !('truncated' in rinfo)));
  await far.close();
});

/** Frames of this machine's own, on their way out. */
export const outgoing = scenario(async (near) => {
  const both = watch(near.open({ protocol: 'all' }));
  const incoming = watch(near.open({ protocol: 'all', ignoreOutgoing: true }));
  const sender = near.open({});
  const far = await near.far.open({});
  const { near: here, far: there } = near.wire;
  const out = etherFrame({ source: here.mac, destination: there.mac }, keyed(1, 60));
  const [back] = framesTo(near, 1) as [Buffer];
  await sender.send(out, {});
  await far.inject([back]);
  const experimental = (seen: readonly Seen[]): readonly (readonly [string, string])[] =>
    seen
      .filter(({ rinfo }) => rinfo.protocol === EXPERIMENTAL)
      .map(({ data, rinfo }) => [rinfo.packetType, digest(data).sha256] as const);
  await until('both frames', () => experimental(both).length >= 2);
  await until('the frame from outside', () => experimental(incoming).length >= 1);
  assert.deepEqual(experimental(both), [
    ['outgoing', digest(out).sha256],
    ['host', digest(back).sha256],
  ]);
  assert.deepEqual(experimental(incoming), [['host', digest(back).sha256]]);
  await far.close();
});

export const packetTypes = scenario(async (near) => {
  const seen = watch(near.open({ protocol: EXPERIMENTAL }));
  const far = await near.far.open({});
  const { near: here, far: there } = near.wire;
  const destinations = [here.mac, 'ff:ff:ff:ff:ff:ff', '01:00:5e:00:00:01', '02:00:00:00:00:01'];
  await far.inject(
    destinations.map((destination, index) =>
      etherFrame({ source: there.mac, destination }, keyed(index, 50)),
    ),
  );
  // A veth delivers what is for others, too.
  await reached(seen, destinations.length);
  assert.deepEqual(
    seen.map(({ rinfo }) => rinfo.packetType),
    ['host', 'broadcast', 'multicast', 'otherhost'],
  );
  await far.close();
});

/** The device is told, and told again when the socket is closed. */
export const promiscuous = scenario(async (near) => {
  const { near: here } = near.wire;
  const before = linkState(here, here.device).promiscuity;
  const socket = near.open({ protocol: EXPERIMENTAL, promiscuous: true });
  assert.equal(linkState(here, here.device).promiscuity, before + 1);
  await closed(socket);
  assert.equal(linkState(here, here.device).promiscuity, before);
});

/** More than the socket's buffer holds while it is not read: lost frames are counted, none is wrong. */
export const drops = scenario(async (near) => {
  const socket = near.open({ protocol: EXPERIMENTAL, recvBufferSize: 4096 });
  const far = await near.far.open({});
  const sent = framesTo(near, 100);
  // One line of JSON; nothing is read until all of it has been injected.
  await far.inject(sent);
  const seen = watch(socket);
  await until('the first frame', () => seen.length > 0);
  // The count comes with the next frame that is not lost.
  const last = etherFrame(
    { source: near.wire.far.mac, destination: near.wire.near.mac },
    keyed(9999, 77),
  );
  await far.inject([last]);
  await until('the last frame', () => seen.at(-1)?.data.equals(last) === true);
  const { receiveDrops } = socket.zeroCopy.stats;
  assert.ok(receiveDrops > 0, 'nothing was dropped');
  assert.equal(receiveDrops + seen.length, sent.length + 1);
  assert.deepEqual(
    seen.slice(0, -1).map(({ data }) => digest(data)),
    sent.slice(0, seen.length - 1).map(digest),
  );
  await far.close();
});

export const iterated = scenario(async (near) => {
  const socket = near.open({ protocol: EXPERIMENTAL });
  const far = await near.far.open({});
  const sent = framesTo(near, 50);
  await far.inject(sent);
  const got: Digest[] = [];
  for await (const { data, rinfo } of socket) {
    assert.equal(rinfo.address, near.wire.far.mac);
    got.push(digest(data));
    if (got.length === 25) await far.inject(sent);
    if (got.length === 100) break;
  }
  assert.deepEqual(got, [...sent, ...sent].map(digest));
  // An iteration ends with its socket.
  const another = near.open({ protocol: EXPERIMENTAL });
  const iterator = another[Symbol.asyncIterator]();
  const next = iterator.next();
  await closed(another);
  assert.equal((await next).done, true);
  await far.close();
});

/** A frame that the far end left for a device to cut, which a veth never does. */
export const receivedOffload = scenario(async (near) => {
  const seen = watch(near.open({ protocol: 0x0800, virtioHeader: true }));
  const listener = createSocket('udp4');
  listener.bind(0, near.wire.near.address4);
  await once(listener, 'listening');
  const udp = await near.far.listen(4);
  const { port } = listener.address();
  await udp.say({ address: near.wire.near.address4, port }, [{ stream: 1, bytes: 500 }]);
  await reached(seen, 1);
  const [{ data, rinfo }] = seen as [Seen];
  assert.ok(data.subarray(42).equals(keyed(1, 500)), 'the virtio header is no part of the frame');
  // The checksum is left for the device, or finished already.
  if (rinfo.offload !== undefined && rinfo.offload.checksumStart > 0) {
    const { gso, checksumStart, checksumOffset } = rinfo.offload;
    assert.deepEqual([gso, checksumStart, checksumOffset], ['none', 34, 6]);
  }
  await new Promise<void>((resolve) => listener.close(resolve));
});
