// What every engine of packet sockets does alike: frames arrive as they were, in their order, and
// whatever was sent is the sender's again when it is told so. Memory is overwritten in that moment.
import assert from 'node:assert/strict';
import type { PacketFrame, ZeroCopyPacketSocket } from '../../lib/index';
import { OVERWRITTEN } from '../../scripts/pattern';
import type { FarUdp } from './packet-far';
import type { LinkType, Outbox } from '../helpers/packet-frames';
import {
  assertIdle,
  assertSent,
  outcomeOf,
  type Near,
  reserveFor,
  type Ring,
  scenario,
} from './packet-scenario';
import { between, seededRandom } from '../../scripts/random';
import { whileLossy, whileSlow, type Family } from '../helpers/packet-wire';

export interface Variant {
  readonly family: Family;
  readonly type?: LinkType;
  readonly ring?: Ring;
  readonly virtioHeader?: boolean;
  readonly qdiscBypass?: boolean;
}

interface Sending {
  readonly socket: ZeroCopyPacketSocket;
  readonly udp: FarUdp;
  readonly out: Outbox;
}

type Send = (sending: Sending, near: Near) => Promise<void>;

/** Payloads; an Ethernet frame has at least 60 bytes, but a veth does not pad. */
const SIZES = [0, 1, 2, 17, 18, 19, 100, 1023, 1024, 1025, 1471];
/** Frames that the far end's socket holds, however late it reads. */
const ROUND = 40;

function sendScenario(body: Send) {
  return scenario<Variant>(async (near, { family, type = 'raw', ...options }) => {
    const { udp, out } = await near.route(family, type);
    const socket = near.open({ type, ...options });
    assert.equal(socket.zeroCopy.engine, options.ring === undefined ? 'copy' : 'tx_ring');
    await body({ socket, udp, out }, near);
    assertIdle(socket);
  });
}

function payloads({ out }: Sending): number[] {
  return [...SIZES, out.largestPayload].filter((bytes) => bytes <= out.largestPayload);
}

/** For type 'raw': callbacks are told nothing about where a frame goes. */
export const callbacks = sendScenario(async (sending) => {
  const { socket, udp, out } = sending;
  const told: number[] = [];
  const all = payloads(sending).map((bytes, index) => {
    const frame = out.frame(bytes);
    return new Promise<void>((resolve, reject) => {
      socket.send(frame, (error, sent) => {
        frame.fill(OVERWRITTEN);
        if (error !== null) return reject(error);
        if (sent !== frame.length) return reject(new Error(`${sent} of ${frame.length} bytes`));
        told.push(index);
        resolve();
      });
    });
  });
  assert.deepEqual(told, [], 'a callback ran before send() returned');
  await Promise.all(all);
  assert.deepEqual(told, [...told.keys()]);
  await udp.expect(out.taken());
});

export const promises = sendScenario(async (sending) => {
  const { socket, udp, out } = sending;
  for (const bytes of payloads(sending)) {
    const frame = out.frame(bytes);
    assertSent(await outcomeOf(socket.send(frame, out.options), frame), frame.length);
  }
  // And without waiting in between.
  const outcomes = payloads(sending).map((bytes) => {
    const frame = out.frame(bytes);
    return outcomeOf(socket.send(frame, out.options), frame).then((outcome) =>
      assertSent(outcome, frame.length),
    );
  });
  await Promise.all(outcomes);
  await udp.expect(out.taken());
});

export const gathered = sendScenario(async (sending) => {
  const { socket, udp, out } = sending;
  for (const bytes of payloads(sending)) {
    const pieces = out.pieces(bytes);
    // Pieces that end anywhere, empty ones among them.
    const last = pieces.pop() as Buffer;
    pieces.push(last.subarray(0, bytes >> 1), Buffer.alloc(0), last.subarray(bytes >> 1));
    assertSent(
      await outcomeOf(socket.send(pieces, out.options), ...pieces),
      out.headerBytes + bytes,
    );
  }
  await udp.expect(out.taken());
});

export const many = sendScenario(async ({ socket, udp, out }) => {
  const random = seededRandom(8);
  for (let round = 0; round < 4; round++) {
    const memory: Buffer[] = [];
    let bytes = 0;
    const frames = Array.from({ length: ROUND }, (_, index): Buffer | PacketFrame => {
      const pieces = out.pieces(between(random, 0, out.largestPayload));
      const whole = Buffer.concat(pieces);
      bytes += whole.length;
      memory.push(...(index % 3 === 0 ? [whole] : pieces));
      if (index % 3 === 0) return { data: whole, ...out.options };
      return { data: pieces, ...out.options };
    });
    assertSent(await outcomeOf(socket.sendMany(frames), ...memory), bytes);
    await udp.expect(out.taken());
  }
  const plain = [out.frame(1), out.frame(100), out.frame(1000)];
  const sum = plain.reduce((all, frame) => all + frame.length, 0);
  assertSent(await outcomeOf(socket.sendMany(plain, out.options), ...plain), sum);
  await udp.expect(out.taken());
  assertSent(await outcomeOf(socket.sendMany([])), 0);
});

/** Frames of random lengths, sent in every way there is, with others under way. */
export const randomSizes = sendScenario(async ({ socket, udp, out }) => {
  const random = seededRandom(20_261_124);
  for (let round = 0; round < 5; round++) {
    const all: Promise<void>[] = [];
    while (out.expected.length < ROUND) {
      const pieces = out.pieces(between(random, 0, out.largestPayload));
      const frame = Buffer.concat(pieces);
      const way = between(random, 0, 3);
      const sent =
        way === 0
          ? outcomeOf(socket.send(frame, out.options), frame)
          : way === 1
            ? outcomeOf(socket.send(pieces, out.options), ...pieces)
            : way === 2
              ? outcomeOf(socket.sendMany([frame], out.options), frame)
              : undefined;
      if (sent === undefined && socket.freeFrames > 0) {
        const view = reserveFor(socket, frame);
        all.push(outcomeOf(socket.commit(view, out.options)).then(() => undefined));
        continue;
      }
      const waiting = sent ?? outcomeOf(socket.send(frame, out.options), frame);
      all.push(waiting.then((outcome) => assertSent(outcome, frame.length)));
      if (between(random, 0, 4) === 0) await all.at(-1);
    }
    await Promise.all(all);
    await udp.expect(out.taken());
  }
});

/** The kernel keeps every frame until the device has sent it, and only then is it released. */
export const slowDevice = sendScenario(async ({ socket, udp, out }, { wire }) => {
  await whileSlow(wire, async () => {
    const all = Array.from({ length: ROUND }, () => {
      const frame = out.frame(out.largestPayload);
      return outcomeOf(socket.send(frame, out.options), frame).then((outcome) =>
        assertSent(outcome, frame.length),
      );
    });
    await Promise.all(all);
    await socket.zeroCopy.flush();
    assertIdle(socket);
    await udp.expect(out.taken());
  });
});

/** The statistics say who sent the bytes. */
export const counted = sendScenario(async ({ socket, udp, out }) => {
  const frames = Array.from({ length: 10 }, () => out.frame(1000));
  const bytes = frames.reduce((sum, frame) => sum + frame.length, 0);
  const reports = await Promise.all(frames.map((frame) => socket.send(frame, out.options)));
  for (const { bytes: all, zeroCopyBytes, copiedBytes, ...others } of reports) {
    assert.equal(all, zeroCopyBytes + copiedBytes + others.kernelCopiedBytes + others.unknownBytes);
    // Also into a ring: send() copies.
    assert.equal(copiedBytes, all);
  }
  assert.equal(socket.zeroCopy.stats.copiedBytes, bytes);
  await udp.expect(out.taken());
});

/** Frames lost on the way: those that arrive are right, and everybody is told all the same. */
export const lossy = sendScenario(async ({ socket, udp, out }, { wire }) => {
  const random = seededRandom(300);
  let arrived = 0;
  let sent = 0;
  for (let round = 0; round < 4; round++) {
    await whileLossy(wire, 300, async () => {
      const all = Array.from({ length: ROUND }, () => {
        const frame = out.frame(between(random, 64, out.largestPayload));
        return outcomeOf(socket.send(frame, out.options), frame).then((outcome) =>
          assertSent(outcome, frame.length),
        );
      });
      await Promise.all(all);
    });
    const made = out.taken();
    const digests = await udp.take();
    // In their order, with gaps.
    let at = 0;
    for (const { sha256 } of digests) {
      at = made.findIndex((one, index) => index >= at && one.sha256 === sha256) + 1;
      assert.ok(at > 0, 'a stray frame');
    }
    arrived += digests.length;
    sent += made.length;
  }
  assert.ok(arrived > 0 && arrived < sent, `${arrived} of ${sent} arrived`);
});
