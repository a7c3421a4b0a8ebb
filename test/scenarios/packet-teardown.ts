// The end of sockets with frames under way: everything settles, what the kernel took arrives unharmed,
// and memory and descriptors are given back.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { createPacketSocket, type ZeroCopyPacketSocket } from '../../lib/index';
import { OVERWRITTEN } from '../../scripts/pattern';
import type { FarUdp } from './packet-far';
import { Outbox, type Digest } from '../helpers/packet-frames';
import {
  closed,
  failureOf,
  outcomeOf,
  reserveFor,
  ringOf,
  ringMappings,
  scenario,
  theFar,
  theWire,
} from './packet-scenario';
import { whileSlow, type Wire } from '../helpers/packet-wire';

const FRAMES = 16;
const RING = ringOf(FRAMES);
const PAYLOAD = 1400;

function assertUnharmed(arrived: readonly Digest[], made: readonly Digest[]): void {
  const known = made.map(({ sha256 }) => sha256);
  for (const { sha256 } of arrived) assert.ok(known.includes(sha256), 'a frame arrived harmed');
}

/** close() with a full ring on a slow device; memory is overwritten as soon as a promise settles. */
export const closeInFlight = scenario<{ readonly by: 'commit' | 'send' }>(async (near, { by }) => {
  const { udp, out } = await near.route(4);
  await whileSlow(near.wire, async () => {
    const socket = near.open({ ring: RING });
    const outcomes = Array.from({ length: FRAMES }, () => {
      const frame = out.frame(PAYLOAD);
      if (by === 'send') return outcomeOf(socket.send(frame, {}), frame);
      const view = reserveFor(socket, frame);
      return outcomeOf(socket.commit(view), view);
    });
    await Promise.race(outcomes);
    await closed(socket);
    const settled = await Promise.all(outcomes);
    const sent = out.expected.filter((_, index) => 'report' in (settled[index] as object));
    const arrived = await udp.take();
    assertUnharmed(arrived, out.taken());
    assert.deepEqual(arrived.slice(0, sent.length), sent, 'what was reported as sent is missing');
  });
});

/** As closeInFlight, on a device that queues the ring's own memory until it drops it. */
export const closeInFlightSink = scenario(async (near) => {
  const { out } = await near.route(4);
  await whileSlow(
    near.wire,
    async () => {
      const socket = near.open({ interface: near.wire.sink, ring: RING });
      const views = Array.from({ length: FRAMES }, () => reserveFor(socket, out.frame(PAYLOAD)));
      const outcomes = views.map((view) => outcomeOf(socket.commit(view), view));
      await closed(socket);
      await Promise.all(outcomes);
    },
    { device: near.wire.sink },
  );
});

/** Frames that were reserved when the socket closed: theirs is no promise, and no one waits. */
export const closeReserved = scenario(async (near) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ring: RING });
  const first = reserveFor(socket, out.stray(100));
  const behind = reserveFor(socket, out.stray(100));
  const waiting = outcomeOf(socket.commit(behind), behind);
  await closed(socket);
  assert.ok('error' in (await waiting), 'a frame behind a reserved one cannot have been sent');
  await failureOf(() => socket.commit(first), 'commit() after close');
  await udp.expect([]);
});

/** Views outlive their socket: reading and writing them does no harm. */
export const viewsAfterClose = scenario(async (near) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ring: RING });
  const committed = reserveFor(socket, out.frame(PAYLOAD));
  const reserved = reserveFor(socket, out.stray(PAYLOAD));
  await socket.commit(committed);
  await closed(socket);
  globalThis.gc?.();
  for (let round = 0; round < 3; round++) {
    for (const view of [committed, reserved]) {
      for (let i = 0; i < view.length; i++) view[i] = (view[i] as number) ^ 0xff;
      view.fill(round);
    }
    // Memory that is taken now must not be the views'.
    const others = Array.from({ length: 100 }, () => Buffer.alloc(4096, OVERWRITTEN));
    committed.fill(round);
    assert.ok(others.every((other) => other.every((byte) => byte === OVERWRITTEN)));
    globalThis.gc?.();
  }
  await failureOf(() => socket.commit(reserved), 'commit() after close');
  await udp.expect(out.taken());
});

/** Sockets come and go: descriptors and mapped memory are counted when the scenario is over. */
export const comeAndGo = scenario<{ readonly order: 'close' | 'drop' }>(async (near, { order }) => {
  const { udp, out } = await near.route(4);
  for (let i = 0; i < 20; i++) {
    const socket = createPacketSocket({ interface: near.wire.near.device, ring: RING });
    assert.ok(ringMappings() > 0, 'no ring is mapped');
    const view = reserveFor(socket, out.frame(200));
    await socket.commit(view);
    if (order === 'drop') socket.close();
    else await closed(socket);
  }
  await udp.expect(out.taken());
});

let listening: FarUdp | undefined;

/** Opens a socket at the far end for frames of another program. */
export async function listen(): Promise<number> {
  listening = await theFar().listen(4);
  return listening.port;
}

/** What another program's `leave` sent: nothing in it is wrong. @returns how many arrived */
export async function arrivedFrom(port: number): Promise<number> {
  assert.ok(listening?.port === port);
  const out = new Outbox({ wire: theWire(), family: 4, port });
  for (let i = 0; i < FRAMES; i++) out.frame(PAYLOAD);
  const arrived = await listening.take();
  assertUnharmed(arrived, out.taken());
  return arrived.length;
}

/** A full ring under way, a socket that reads, and the views in reach. */
function fullRing(wire: Wire, port: number): ZeroCopyPacketSocket {
  const socket = createPacketSocket({
    interface: wire.near.device,
    ring: RING,
    protocol: 'all',
  });
  socket.on('message', () => undefined);
  const out = new Outbox({ wire, family: 4, port });
  const views = Array.from({ length: FRAMES }, () => reserveFor(socket, out.frame(PAYLOAD)));
  void Promise.allSettled(views.map((view) => socket.commit(view)));
  return socket;
}

/** Ends this process with frames under way. */
export async function leave(params: {
  readonly port: number;
  readonly ending: 'exit' | 'throw' | 'SIGTERM' | 'close';
}): Promise<void> {
  const socket = fullRing(theWire(), params.port);
  await new Promise(setImmediate);
  if (params.ending === 'close') socket.close();
  if (params.ending === 'SIGTERM') process.kill(process.pid, 'SIGTERM');
  else if (params.ending !== 'throw') process.exit(7);
  process.removeAllListeners('uncaughtException');
  if (params.ending === 'throw') throwLater();
  await new Promise(() => undefined);
}

function throwLater(): void {
  setImmediate(() => {
    throw new Error('meant to be thrown');
  });
}

/** Workers end with their rings under way; the process lives on and keeps nothing of them. */
export const workers = scenario<{ readonly ending: 'terminate' | 'exit' | 'close' }>(
  async (near, { ending }) => {
    const { udp } = await near.route(4);
    await whileSlow(near.wire, async () => {
      for (let i = 0; i < 3; i++) {
        const given: WorkerOrder = { wire: near.wire, port: udp.port, ending };
        const worker = new Worker(__filename, { workerData: given });
        const ended = once(worker, 'exit');
        await once(worker, 'message');
        if (ending === 'terminate') await worker.terminate();
        await ended;
        const out = new Outbox({ wire: near.wire, family: 4, port: udp.port });
        for (let frame = 0; frame < FRAMES; frame++) out.frame(PAYLOAD);
        assertUnharmed(await udp.take(), out.taken());
      }
    });
  },
);

interface WorkerOrder {
  readonly wire: Wire;
  readonly port: number;
  readonly ending: 'terminate' | 'exit' | 'close';
}

function work({ wire, port, ending }: WorkerOrder): void {
  const socket = fullRing(wire, port);
  parentPort?.postMessage('under way');
  if (ending === 'exit') setImmediate(() => process.exit(0));
  if (ending === 'close') setImmediate(() => socket.close());
}

if (!isMainThread) work(workerData as WorkerOrder);
