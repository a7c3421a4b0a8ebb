// Packets with unusual headers: what a raw socket's ring makes of them is what the raw socket makes of them.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRawSocket, headers, type SendReport } from '../../lib/index';
import { LINK_HEADER } from '../helpers/packet-wire';
import { ringOf } from './packet-scenario';
import { FRAMES, type FamilyParams, type Sending, produce, sending } from './raw-ring-kit';

const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
const DONT_FRAGMENT = 0x4000;
const MORE_FRAGMENTS = 0x2000;
const NO_OPERATION = 1;
const DESTINATION_OPTIONS = 60;
const FRAGMENT = 44;
const UDP = 17;

/** A second socket with a ring for the same destination. */
async function besides(all: Sending, body: (other: Sending) => Promise<void>): Promise<void> {
  const { family } = all;
  const ring = ringOf(FRAMES);
  const socket = createRawSocket({ family, protocol: 'raw', headerIncluded: true, ring });
  await body({ ...all, socket });
  assert.equal(socket.freeFrames, FRAMES);
  const closed = once(socket, 'close');
  socket.close();
  await closed;
}

/** `packet` with `words` of options that do nothing, and bits beside the fragment's offset. */
function withOptions(packet: Buffer, words: number, bits: number): Buffer {
  const options = Buffer.alloc(4 * words, NO_OPERATION);
  const [header, rest] = [packet.subarray(0, IPV4_HEADER), packet.subarray(IPV4_HEADER)];
  const made = Buffer.concat([header, options, rest]);
  made.writeUInt8(0x45 + words, 0);
  made.writeUInt16BE(bits, 6);
  return made;
}

/** Length and checksum of an IPv4 header, as on the wire. */
function completed(packet: Buffer): Buffer {
  const made = Buffer.from(packet);
  const header = made.subarray(0, 4 * (made.readUInt8(0) & 0x0f));
  header.writeUInt16BE(made.length, 2);
  header.writeUInt16BE(0, 10);
  header.writeUInt16BE(headers.internetChecksum(header), 10);
  return made;
}

/** What arrives of a protocol, without link headers, up to the packet that holds `mark`. */
async function whileCatching(
  all: Sending,
  mark: string,
  protocol: number,
  body: () => Promise<void>,
): Promise<Buffer[]> {
  const { family, near } = all;
  const caught = await near.far.open({ protocol: family === 4 ? 0x0800 : 0x86dd });
  await body();
  const packets = (await caught.catch(mark)).map(({ data }) =>
    Buffer.from(data, 'base64').subarray(LINK_HEADER),
  );
  await caught.close();
  return packets.filter((packet) => packet[family === 4 ? 9 : 6] === protocol);
}

async function commitAll(all: Sending, packets: readonly Buffer[]): Promise<void> {
  const { socket, address } = all;
  const commits: Promise<SendReport>[] = [];
  for (const packet of packets) {
    await socket.ready();
    commits.push(socket.commit(produce(socket, packet), { address }));
  }
  for (const { engine } of await Promise.all(commits)) assert.equal(engine, 'tx_ring');
}

/** IPv4 options and DF, by two sockets on one device at once. */
export const optionsOfTwo = sending<FamilyParams>(async (all) => {
  const { out, udp } = all;
  const mark = 'the end of options';
  const packets: Buffer[] = [];
  for (let i = 0; i < 60; i++) {
    const words = i % 11;
    const bytes = Math.min(out.largestPayload - 4 * words, 40 + 31 * i);
    packets.push(withOptions(out.frame(bytes), words, i % 2 === 0 ? DONT_FRAGMENT : 0));
    if (i % 2 === 1) packets[i]?.writeUInt16BE(1 + i, 4);
  }
  const last = withOptions(out.stray(100), 2, DONT_FRAGMENT);
  last.write(mark, last.length - 30);
  const arrived = await whileCatching(all, mark, UDP, () =>
    besides(all, async (other) => {
      const half = packets.length / 2;
      await Promise.all([
        commitAll(all, packets.slice(0, half)),
        commitAll(other, packets.slice(half)),
      ]);
      await commitAll(other, [last]);
    }),
  );
  const inOrder = (list: readonly Buffer[]): string[] =>
    list.map((packet) => packet.toString('hex')).sort();
  assert.deepEqual(inOrder(arrived), inOrder([...packets, last].map(completed)));
  const order = (a: { sha256: string }, b: { sha256: string }): number =>
    a.sha256 < b.sha256 ? -1 : 1;
  // The datagram with the mark has a wrong checksum.
  assert.deepEqual([...(await udp.take())].sort(order), out.taken().sort(order));
});

/** The two fragments of an IPv4 datagram, from the ring and from the raw socket: the far end joins both. */
export const givenFragments = sending<FamilyParams>(async (all) => {
  const { socket, out, udp, address } = all;
  const mark = 'the end of fragments';
  const fragments: Buffer[] = [];
  for (let i = 0; i < 4; i++) {
    const datagram = out.frame(1000 + i);
    const [header, rest] = [datagram.subarray(0, IPV4_HEADER), datagram.subarray(IPV4_HEADER)];
    const first = Buffer.concat([header, rest.subarray(0, 512)]);
    const second = Buffer.concat([header, rest.subarray(512)]);
    for (const piece of [first, second]) piece.writeUInt16BE(0x700 + i, 4);
    first.writeUInt16BE(MORE_FRAGMENTS, 6);
    second.writeUInt16BE(512 / 8, 6);
    fragments.push(first, second);
  }
  const last = out.stray(100);
  last.write(mark, last.length - 30);
  const arrived = await whileCatching(all, mark, UDP, async () => {
    await commitAll(all, fragments.slice(0, 4));
    for (const piece of fragments.slice(4)) await socket.send(piece, { address });
    await socket.send(last, { address });
  });
  const hex = (packet: Buffer): string => packet.toString('hex');
  assert.deepEqual(arrived.slice(0, -1).map(hex), fragments.map(completed).map(hex));
  await udp.expect(out.taken());
});

/** `packet` with an extension header of 8 bytes and what it carries from `from` to `end`. */
function extended(packet: Buffer, kind: number, extension: Buffer, from = 0, end?: number): Buffer {
  const header = Buffer.from(packet.subarray(0, IPV6_HEADER));
  const carried = packet.subarray(IPV6_HEADER).subarray(from, end);
  header.writeUInt8(kind, 6);
  header.writeUInt16BE(extension.length + carried.length, 4);
  return Buffer.concat([header, extension, carried]);
}

/** IPv6 with destination options, and fragments: the far end joins them. */
export const extensionHeaders = sending<FamilyParams>(async (all) => {
  const { socket, out, udp, address } = all;
  // PadN of 4 bytes.
  const options = Buffer.from([UDP, 0, 1, 4, 0, 0, 0, 0]);
  const packets: Buffer[] = [];
  for (let i = 0; i < 6; i++) {
    packets.push(extended(out.frame(100 * i), DESTINATION_OPTIONS, options));
    const whole = out.frame(1000 + i);
    const first = Buffer.from([UDP, 0, 0, 1, 0, 0, 7, i]);
    const second = Buffer.from([UDP, 0, 512 >>> 8, 512 & 0xff, 0, 0, 7, i]);
    packets.push(extended(whole, FRAGMENT, first, 0, 512));
    packets.push(extended(whole, FRAGMENT, second, 512));
  }
  await commitAll(all, packets);
  await udp.expect(out.taken());
  // The same from the raw socket.
  const packet = extended(out.frame(300), DESTINATION_OPTIONS, options);
  await socket.send(packet, { address });
  await udp.expect(out.taken());
});
