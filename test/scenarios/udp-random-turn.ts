// Everything that a program can do with one socket within one turn, in an order that a seed decides.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { BufferPool, createUdpSocket, type DatagramZeroCopyOptions } from '../../lib/index';
import { between, seededRandom } from '../../scripts/random';
import type { UdpParams } from '../helpers/udp-place';
import type { Target } from '../helpers/udp-receiver';
import { closeUdp, connectUdp, FORCED, type Session, withSession } from '../helpers/udp-session';
import { type Trip, type WayName, WAYS } from '../helpers/udp-ways';

const pool = new BufferPool({ bytes: 1024 * 1024 });
const NAMES = Object.keys(WAYS) as WayName[];
const SETTLED_WITHIN_MS = 5_000;
const ENGINES: readonly DatagramZeroCopyOptions[] = [
  FORCED,
  { ...FORCED, threshold: 600 },
  { engine: 'copy' },
];
const ALLOWED = new Set([
  'ABORT_ERR',
  'ECANCELED',
  'EMSGSIZE',
  'ERR_SOCKET_DGRAM_NOT_RUNNING',
  'ERR_ZC_BUFFER_DETACHED',
]);

export interface TurnParams extends UdpParams {
  readonly seed: number;
  /** How many operations: those of a shorter turn are the first of a longer one's. */
  readonly operations: number;
}

interface Turn {
  readonly start: 'unbound' | 'bound' | 'connected';
  /** Whether close() may end it. What nobody waits for may be lost then. */
  readonly closes: 'yes' | 'no';
  trip: Trip;
  connects: 'no' | 'asked';
  state: 'open' | 'closed';
  readonly flushes: Promise<void>[];
}

function pick<T>(random: () => number, list: readonly T[]): T {
  return list[between(random, 0, list.length - 1)] as T;
}

function way(turn: Turn): string {
  const names = turn.closes === 'yes' ? NAMES.filter((name) => name !== 'silent') : NAMES;
  const name = pick(turn.trip.random, names);
  void WAYS[name](turn.trip);
  return name;
}

function flush(turn: Turn): void {
  turn.flushes.push(turn.trip.socket.zeroCopy.flush());
}

function destination({ connected }: Trip, { port, address }: Target): [number, string] | [] {
  return connected === 'yes' ? [] : [port, address];
}

type AnySend = (...args: unknown[]) => void;

// One datagram of two sends, with a flush() between them.
function flushCorked(turn: Turn): void {
  const { socket, out, targets, random } = turn.trip;
  const target = pick(random, targets);
  const parcel = out.take(target, between(random, 20, 1400));
  const send = socket.send.bind(socket) as unknown as AnySend;
  const half = parcel.data.length >> 1;
  const parts = [parcel.data.subarray(0, half), parcel.data.subarray(half)];
  let left = parts.length;
  let failure: Error | null = null;
  socket.cork();
  for (const part of parts) {
    send(part, ...destination(turn.trip, target), (error: Error | null) => {
      failure ??= error;
      part.fill(0xee);
      if (--left === 0) out.settle(parcel, failure);
    });
    flush(turn);
  }
  socket.uncork();
}

function transfer(view: Buffer): void {
  const memory = view.buffer as ArrayBuffer;
  structuredClone(memory, { transfer: [memory] });
}

function lost(turn: Turn): void {
  const { socket, out, targets, random } = turn.trip;
  const target = pick(random, targets);
  const parcel = out.take(target, between(random, 12, 1400));
  const data = Buffer.from(new Uint8Array(parcel.data).buffer);
  const send = socket.send.bind(socket) as unknown as AnySend;
  send(data, ...destination(turn.trip, target), out.releaseCallback(parcel));
  transfer(data);
}

function lostMany(turn: Turn): void {
  const { socket, out, targets, random, connected } = turn.trip;
  const target = pick(random, targets);
  const parcels = [700, 800, 900].map((bytes) => out.take(target, bytes));
  const data = parcels.map((parcel) => Buffer.from(new Uint8Array(parcel.data).buffer));
  const { port, address } = target;
  const promise = socket.sendMany(data, connected === 'yes' ? {} : { port, address });
  transfer(data[1] as Buffer);
  const settle = (error?: Error & { code?: string }): void => {
    const some = error?.code === 'ERR_ZC_BUFFER_DETACHED';
    parcels.forEach((parcel, index) => {
      out.settle(parcel, some && index !== 1 ? undefined : error);
    });
  };
  promise.then(() => settle(), settle);
}

// A piece that is given back at once, and whose memory its next owner overwrites.
function freed(turn: Turn): void {
  const { socket, out, targets, random } = turn.trip;
  const target = pick(random, targets);
  const parcel = out.take(target, between(random, 12, 9000));
  const piece = pool.allocUnsafe(parcel.data.length);
  parcel.data.copy(piece);
  const send = socket.send.bind(socket) as unknown as AnySend;
  send(piece, ...destination(turn.trip, target), out.releaseCallback(parcel));
  pool.free(piece);
  const next = pool.allocUnsafe(parcel.data.length);
  next.fill(0xee);
  pool.free(next);
}

function tooLong(turn: Turn): void {
  const { socket, out, targets, random } = turn.trip;
  const target = pick(random, targets);
  const parcel = out.take(target, 65_536);
  const send = socket.send.bind(socket) as unknown as AnySend;
  send(parcel.data, ...destination(turn.trip, target), out.releaseCallback(parcel));
}

function aborted(turn: Turn): void {
  const { socket, out, targets, random, connected } = turn.trip;
  const target = pick(random, targets);
  const parcel = out.take(target, between(random, 0, 3000));
  const controller = new AbortController();
  const { port, address } = target;
  const to = connected === 'yes' ? {} : { port, address };
  void out.promised(parcel, socket.send(parcel.data, { ...to, signal: controller.signal }));
  controller.abort();
}

function reconnect(turn: Turn): void {
  const { trip } = turn;
  if (trip.connected === 'yes') {
    trip.socket.disconnect();
    turn.trip = { ...trip, connected: 'no' };
  } else if (turn.start !== 'unbound' && turn.connects === 'no') {
    const { port, address } = trip.targets[0] as Target;
    turn.connects = 'asked';
    trip.socket.connect(port, address);
  }
}

function close(turn: Turn): void {
  if (turn.closes === 'no') return;
  turn.trip.socket.close();
  turn.state = 'closed';
}

const OTHERS = {
  flush,
  flushCorked,
  lost,
  lostMany,
  freed,
  tooLong,
  aborted,
  reconnect,
  close,
} as const;
const OTHER_NAMES = Object.keys(OTHERS) as (keyof typeof OTHERS)[];

function step(turn: Turn): string {
  if (turn.trip.random() < 0.55) return way(turn);
  const name = pick(turn.trip.random, OTHER_NAMES);
  OTHERS[name](turn);
  return name;
}

async function begin({ out, target }: Session, params: TurnParams): Promise<Turn> {
  const random = seededRandom(params.seed);
  const start = pick(random, ['unbound', 'bound', 'connected'] as const);
  const zeroCopy = pick(random, ENGINES);
  const closes = random() < 0.3 ? 'yes' : 'no';
  const socket = createUdpSocket({ type: params.type, zeroCopy });
  if (start === 'connected') await connectUdp(socket, target);
  if (start === 'bound') {
    const listening = once(socket, 'listening');
    socket.bind(0);
    await listening;
  }
  const connected = start === 'connected' ? 'yes' : 'no';
  const trip: Trip = { socket, out, targets: [target], connected, random };
  return { start, closes, trip, connects: 'no', state: 'open', flushes: [] };
}

async function inTime(what: Promise<unknown>, name: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${name}: never`)), SETTLED_WITHIN_MS);
  });
  await Promise.race([what, late]).finally(() => clearTimeout(timer));
}

/** One turn. Answers what was done in it. Throws: with that. */
export async function randomTurn(params: TurnParams): Promise<string[]> {
  const done: string[] = [];
  // What is detached behind a flush() may be in flight: it is left as it is.
  await withSession(params, { detached: 'some' }, async (session) => {
    const { out, target } = session;
    const turn = await begin(session, params);
    done.push(turn.start);
    try {
      const { socket } = turn.trip;
      for (let i = 0; i < params.operations && turn.state === 'open' && !out.isFull; i++) {
        done.push(step(turn));
      }
      await inTime(out.settled(), 'a callback');
      await inTime(Promise.all(turn.flushes), 'a flush()');
      if (turn.state === 'open') await inTime(closeUdp(socket), 'close()');
      await target.drained();
      await out.verify();
      const { pendingBytes, pendingSends, stats } = socket.zeroCopy;
      const { strayNotifications } = stats;
      assert.deepEqual({ pendingBytes, pendingSends, strayNotifications }, NOTHING_LEFT);
      assert.deepEqual([socket.getSendQueueSize(), socket.getSendQueueCount()], [0, 0]);
      assert.deepEqual(
        out.errors.filter((code) => !ALLOWED.has(code)),
        [],
      );
    } catch (error) {
      throw new Error(`${done.join()}: ${(error as Error).message}`, { cause: error });
    }
  });
  return done;
}

const NOTHING_LEFT = { pendingBytes: 0, pendingSends: 0, strayNotifications: 0 };
