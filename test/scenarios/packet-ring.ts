// Frames of a transmit ring: sent from where they were written, used again only when the kernel gave
// them back, whatever order a program commits them in.
import assert from 'node:assert/strict';
import type { ZeroCopyPacketSocket } from '../../lib/index';
import { OVERWRITTEN } from '../../scripts/pattern';
import type { LinkType } from '../helpers/packet-frames';
import {
  assertCode,
  assertIdle,
  assertSent,
  closed,
  failureOf,
  outcomeOf,
  reserveFor,
  ringOf,
  scenario,
} from './packet-scenario';
import { SLOW_FRAME_MS, whileSlow, type Family } from '../helpers/packet-wire';
import { between, seededRandom } from '../../scripts/random';
import { until } from '../../scripts/until';

export interface RingParams {
  readonly family: Family;
  readonly type?: LinkType;
  readonly qdiscBypass?: boolean;
}

const FRAMES = 8;
const SMALL = ringOf(FRAMES);

export const single = scenario<RingParams>(async (near, { family, ...options }) => {
  const { udp, out } = await near.route(family, options.type);
  const socket = near.open({ ...options, ring: SMALL });
  assert.equal(socket.zeroCopy.engine, 'tx_ring');
  assert.equal(socket.freeFrames, FRAMES);
  const random = seededRandom(3);
  for (let i = 0; i < 5 * FRAMES; i++) {
    const view = reserveFor(socket, out.frame(between(random, 1, out.largestPayload)));
    const { length } = view;
    assertSent(await outcomeOf(socket.commit(view, out.options)), length);
  }
  assert.equal(socket.freeFrames, FRAMES);
  assertIdle(socket);
  await udp.expect(out.taken());
});

export const batches = scenario<RingParams>(async (near, { family, ...options }) => {
  const { udp, out } = await near.route(family, options.type);
  const socket = near.open({ ...options, ring: SMALL });
  const random = seededRandom(4);
  // Five of eight at a time: the ring's end falls at every place of a batch.
  for (let round = 0; round < 8; round++) {
    const views = Array.from({ length: 5 }, () =>
      reserveFor(socket, out.frame(between(random, 0, out.largestPayload))),
    );
    assert.equal(socket.freeFrames, FRAMES - 5);
    const bytes = views.reduce((sum, view) => sum + view.length, 0);
    assertSent(await outcomeOf(socket.commit(views, out.options)), bytes);
  }
  assert.equal(socket.freeFrames, FRAMES);
  await udp.expect(out.taken());
});

/** The frames of one turn of the ring, each committed without waiting for the others. */
export const together = scenario<RingParams>(async (near, { family }) => {
  const { udp, out } = await near.route(family);
  const socket = near.open({ ring: SMALL });
  for (let turn = 0; turn < 4; turn++) {
    const views = Array.from({ length: FRAMES }, () => reserveFor(socket, out.frame(700)));
    const all = views.map((view) => outcomeOf(socket.commit(view)));
    for (const outcome of await Promise.all(all)) assertSent(outcome, 742);
  }
  await udp.expect(out.taken());
});

/**
 * A slow device keeps a frame's memory long after the send. What the ring has room for is written
 * at once, and everything arrives as it was written. @param frames of the ring
 */
export const slowDevice = scenario<{ readonly frames: number; readonly sendBuffer?: number }>(
  async (near, { frames, sendBuffer }) => {
    const { udp, out } = await near.route(4);
    const socket = near.open({
      ring: ringOf(frames),
      ...(sendBuffer === undefined ? {} : { sendBufferSize: sendBuffer }),
    });
    await whileSlow(near.wire, async () => {
      const all: Promise<void>[] = [];
      let full = 0;
      while (out.expected.length < 40) {
        if (socket.freeFrames === 0) {
          full++;
          await socket.ready();
          assert.ok(socket.freeFrames > 0, 'ready, and no frame is free');
        }
        const view = reserveFor(socket, out.frame(out.largestPayload));
        const { length } = view;
        const outcome = outcomeOf(socket.commit(view));
        all.push(outcome.then((one) => assertSent(one, length)));
      }
      // The device takes a burst of one frame at once; those behind it wait for their turn.
      assert.ok(full > 0, 'the ring was never full: the kernel gave frames back too early');
      await Promise.all(all);
      await udp.expect(out.taken());
    });
    assertIdle(socket);
  },
);

/** As slowDevice, on a device that lets frames go without a copy: the memory itself is queued. */
export const slowSink = scenario(async (near) => {
  const socket = near.open({ interface: near.wire.sink, ring: SMALL });
  const { out } = await near.route(4);
  await whileSlow(
    near.wire,
    async () => {
      const started = performance.now();
      const views = Array.from({ length: FRAMES }, () => reserveFor(socket, out.frame(1472)));
      const settled: number[] = [];
      await Promise.all(
        views.map((view, index) => socket.commit(view).then(() => settled.push(index))),
      );
      assert.deepEqual(settled, [...settled.keys()]);
      // Eight frames of 3 ms, the first of them at once; half of that leaves room for rounding.
      const passed = performance.now() - started;
      assert.ok(passed > (FRAMES - 1) * 1.5, `all was released after ${passed} ms`);
    },
    { device: near.wire.sink },
  );
  assertIdle(socket);
});

/** Two sends from one place: the first must not become the second. */
export const overwrite = scenario<{ readonly device: 'fast' | 'slow' }>(async (near, params) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ring: ringOf(1) });
  const round = async (): Promise<void> => {
    const frames = socket.freeFrames; // the smallest ring that there is
    const places = new Map<number, number>();
    for (let i = 0; i < 6 * frames; i++) {
      await socket.ready();
      const view = reserveFor(socket, out.frame(958));
      places.set(view.byteOffset, (places.get(view.byteOffset) ?? 0) + 1);
      void socket.commit(view);
    }
    await socket.zeroCopy.flush();
    assert.deepEqual([...places.values()], new Array(frames).fill(6));
    await udp.expect(out.taken());
  };
  if (params.device === 'slow') await whileSlow(near.wire, round);
  else await round();
});

/** Later frames wait for earlier ones, whatever is committed first. */
export const outOfOrder = scenario(async (near) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ring: SMALL });
  for (let round = 0; round < 5; round++) {
    const [a, b, c, d] = [400, 500, 600, 700].map((bytes) =>
      reserveFor(socket, out.frame(bytes)),
    ) as [Buffer, Buffer, Buffer, Buffer];
    const settled: string[] = [];
    const commit = (name: string, frames: Buffer | Buffer[]): Promise<void> =>
      socket.commit(frames).then(() => void settled.push(name));
    const late = [commit('d', d), commit('c', c)];
    await udp.expect([]);
    assert.deepEqual(settled, []);
    const first = commit('a', a);
    await first;
    await udp.expect(out.expected.splice(0, 1));
    assert.deepEqual(settled, ['a']);
    await Promise.all([commit('b', b), ...late]);
    await udp.expect(out.taken());
  }
  // In one call, in any order: they go out as they were reserved.
  const views = [1, 2, 3].map((bytes) => reserveFor(socket, out.frame(bytes)));
  const bytes = views.reduce((sum, view) => sum + view.length, 0);
  assertSent(await outcomeOf(socket.commit(views.toReversed())), bytes);
  await udp.expect(out.taken());
  assertIdle(socket);
});

export const full = scenario(async (near) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ring: SMALL });
  await socket.ready();
  const views: Buffer[] = [];
  for (let free = FRAMES; free > 0; free--) {
    assert.equal(socket.freeFrames, free);
    views.push(reserveFor(socket, out.frame(300)));
  }
  assert.equal(socket.freeFrames, 0);
  await assertCode(() => socket.reserve(300), 'ERR_ZC_RING_FULL');
  let ready = 0;
  const waiting = [socket.ready(), socket.ready()].map((one) => one.then(() => ready++));
  await udp.expect([]);
  assert.equal(ready, 0);
  const done = socket.commit(views[0] as Buffer);
  await Promise.all(waiting);
  assert.ok(socket.freeFrames > 0, 'ready, and no frame is free');
  await done;
  await socket.commit(views.slice(1));
  assert.equal(socket.freeFrames, FRAMES);
  await udp.expect(out.taken());
  // A frame that is given back unsent makes room as well.
  const again = Array.from({ length: FRAMES }, () => socket.reserve(300));
  const room = socket.ready();
  again.forEach((view) => socket.discard(view));
  await room;
  await until('all frames are free', () => socket.freeFrames === FRAMES);
});

/** Who waits for a frame is told that there will be none. */
export const readyAtClose = scenario(async (near) => {
  const socket = near.open({ ring: SMALL });
  while (socket.freeFrames > 0) socket.reserve(100);
  const waiting = failureOf(() => socket.ready(), 'ready()');
  await closed(socket);
  assert.ok((await waiting).code, 'an error without a code');
  await failureOf(() => socket.ready(), 'ready() after close');
});

/** send() needs a frame of the ring for a while, and waits for one like everybody. */
export const sendBeyondRing = scenario(async (near) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ring: SMALL });
  const all = Array.from({ length: 5 * FRAMES }, (_, index) => {
    const frame = out.frame(100 + index);
    return outcomeOf(socket.send(frame, {}), frame).then((one) => assertSent(one, frame.length));
  });
  await Promise.all(all);
  await udp.expect(out.taken());
  const frames = Array.from({ length: 5 * FRAMES }, (_, index) => out.frame(900 + index));
  const bytes = frames.reduce((sum, frame) => sum + frame.length, 0);
  assertSent(await outcomeOf(socket.sendMany(frames), ...frames), bytes);
  await udp.expect(out.taken());
  assertIdle(socket);
});

/** A reserved frame holds a place before a send(); the send arrives when that place is decided. */
export const sendBehindReserved = scenario<{ readonly then: 'commit' | 'discard' }>(
  async (near, params) => {
    const { udp, out } = await near.route(4);
    const socket = near.open({ ring: SMALL });
    for (let round = 0; round < 2 * FRAMES; round++) {
      const frame = params.then === 'commit' ? out.frame(200) : out.stray(200);
      const view = reserveFor(socket, frame);
      const sent = out.frame(300);
      const outcome = outcomeOf(socket.send(sent, {}), sent);
      if (params.then === 'commit') await socket.commit(view);
      else socket.discard(view);
      assertSent(await outcome, sent.length);
    }
    const order = (one: { sha256: string }, other: { sha256: string }): number =>
      one.sha256 < other.sha256 ? -1 : 1;
    assert.deepEqual([...(await udp.take())].sort(order), out.taken().sort(order));
  },
);

/** A send() that waits for a frame goes before what is reserved later, also when the kernel gives frames back meanwhile. */
export const reserveBehindSend = scenario(async (near) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ring: SMALL });
  await whileSlow(near.wire, async () => {
    const all: Promise<void>[] = [];
    const send = (): void => {
      const frame = out.frame(out.largestPayload);
      all.push(
        outcomeOf(socket.send(frame, {}), frame).then((one) => assertSent(one, frame.length)),
      );
    };
    for (let round = 0; round < 5; round++) {
      while (socket.freeFrames > 0) send();
      for (let i = 0; i < 3; i++) send();
      // Without a turn of the event loop, in which the ring would take what waits.
      const until = performance.now() + 4 * SLOW_FRAME_MS;
      while (performance.now() < until);
      if (socket.freeFrames === 0) await socket.ready();
      const view = reserveFor(socket, out.frame(100 + round));
      const { length } = view;
      all.push(outcomeOf(socket.commit(view)).then((one) => assertSent(one, length)));
    }
    await Promise.all(all);
  });
  await udp.expect(out.taken());
  assertIdle(socket);
});

/** Without `ring`'s numbers: 256 frames that hold what the device sends. */
export const defaults = scenario(async (near) => {
  const { udp, out } = await near.route(6);
  const socket = near.open({ ring: true });
  assert.equal(socket.freeFrames, 256);
  const view = reserveFor(socket, out.frame(out.largestPayload));
  await socket.commit(view);
  await udp.expect(out.taken());
  const plain: ZeroCopyPacketSocket = near.open({});
  assert.deepEqual([plain.freeFrames, plain.zeroCopy.engine], [0, 'copy']);
  await assertCode(
    () => near.open({ ring: true }).send(Buffer.alloc(0), {}),
    ['ERR_OUT_OF_RANGE', 'EMSGSIZE', 'EINVAL', 'ERR_ZC_FRAME_REFUSED', 'ERR_INVALID_ARG_VALUE'],
  );
  const unused = near.open({ ring: SMALL });
  await assertCode(() => unused.commit(undefined as never), 'ERR_INVALID_ARG_TYPE');
});

/** Memory of a reserved frame is what is sent, down to the last write before commit. */
export const writtenLate = scenario(async (near) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ring: SMALL });
  const view = socket.reserve(out.headerBytes + 500);
  view.fill(OVERWRITTEN);
  await new Promise(setImmediate);
  out.frame(500).copy(view);
  await socket.commit(view);
  await udp.expect(out.taken());
});
