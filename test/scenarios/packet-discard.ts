// Frames that were reserved and given back unsent: nothing of them is sent, and the ring goes on,
// wherever they lay.
import assert from 'node:assert/strict';
import type { ZeroCopyPacketSocket } from '../../lib/index';
import type { FarUdp } from './packet-far';
import type { Outbox } from '../helpers/packet-frames';
import {
  assertIdle,
  assertSent,
  failureOf,
  outcomeOf,
  reserveFor,
  ringOf,
  scenario,
} from './packet-scenario';
import { whileSlow } from '../helpers/packet-wire';
import { between, seededRandom } from '../../scripts/random';
import { until } from '../../scripts/until';

const FRAMES = 8;
const RING = ringOf(FRAMES);

interface Ring {
  readonly socket: ZeroCopyPacketSocket;
  readonly udp: FarUdp;
  readonly out: Outbox;
}

// Several times round: a place that is lost, or a frame that stalls the ring, is noticed.
async function assertGoesOn({ socket, udp, out }: Ring): Promise<void> {
  await until('every frame is free', () => socket.freeFrames === FRAMES);
  for (let turn = 0; turn < 3; turn++) {
    const views = Array.from({ length: FRAMES }, () => reserveFor(socket, out.frame(64)));
    await socket.commit(views);
  }
  assertIdle(socket);
  await udp.expect(out.taken());
}

/** @param params.discarded of five frames, by number; the others are committed at once */
export const places = scenario<{
  readonly discarded: readonly number[];
  readonly first: 'discard' | 'commit';
}>(async (near, { discarded, first }) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ring: RING });
  for (let round = 0; round < 5; round++) {
    const views = Array.from({ length: 5 }, (_, index) =>
      reserveFor(socket, discarded.includes(index) ? out.stray(600) : out.frame(600)),
    );
    const kept = views.filter((_, index) => !discarded.includes(index));
    const bytes = kept.reduce((sum, view) => sum + view.length, 0);
    const discard = (): void =>
      discarded.forEach((index) => socket.discard(views[index] as Buffer));
    if (first === 'discard') discard();
    const outcome = kept.length === 0 ? undefined : outcomeOf(socket.commit(kept));
    if (first === 'commit') discard();
    if (outcome !== undefined) assertSent(await outcome, bytes);
    await udp.expect(out.taken());
  }
  await assertGoesOn({ socket, udp, out });
});

/** Frames behind a reserved one wait for it; giving it back lets them go. */
export const releasesThoseBehind = scenario(async (near) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ring: RING });
  for (let round = 0; round < 2 * FRAMES; round++) {
    const first = reserveFor(socket, out.stray(600));
    const behind = [reserveFor(socket, out.frame(500)), reserveFor(socket, out.frame(501))];
    const outcomes = behind.map((view) => outcomeOf(socket.commit(view)));
    if (round === 0) await udp.expect([]);
    socket.discard(first);
    for (const outcome of outcomes) assert.ok('report' in (await outcome));
  }
  await udp.expect(out.taken());
  await assertGoesOn({ socket, udp, out });
});

/** Whole rings given back, so that no commit ever passes them. */
export const nothingElse = scenario(async (near) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ring: RING });
  for (let turn = 0; turn < 4; turn++) {
    const views = Array.from({ length: FRAMES }, () => reserveFor(socket, out.stray(99)));
    for (const view of turn % 2 === 0 ? views : views.toReversed()) socket.discard(view);
    await socket.ready();
    await until('every frame is free', () => socket.freeFrames === FRAMES);
  }
  await udp.expect([]);
  await assertGoesOn({ socket, udp, out });
});

/** Whatever the order of reserve, commit and discard, over a fast device or a slow one. */
export const random = scenario<{ readonly seed: number; readonly device: 'fast' | 'slow' }>(
  async (near, { seed, device }) => {
    const { udp, out } = await near.route(4);
    const socket = near.open({ ring: RING });
    const run = async (): Promise<void> => {
      const chance = seededRandom(seed);
      for (let round = 0; round < (device === 'fast' ? 6 : 2); round++) {
        await shuffle(socket, out, chance);
        await udp.expect(out.taken());
      }
    };
    if (device === 'slow') await whileSlow(near.wire, run);
    else await run();
    await assertGoesOn({ socket, udp, out });
  },
);

async function shuffle(
  socket: ZeroCopyPacketSocket,
  out: Outbox,
  chance: () => number,
): Promise<void> {
  const reserved: { view: Buffer; kept: boolean }[] = [];
  const all: Promise<unknown>[] = [];
  const decide = (): void => {
    const [one] = reserved.splice(between(chance, 0, reserved.length - 1), 1);
    if (one === undefined) return;
    if (!one.kept) return socket.discard(one.view);
    const { length } = one.view;
    all.push(outcomeOf(socket.commit(one.view)).then((sent) => assertSent(sent, length)));
  };
  for (let step = 0; step < 60; step++) {
    if (between(chance, 0, 1) === 0) {
      decide();
      continue;
    }
    while (socket.freeFrames === 0) {
      if (reserved.length === 0) await socket.ready();
      else decide();
    }
    const bytes = between(chance, 0, out.largestPayload);
    const kept = between(chance, 0, 2) > 0;
    reserved.push({ view: reserveFor(socket, kept ? out.frame(bytes) : out.stray(bytes)), kept });
  }
  while (reserved.length > 0) decide();
  await Promise.all(all);
}

/** What is no reserved frame of this socket is refused, and nothing is sent or lost. */
export const strangers = scenario(async (near) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ring: RING });
  const other = near.open({ ring: RING });
  const plain = near.open({});
  const mine = reserveFor(socket, out.frame(300));
  const theirs = reserveFor(other, out.stray(300));
  const foreign = out.stray(300);
  const wrong: readonly [string, () => unknown][] = [
    ['a frame of another socket', () => socket.commit(theirs)],
    ['giving back a frame of another socket', () => socket.discard(theirs)],
    ['a buffer of its own', () => socket.commit(foreign)],
    ['giving back a buffer of its own', () => socket.discard(foreign)],
    ['a stranger among frames', () => socket.commit([mine, theirs])],
    ['the same frame twice in one call', () => socket.commit([mine, mine])],
    ['no buffer', () => socket.commit('frame' as never)],
  ];
  for (const [what, body] of wrong) {
    assert.match((await failureOf(body, what)).code ?? '', /^ERR_/, what);
  }
  for (const body of [
    () => plain.reserve(100),
    () => plain.commit(foreign),
    () => plain.discard(foreign),
    () => plain.ready(),
  ]) {
    assert.equal((await failureOf(body, 'without a ring')).code, 'ERR_ZC_NO_RING');
  }
  await udp.expect([]);
  await socket.commit(mine);
  await udp.expect(out.taken());
  for (const [what, body] of [
    ['a second commit', () => socket.commit(mine)],
    ['giving back what was committed', () => socket.discard(mine)],
  ] as const) {
    assert.match((await failureOf(body, what)).code ?? '', /^ERR_/, what);
  }
  other.discard(theirs);
  assert.match((await failureOf(() => other.discard(theirs), 'discard twice')).code ?? '', /^ERR_/);
  const gone = 'commit after discard';
  assert.match((await failureOf(() => other.commit(theirs), gone)).code ?? '', /^ERR_/);
  await udp.expect([]);
  await assertGoesOn({ socket, udp, out });
  await assertGoesOn({ socket: other, udp, out });
});

/** A ring's memory cannot be transferred. */
export const transferred = scenario(async (near) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ring: RING });
  const view = reserveFor(socket, out.frame(300));
  const { buffer } = view;
  const channel = new MessageChannel();
  for (const take of [
    () => structuredClone(view, { transfer: [buffer as ArrayBuffer] }),
    () => channel.port1.postMessage(view, [buffer as ArrayBuffer]),
  ]) {
    try {
      take(); // Node 20 copies instead
    } catch (error) {
      assert.equal((error as Error).name, 'DataCloneError');
    }
  }
  channel.port1.close();
  assert.equal(view.length, out.headerBytes + 300);
  await socket.commit(view);
  await udp.expect(out.taken());
  await assertGoesOn({ socket, udp, out });
});

/** A frame under way is committed already. */
export const twiceInFlight = scenario(async (near) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ring: RING });
  await whileSlow(near.wire, async () => {
    const views = Array.from({ length: 4 }, () => reserveFor(socket, out.frame(1472)));
    const sent = socket.commit(views);
    for (const view of views) {
      await failureOf(() => socket.commit(view), 'a second commit');
      await failureOf(() => socket.discard(view), 'giving back what was committed');
    }
    await sent;
    await udp.expect(out.taken());
  });
  await assertGoesOn({ socket, udp, out });
});
