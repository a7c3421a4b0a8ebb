// What a program does with one socket within one turn of the loop, sends and everything beside them.
import assert from 'node:assert/strict';
import { createUdpSocket } from '../../lib/index';
import { OVERWRITTEN } from '../../scripts/pattern';
import { collectRepeatedly } from '../helpers/collect';
import type { UdpParams } from '../helpers/udp-place';
import { closeUdp, FORCED, type Session, withSession } from '../helpers/udp-session';
import type { Parcel } from '../helpers/udp-outgoing';

type SentError = Error & { readonly code?: string; readonly sentDatagrams?: number };

/** flush() between two sends of a turn: each goes once, and the socket does not stop zero copy. */
export async function flushedBetween(params: UdpParams): Promise<void> {
  await withSession(params, {}, async ({ socket, out, target }) => {
    const order: string[] = [];
    const flush = (name: string): Promise<void> =>
      socket.zeroCopy.flush().then(() => void order.push(name));
    const send = (): void => {
      const parcel = out.take(target, 1200);
      const done = out.releaseCallback(parcel);
      socket.send(parcel.data, target.port, target.address, (error, bytes) => {
        order.push(`datagram ${parcel.first}`);
        done(error, bytes);
      });
    };
    const flushes = [flush('nothing')];
    send();
    flushes.push(flush('flush 1'), flush('flush 2'));
    send();
    flushes.push(flush('flush 3'));
    send();
    await Promise.all(flushes);
    await out.verify();
    assert.deepEqual(out.errors, []);
    const expected = [0, 1, 2].map((i) => `datagram ${i}`);
    assert.deepEqual(
      order.filter((name) => name.startsWith('datagram')),
      expected,
    );
    assert.ok(order.indexOf('flush 2') > order.indexOf('datagram 0'), order.join());
    assert.ok(order.indexOf('flush 3') > order.indexOf('datagram 1'), order.join());
    assert.notEqual(socket.zeroCopy.reason, 'foreign-owner');
    assert.equal(socket.zeroCopy.stats.zeroCopySends, 3);
  });
}

const ENGINES = { copied: { engine: 'copy' }, forced: FORCED } as const;
const EVERY = 3;
const COUNT = 9;

function transfer(view: Buffer): ArrayBuffer {
  const memory = view.buffer as ArrayBuffer;
  return structuredClone(memory, { transfer: [memory] });
}

// Memory of which every third piece is transferred away. What the parcel holds goes back as it is.
function split(parcels: readonly Parcel[]): { data: Buffer[]; detach(): void } {
  const data = parcels.map((parcel) => Buffer.from(new Uint8Array(parcel.data).buffer));
  const detach = (): void => {
    for (let i = 0; i < data.length; i += EVERY) {
      new Uint8Array(transfer(data[i] as Buffer)).fill(OVERWRITTEN);
    }
  };
  return { data, detach };
}

type Many = (session: Session, data: readonly Buffer[]) => Promise<unknown>;

const bare: Many = ({ socket, target: { port, address } }, data) =>
  socket.sendMany(data, { port, address });
const itemized: Many = ({ socket, target: { port, address } }, data) =>
  socket.sendMany(data.map((one) => ({ data: one, port, address })));

async function lose(session: Session, send: Many, bytes: number): Promise<void> {
  const { socket, out, target } = session;
  const parcels = Array.from({ length: COUNT }, () => out.take(target, bytes));
  const lost = parcels.filter((_, index) => index % EVERY === 0);
  const { data, detach } = split(parcels);
  const promise = send(session, data);
  detach();
  const failure = await promise.then(
    () => undefined,
    (error: SentError) => error,
  );
  assert.equal(failure?.code, 'ERR_ZC_BUFFER_DETACHED');
  assert.equal(failure.sentDatagrams, COUNT - lost.length);
  for (const parcel of parcels) out.settle(parcel, lost.includes(parcel) ? failure : undefined);
  assert.deepEqual([socket.getSendQueueSize(), socket.getSendQueueCount()], [0, 0]);
  await out.verify();
}

/** sendMany() with payloads that are detached before their turn: those fail, and nothing else. */
export async function lostBeforeTurn(params: UdpParams): Promise<void> {
  for (const zeroCopy of Object.values(ENGINES)) {
    await withSession(params, { zeroCopy }, async (session) => {
      for (const bytes of [1, 900, 9000]) {
        await lose(session, bare, bytes);
        await lose(session, itemized, bytes);
      }
    });
  }
}

/** The same on a socket that is bound by its first send. */
export async function lostBeforeBind(params: UdpParams): Promise<void> {
  for (const send of [bare, itemized]) {
    await withSession(params, {}, async (session) => {
      const socket = createUdpSocket({ type: params.type, zeroCopy: FORCED });
      await lose({ ...session, socket }, send, 700);
      await closeUdp(socket);
    });
  }
}

/** A send whose memory is gone before the socket is bound, and one that is corked. */
export async function lostAlone(params: UdpParams): Promise<void> {
  await withSession(params, {}, async ({ socket: bound, target }) => {
    const unbound = createUdpSocket({ type: params.type, zeroCopy: FORCED });
    const told: unknown[] = [];
    const tell = (error: Error | null): unknown => told.push((error as SentError | null)?.code);
    const send = (socket: typeof bound): void => {
      const data = Buffer.from(new Uint8Array(800).buffer);
      socket.send(data, target.port, target.address, tell);
      transfer(data);
    };
    send(unbound);
    send(bound);
    bound.cork();
    bound.send(Buffer.alloc(10), target.port, target.address, tell);
    send(bound);
    bound.uncork();
    await Promise.all([unbound.zeroCopy.flush(), bound.zeroCopy.flush()]);
    await closeUdp(unbound);
    await target.drained();
    assert.deepEqual(told, new Array(4).fill('ERR_ZC_BUFFER_DETACHED'));
    assert.equal((await target.report()).datagrams, 0);
  });
}

// In a function of its own, so that no frame keeps the memory.
async function sendForgotten({ socket, target }: Session): Promise<WeakRef<ArrayBuffer>[]> {
  const { port, address } = target;
  const memory = Array.from({ length: 20 }, () => Buffer.allocUnsafeSlow(3000));
  const refs = memory.map(({ buffer }) => new WeakRef(buffer as ArrayBuffer));
  await socket.sendMany(memory.slice(0, 10), { port, address });
  const sent = memory.slice(10).map((data) => {
    return new Promise((resolve) => socket.send(data, port, address, resolve));
  });
  await Promise.all(sent);
  return refs;
}

/** A socket that sends nothing more keeps nothing of what it sent and was told to be released. */
export async function forgotten(params: UdpParams): Promise<void> {
  for (const zeroCopy of Object.values(ENGINES)) {
    await withSession(params, { zeroCopy }, async (session) => {
      const refs = await sendForgotten(session);
      const kept = (): number => refs.filter((ref) => ref.deref() !== undefined).length;
      await collectRepeatedly();
      assert.equal(kept(), 0);
    });
  }
}
