// Frames with a virtio_net_hdr: the kernel, or the device, cuts them into segments and finishes their
// checksums. The far end's sockets see ordinary datagrams, and verify every checksum.
import assert from 'node:assert/strict';
import { headers, type Offload, type ZeroCopyPacketSocket } from '../../lib/index';
import type { Outbox } from '../helpers/packet-frames';
import {
  assertIdle,
  assertSent,
  failureOf,
  outcomeOf,
  reserveFor,
  scenario,
} from './packet-scenario';
import { whileWithout, type Wire, type Family } from '../helpers/packet-wire';

/** Frames of up to 64 KiB and their headers, for GSO. */
const LARGE_RING = { frames: 4, frameSize: 128 * 1024 };

export interface OffloadParams {
  readonly family: Family;
  readonly by: 'ring' | 'send';
  /** What the device does: everything, or nothing, so that the kernel does it. */
  readonly device: 'able' | 'unable';
}

function open(by: OffloadParams['by']) {
  return { virtioHeader: true, ring: by === 'ring' ? LARGE_RING : false };
}

async function transmit(
  socket: ZeroCopyPacketSocket,
  by: OffloadParams['by'],
  frame: Buffer,
  offload: Offload | undefined,
): Promise<void> {
  const options = offload === undefined ? {} : { offload };
  if (by === 'send') {
    assertSent(await outcomeOf(socket.send(frame, options), frame), frame.length);
    return;
  }
  const view = reserveFor(socket, frame);
  assertSent(await outcomeOf(socket.commit(view, options)), frame.length);
}

function onDevice(wire: Wire, device: OffloadParams['device'], body: () => Promise<void>) {
  return device === 'able' ? body() : whileWithout(wire, ['gso', 'tx'], body);
}

/** As much as an IP packet holds, in segments of the MTU and one shorter one. */
export const superFrames = scenario<OffloadParams>(async (near, { family, by, device }) => {
  const { udp, out } = await near.route(family);
  const socket = near.open(open(by));
  await onDevice(near.wire, device, async () => {
    const segment = out.largestPayload;
    for (const bytes of [44 * segment, 43 * segment + 1, 2 * segment, segment + 1]) {
      for (let i = 0; i < 3; i++) {
        const frame = out.superFrame(bytes, segment);
        await transmit(socket, by, frame, headers.offload(frame, segment));
        await udp.expect(out.taken());
      }
    }
  });
  assertIdle(socket);
});

/** Several super-frames under way at once. */
export const superBatch = scenario<OffloadParams>(async (near, { family, by, device }) => {
  const { udp, out } = await near.route(family);
  const socket = near.open(open(by));
  const segment = out.largestPayload;
  await onDevice(near.wire, device, async () => {
    const frames = Array.from({ length: 4 }, () => out.superFrame(20 * segment, segment));
    const [first] = frames as [Buffer];
    const offload = headers.offload(first, segment);
    const bytes = frames.reduce((sum, frame) => sum + frame.length, 0);
    if (by === 'send') {
      const list = frames.map((data) => ({ data, offload }));
      assertSent(await outcomeOf(socket.sendMany(list), ...frames), bytes);
    } else {
      const views = frames.map((frame) => reserveFor(socket, frame));
      assertSent(await outcomeOf(socket.commit(views, { offload })), bytes);
    }
    await udp.expect(out.taken());
  });
  assertIdle(socket);
});

export const segmentSizes = scenario<OffloadParams>(async (near, { family, by, device }) => {
  const { udp, out } = await near.route(family);
  const socket = near.open(open(by));
  await onDevice(near.wire, device, async () => {
    for (const [segment, bytes] of [
      [1, 30],
      [2, 41],
      [100, 6400],
      [out.largestPayload, 1], // one segment that is shorter than that
      [out.largestPayload, out.largestPayload],
    ] as const) {
      const frame = out.superFrame(bytes, segment);
      await transmit(socket, by, frame, headers.offload(frame, segment));
      await udp.expect(out.taken());
    }
  });
});

/** Frames of ordinary size with an unfinished checksum; others without offloads between. */
export const checksums = scenario<OffloadParams>(async (near, { family, by, device }) => {
  const { udp, out } = await near.route(family);
  const socket = near.open(open(by));
  await onDevice(near.wire, device, async () => {
    for (const bytes of [0, 1, 2, 999, out.largestPayload]) {
      const partial = Buffer.concat(out.pieces(bytes, 'offload'));
      const offload = headers.offload(partial, 0);
      assert.deepEqual([offload.gso, offload.segmentSize], ['none', 0]);
      await transmit(socket, by, partial, offload);
      await transmit(socket, by, out.frame(bytes), undefined);
      const none = { gso: 'none', segmentSize: 0 } as const;
      const nothing = { ...none, headerLength: 0, checksumStart: 0, checksumOffset: 0 };
      await transmit(socket, by, out.frame(bytes), nothing);
    }
  });
  await udp.expect(out.taken());
});

function badOffloads(frame: Buffer, good: Offload): readonly [string, unknown][] {
  return [
    ['an unknown kind', { ...good, gso: 'sctp' }],
    ['no kind', { ...good, gso: undefined }],
    ['segments of nothing', { ...good, segmentSize: 0 }],
    ['segments of less than nothing', { ...good, segmentSize: -1 }],
    ['segments of half a byte', { ...good, segmentSize: 1.5 }],
    ['segments beyond 16 bits', { ...good, segmentSize: 65_536 }],
    ['headers beyond 16 bits', { ...good, headerLength: 65_536 }],
    ['a checksum behind the frame', { ...good, checksumStart: frame.length }],
    [
      'a checksum one byte too far',
      { ...good, checksumStart: frame.length - 1 - good.checksumOffset },
    ],
    ['a checksum beyond 16 bits', { ...good, checksumStart: 65_536 }],
    ['a negative offset', { ...good, checksumOffset: -2 }],
    ['no object', 'udp'],
  ];
}

/** Wrong descriptions are refused, here or by the kernel; nothing is sent, and the ring goes on. */
export const wrong = scenario<{ readonly by: OffloadParams['by'] }>(async (near, { by }) => {
  const { udp, out } = await near.route(4);
  const socket = near.open(open(by));
  const segment = out.largestPayload;
  const sample = out.superFrame(3 * segment, segment);
  const good = headers.offload(sample, segment);
  for (const [what, offload] of badOffloads(sample, good)) {
    const frame = out.superFrame(3 * segment, segment);
    out.taken();
    const view = by === 'ring' ? reserveFor(socket, frame) : frame;
    const options = { offload: offload as Offload };
    const body = (): unknown =>
      by === 'ring' ? socket.commit(view, options) : socket.send(frame, options);
    const { code } = await failureOf(body, what);
    assert.match(
      code ?? '',
      /^(ERR_INVALID_ARG|ERR_OUT_OF_RANGE|ERR_ZC_FRAME_REFUSED|EINVAL)/,
      what,
    );
    if (by === 'ring') discardIfReserved(socket, view);
    await udp.expect([]);
    await assertGood(socket, by, out, udp);
  }
});

// A commit that refuses its arguments leaves the frame with the caller.
function discardIfReserved(socket: ZeroCopyPacketSocket, view: Buffer): void {
  try {
    socket.discard(view);
  } catch {
    // the kernel refused it, after it was committed
  }
}

async function assertGood(
  socket: ZeroCopyPacketSocket,
  by: OffloadParams['by'],
  out: Outbox,
  udp: { expect(list: Outbox['expected']): Promise<void> },
): Promise<void> {
  for (let i = 0; i < 5; i++) {
    const frame = out.superFrame(3000, 1000);
    await transmit(socket, by, frame, headers.offload(frame, 1000));
  }
  await udp.expect(out.taken());
}

/** Without the option an offload, or a frame that needs one, is refused. */
export const notAsked = scenario(async (near) => {
  const { udp, out } = await near.route(4);
  for (const ring of [false, LARGE_RING]) {
    const socket = near.open({ ring });
    const frame = out.superFrame(100, 10);
    out.taken();
    const offload = headers.offload(frame, 10);
    const { code } = await failureOf(() => socket.send(frame, { offload }), 'offload');
    assert.match(code ?? '', /^ERR_/);
    await failureOf(() => socket.send(out.stray(10_000), {}), 'a long frame');
  }
  await udp.expect([]);
});

/** A frame larger than the ring's frames, or than any IP packet. */
export const tooLong = scenario<{ readonly by: OffloadParams['by'] }>(async (near, { by }) => {
  const { udp, out } = await near.route(4);
  const socket = near.open(open(by));
  const frame = out.superFrame(60_000, 1000);
  const offload = headers.offload(frame, 1000);
  const longer = Buffer.concat([frame, Buffer.alloc(128 * 1024)]);
  out.taken();
  await failureOf(() => transmit(socket, by, longer, offload), 'a frame of 188 KB');
  await udp.expect([]);
  await assertGood(socket, by, out, udp);
});

const TCP = 6;
const ETHERTYPE = { 4: 0x0800, 6: 0x86dd } as const;

function tcpFrame(wire: Wire, family: Family, payload: Buffer): Buffer {
  const ends = {
    source: family === 4 ? wire.near.address4 : wire.near.address6,
    destination: family === 4 ? wire.far.address4 : wire.far.address6,
  };
  const tcp = Buffer.alloc(20);
  tcp.writeUInt16BE(40_001, 0);
  tcp.writeUInt16BE(9, 2);
  tcp.writeUInt32BE(1, 4); // sequence number of the first byte
  tcp.writeUInt8(5 << 4, 12);
  tcp.writeUInt8(0x10, 13); // ACK
  const protocol = { ...ends, protocol: TCP, payloadLength: tcp.length + payload.length };
  const network = family === 4 ? headers.ipv4(protocol) : headers.ipv6(protocol);
  // Of the pseudo header, for the device to go on with.
  const addresses = family === 4 ? network.subarray(12, 20) : network.subarray(8, 40);
  const length = Buffer.from([0, TCP, protocol.payloadLength >> 8, protocol.payloadLength & 0xff]);
  tcp.writeUInt16BE(~headers.internetChecksum(addresses, length) & 0xffff, 16);
  const link = { source: wire.near.mac, destination: wire.far.mac, protocol: ETHERTYPE[family] };
  return Buffer.concat([headers.ethernet(link), network, tcp, payload]);
}

/** TCP segments, seen by a packet socket: each with its place in the stream and a right checksum. */
export const tcpSegments = scenario<OffloadParams>(async (near, { family, by }) => {
  const { out } = await near.route(family);
  const far = await near.far.open({ protocol: ETHERTYPE[family] });
  const socket = near.open(open(by));
  const payload = out.payload(20_000);
  const frame = tcpFrame(near.wire, family, payload);
  const segment = 1400;
  const networkBytes = family === 4 ? 20 : 40;
  await whileWithout(near.wire, ['gso', 'tx'], async () => {
    await transmit(socket, by, frame, headers.offload(frame, segment));
    const count = Math.ceil(payload.length / segment);
    const packets: Buffer[] = [];
    while (packets.length < count) {
      const caught = await far.catch(count - packets.length);
      const all = caught.map(({ data }) => Buffer.from(data, 'base64').subarray(14));
      // The device's own comes between: reports of the multicast groups that it is in.
      packets.push(...all.filter((bytes) => bytes[family === 4 ? 9 : 6] === TCP));
    }
    for (const [index, bytes] of packets.entries()) {
      const tcp = bytes.subarray(networkBytes);
      assert.equal(tcp.readUInt32BE(4), 1 + index * segment);
      const expected = payload.subarray(index * segment, (index + 1) * segment);
      assert.ok(tcp.subarray(20).equals(expected), `segment ${index}`);
      const addresses = family === 4 ? bytes.subarray(12, 20) : bytes.subarray(8, 40);
      const length = Buffer.from([0, TCP, tcp.length >> 8, tcp.length & 0xff]);
      assert.equal(headers.internetChecksum(addresses, length, tcp), 0, `checksum ${index}`);
    }
  });
  await far.close();
});
