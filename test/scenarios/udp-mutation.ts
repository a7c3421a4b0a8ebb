// detectMutation on datagrams, and what metrics() makes of their sockets.
import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { metrics, type ZeroCopyUdpSocket } from '../../lib/index';
import { Heard, WarningsHeard, type Finding } from '../helpers/heard';
import { between, seededRandom } from '../../scripts/random';
import type { UdpParams } from '../helpers/udp-place';
import type { Target } from '../helpers/udp-receiver';
import { FORCED, type Session, withSession } from '../helpers/udp-session';
import { type WayName, WAYS } from '../helpers/udp-ways';
import { until } from '../../scripts/until';

const BYTES = 1200;
const SENDS = 2_000;

interface Scene extends Session {
  readonly found: Heard<Finding>;
  readonly warnings: WarningsHeard;
}

async function withScene(
  params: UdpParams,
  options: { detectMutation: 'warn' | 'throw' | true; detached?: 'some' },
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  const { detectMutation, ...rest } = options;
  const found = new Heard<Finding>('mutation');
  const warnings = new WarningsHeard();
  const session = { zeroCopy: { ...FORCED, detectMutation }, ...rest };
  try {
    await withSession(params, session, (opened) => body({ ...opened, found, warnings }));
  } finally {
    found.stop();
    warnings.stop();
  }
}

function sendsAndChanges(socket: ZeroCopyUdpSocket, to: Target): Promise<Error | null | undefined> {
  const buffer = Buffer.alloc(BYTES, 5);
  const called = new Promise<Error | null | undefined>((resolve) => {
    socket.send(buffer, to.port, to.address, resolve);
  });
  (buffer[BYTES - 1] as number) ^= 1;
  return called;
}

function promisesAndChanges(socket: ZeroCopyUdpSocket, to: Target): Promise<unknown> {
  const list = [Buffer.alloc(BYTES, 1), Buffer.alloc(BYTES + 1, 2)];
  const sent = socket.sendMany(list, { port: to.port, address: to.address });
  ((list[1] as Buffer)[0] as number) ^= 1;
  return sent;
}

function corksAndChanges(socket: ZeroCopyUdpSocket, to: Target): () => void {
  const buffer = Buffer.alloc(BYTES + 2, 3);
  socket.cork();
  socket.send(buffer, to.port, to.address, () => undefined);
  return () => {
    socket.uncork();
    (buffer[0] as number) ^= 1;
  };
}

export function changed(params: UdpParams): Promise<void> {
  return withScene(params, { detectMutation: true }, async (scene) => {
    const { socket, target, found, warnings } = scene;
    for (let i = 0; i < 3; i++) assert.equal(await sendsAndChanges(socket, target), null);
    await until('all are told', () => found.messages.length === 3);
    await promisesAndChanges(socket, target);
    const uncork = corksAndChanges(socket, target);
    await nextTurn();
    uncork();
    await socket.zeroCopy.flush();
    await until('all are told', () => found.messages.length === 5);
    const names = [
      ...new Array<string>(3).fill('sendsAndChanges'),
      'promisesAndChanges',
      'corksAndChanges',
    ];
    for (const [i, { stack, kind, bytes, socket: whose }] of found.messages.entries()) {
      assert.match(stack, new RegExp(names[i] as string));
      assert.deepEqual([kind, bytes >= BYTES, whose === socket], ['changed', true, true]);
    }
    await until('each place is warned of', () => warnings.list.length === 3);
    assert.equal(socket.zeroCopy.stats.mutatedBuffers, 5);
  });
}

export function detached(params: UdpParams): Promise<void> {
  return withScene(params, { detectMutation: 'warn', detached: 'some' }, async (scene) => {
    const { socket, target, found } = scene;
    const buffer = Buffer.from(new ArrayBuffer(BYTES));
    const called = new Promise((resolve) => {
      socket.send(buffer, target.port, target.address, resolve);
    });
    const memory = buffer.buffer as ArrayBuffer;
    const kept = structuredClone(memory, { transfer: [memory] });
    await called;
    await until('it is told', () => found.messages.length === 1);
    const [{ kind, bytes } = {} as Partial<Finding>] = found.messages;
    assert.deepEqual([kind, bytes], ['detached', kept.byteLength]);
  });
}

export function thrown(params: UdpParams): Promise<void> {
  return withScene(params, { detectMutation: 'throw' }, async (scene) => {
    const { socket, target, warnings } = scene;
    const failed = new Promise<Error & { code?: string }>((resolve) =>
      socket.once('error', resolve),
    );
    assert.equal(await sendsAndChanges(socket, target), null);
    const error = await failed;
    assert.equal(error.code, 'ERR_ZC_BUFFER_MUTATED');
    assert.match(String(error.stack), /sendsAndChanges/);
    assert.deepEqual(warnings.list, []);
  });
}

/** Every way to send, with buffers that are overwritten the moment they come back. */
export async function clean(params: UdpParams): Promise<{ zeroCopySends: number }> {
  let zeroCopySends = 0;
  const before = metrics();
  await withScene(params, { detectMutation: 'throw' }, async (scene) => {
    const { socket, out, target, found } = scene;
    const random = seededRandom(17);
    const names = Object.keys(WAYS) as WayName[];
    const trip = { socket, out, targets: [target], connected: 'no' as const, random };
    for (let i = 0; i < SENDS; i++) {
      void WAYS[names[between(random, 0, names.length - 1)] as WayName](trip);
      if (random() < 0.2) await nextTurn();
      await out.pace();
    }
    await out.verify();
    assert.deepEqual([out.errors, found.messages], [[], []]);
    await socket.zeroCopy.flush();
    const { stats } = socket.zeroCopy;
    assert.equal(stats.mutatedBuffers, 0);
    zeroCopySends = stats.zeroCopySends;
    assertSummed(metrics().totals, before.totals, stats);
  });
  const { totals, releaseLatency } = metrics();
  assert.equal(totals.zeroCopySends - before.totals.zeroCopySends, zeroCopySends);
  assert.equal(releaseLatency.count, totals.notifications);
  return { zeroCopySends };
}

function assertSummed(after: object, before: object, stats: object): void {
  const earlier = before as Record<string, number>;
  for (const [name, count] of Object.entries(after as Record<string, number>)) {
    const counted = (stats as Record<string, number>)[name] ?? 0;
    assert.equal(count - (earlier[name] ?? 0), counted, name);
  }
}
