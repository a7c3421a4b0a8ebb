// Writes that did not come by the upgraded socket's own write(), and memory of pools that is freed while it
// waits: what arrives is what was written, although every buffer is overwritten at its callback.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { Writable } from 'node:stream';
import { BufferPool, enableZeroCopy, type ZeroCopyOptions } from '../../lib/index';
import { between, seededRandom } from '../../scripts/random';
import { fillFrom, OVERWRITTEN } from '../../scripts/pattern';
import type { Outgoing } from '../helpers/outgoing';
import { type Address, type Manner, ReceiverClient } from '../helpers/receiver-client';
import { portsClosed } from '../helpers/remains';

const MIB = 1024 * 1024;

export interface OwnWritesParams {
  readonly to: Address;
  readonly zeroCopy: ZeroCopyOptions;
}

type Body = (client: ReceiverClient, params: OwnWritesParams) => Promise<void>;

function scenario(body: Body): (params: OwnWritesParams) => Promise<void> {
  return async (params) => {
    const client = await ReceiverClient.open(params.to);
    await body(client, params);
    await portsClosed();
    await client.close();
  };
}

/** A connection of plain Node's. */
async function plain(client: ReceiverClient, manner: Manner): Promise<Outgoing> {
  const socket = net.connect(client.address);
  await once(socket, 'connect');
  return client.begin(socket, manner);
}

async function assertArrived(client: ReceiverClient, out: Outgoing): Promise<void> {
  const report = await client.report(out);
  assert.deepEqual(report, { bytes: out.written, wrong: 0, end: 'end' });
  await out.settled();
  assert.deepEqual(out.errors, []);
  await out.socket.zeroCopy.flush();
  assert.equal(out.socket.zeroCopy.pendingBytes, 0);
}

/** Written before the upgrade: while it connects, in flight, and buffered behind that. */
export const beforeUpgrade = scenario(async (client, { zeroCopy }) => {
  for (const moment of ['connecting', 'connected', 'corked', 'ended'] as const) {
    const socket = net.connect(client.address);
    if (moment !== 'connecting') await once(socket, 'connect');
    const out = client.begin(socket, { pace: { bytes: MIB, everyMs: 1 } });
    if (moment === 'corked') socket.cork();
    for (let i = 0; i < 6; i++) out.write(MIB);
    // Its callback comes at 'finish'.
    if (moment === 'ended') out.end(MIB);
    enableZeroCopy(socket, zeroCopy);
    if (moment === 'corked') socket.uncork();
    if (moment !== 'ended') {
      for (let i = 0; i < 4; i++) out.write(MIB);
      await out.drained();
      // The stream is empty, and what follows is ours.
      for (let i = 0; i < 4; i++) out.write(MIB);
      out.end(MIB);
    }
    await assertArrived(client, out);
    if (moment === 'ended') assert.equal(out.socket.zeroCopy.stats.zeroCopySends, 0);
    else if (zeroCopy.engine !== 'copy') assert.ok(out.socket.zeroCopy.stats.zeroCopySends > 0);
  }
});

type Write = (chunk: Buffer, callback: (error?: Error | null) => void) => unknown;

/** By methods that were taken from the socket before, or from its classes. */
export const captured = scenario(async (client, { zeroCopy }) => {
  for (const name of ['socket', 'net.Socket', 'Writable'] as const) {
    const out = await plain(client, { pace: { bytes: MIB, everyMs: 1 } });
    const { socket } = out;
    const taken = { socket, 'net.Socket': net.Socket.prototype, Writable: Writable.prototype }[
      name
    ];
    const write = taken.write.bind(socket) as unknown as Write;
    const end = taken.end.bind(socket) as unknown as Write;
    enableZeroCopy(socket, zeroCopy);
    for (let round = 0; round < 4; round++) {
      for (const way of ['own', 'taken', 'taken', 'own', 'own'] as const) {
        const buffer = out.take(MIB / 2);
        if (way === 'own') socket.write(buffer, out.releaseCallback(buffer));
        else write(buffer, out.releaseCallback(buffer));
      }
      if (round % 2 === 1) await out.drained();
    }
    const last = out.take(MIB);
    end(last, out.releaseCallback(last));
    await assertArrived(client, out);
  }
});

/** The callback of an empty write, behind one without, fires when what was written before it is released. */
export const barrier = scenario(async (client, { zeroCopy }) => {
  const out = await client.stream({ pace: { bytes: MIB, everyMs: 1 } }, { zeroCopy });
  const order: number[] = [];
  for (let round = 0; round < 12; round++) {
    const [first, second] = [out.take(MIB / 2), out.take(MIB / 2)];
    const releaseCallbacks = [out.releaseCallback(first), out.releaseCallback(second)] as const;
    if (round % 3 === 2) out.socket.cork();
    out.socket.write(first);
    out.socket.write(second, () => order.push(2 * round));
    out.socket.write('', (error) => {
      order.push(2 * round + 1);
      for (const callback of releaseCallbacks) callback(error);
    });
    if (round % 3 === 2) out.socket.uncork();
    if (round % 4 === 3) await out.drained();
  }
  out.end(MIB);
  await assertArrived(client, out);
  assert.deepEqual(order, [...order.keys()]);
});

/** Small when they were written, and large when they leave. */
export const loweredThreshold = scenario(async (client, { zeroCopy }) => {
  const out = await client.stream({ pace: { bytes: MIB, everyMs: 1 } }, { zeroCopy });
  for (let round = 0; round < 8; round++) {
    enableZeroCopy(out.socket, zeroCopy);
    if (round % 2 === 0) out.socket.cork();
    else out.write(2 * MIB);
    for (let i = 0; i < 40; i++) out.write(8000);
    enableZeroCopy(out.socket, { ...zeroCopy, threshold: 1 });
    if (round % 2 === 0) out.socket.uncork();
    await out.drained();
  }
  out.end(1);
  await assertArrived(client, out);
});

/** Pieces freed right behind the call that hands them over, whose memory is used again at once. */
export const freedEarly = scenario(async (client, { zeroCopy }) => {
  for (const moment of ['connecting', 'connected', 'corked'] as const) {
    const pool = new BufferPool({ bytes: 16 * MIB });
    const socket = net.connect(client.address);
    enableZeroCopy(socket, zeroCopy);
    if (moment !== 'connecting') await once(socket, 'connect');
    const out = client.begin(socket, { pace: { bytes: MIB, everyMs: 1 } });
    if (moment === 'corked') socket.cork();
    // More than the send buffer takes: most of it waits in the stream.
    for (let i = 0; i < 24; i++) writeAndFree(out, pool, MIB / 2);
    if (moment === 'corked') socket.uncork();
    const [a, b] = [takePiece(out, pool, 100_000), takePiece(out, pool, 300_000)];
    const sent = out.socket.send([a, b.subarray(0, 200_000), b.subarray(200_000)]);
    pool.free(a);
    pool.free(b);
    overwriteAll(pool);
    const last = takePiece(out, pool, MIB);
    socket.end(last);
    pool.free(last);
    overwriteAll(pool);
    await sent;
    await assertArrived(client, out);
    assert.deepEqual(pinsOf(pool), { pieces: 0, pinnedPieces: 0, waitingFrees: 0 });
  }
});

/** Pieces of writes that fail, or throw, are the pool's again. */
export const pinsOfFailures = scenario(async (client, { zeroCopy }) => {
  const pool = new BufferPool({ bytes: 16 * MIB });
  const out = await client.stream({ stallAfter: 0 }, { zeroCopy });
  for (let i = 0; i < 24; i++) writeAndFree(out, pool, MIB / 2);
  const failed = assert.rejects(out.socket.send(sendAndFree(out, pool)));
  const piece = takePiece(out, pool, MIB);
  assert.throws(() => out.socket.write(piece, 'no encoding' as BufferEncoding), {
    code: 'ERR_UNKNOWN_ENCODING',
  });
  pool.free(piece);
  out.socket.destroy();
  // Written to a stream that is destroyed.
  out.socket.write(sendAndFree(out, pool));
  out.socket.end(sendAndFree(out, pool));
  await client.resume(out);
  await failed;
  await client.report(out);
  await out.socket.zeroCopy.flush();
  const { pinnedPieces, waitingFrees } = pool.stats;
  assert.deepEqual({ pinnedPieces, waitingFrees }, { pinnedPieces: 0, waitingFrees: 0 });
});

function takePiece(out: Outgoing, pool: BufferPool, bytes: number): Buffer {
  const piece = pool.allocUnsafe(bytes);
  fillFrom(piece, out.stream, out.written);
  out.written += bytes;
  return piece;
}

function writeAndFree(out: Outgoing, pool: BufferPool, bytes: number): void {
  const piece = takePiece(out, pool, bytes);
  out.socket.write(piece);
  pool.free(piece);
  overwriteAll(pool);
}

function sendAndFree(out: Outgoing, pool: BufferPool): Buffer {
  const piece = takePiece(out, pool, MIB);
  setImmediate(() => pool.free(piece));
  return piece;
}

/** What the next owner of freed memory does. */
function overwriteAll(pool: BufferPool): void {
  const pieces: Buffer[] = [];
  const before = pool.stats.fallbackAllocations;
  while (pool.stats.fallbackAllocations === before) pieces.push(pool.allocUnsafe(MIB / 4));
  for (const piece of pieces) pool.free(piece.fill(OVERWRITTEN));
}

function pinsOf(pool: BufferPool) {
  const { pieces, pinnedPieces, waitingFrees } = pool.stats;
  return { pieces, pinnedPieces, waitingFrees };
}

// --- anything, in any order ------------------------------------------------------------------------

export interface RandomParams {
  readonly to: Address;
  readonly engine: NonNullable<ZeroCopyOptions['engine']>;
  readonly seed: number;
  readonly connections: number;
}

const THRESHOLDS = [0, 1, 100, 8192, 32_768, 'auto'] as const;

class RandomStream {
  readonly #random: () => number;
  readonly #params: RandomParams;
  readonly #pool: BufferPool;
  readonly out: Outgoing;
  readonly #taken: { readonly write: Write; readonly end: Write };
  #upgraded = false;
  /** Without a callback, the program cannot know when it is free. */
  readonly #kept: Buffer[] = [];

  constructor(random: () => number, params: RandomParams, pool: BufferPool, out: Outgoing) {
    this.#random = random;
    this.#params = params;
    this.#pool = pool;
    this.out = out;
    const { socket } = out;
    this.#taken = {
      write: socket.write.bind(socket) as Write,
      end: socket.end.bind(socket) as unknown as Write,
    };
  }

  #size(): number {
    const bytes = Math.ceil(2 ** (this.#random() * 21));
    return this.#random() < 0.3 ? Math.min(bytes, 3000) : bytes;
  }

  #enable(): void {
    const threshold = THRESHOLDS[between(this.#random, 0, THRESHOLDS.length - 1)] ?? 'auto';
    const mayChange = this.#random() < 0.2 && this.#upgraded;
    const engine = mayChange ? 'auto' : this.#params.engine;
    enableZeroCopy(this.out.socket, { engine, threshold });
    this.#upgraded = true;
  }

  readonly #steps: readonly (() => unknown)[] = [
    () => this.out.write(this.#size()),
    () => this.out.write(this.#size()),
    () => this.out.writeText(Math.min(this.#size(), 200_000)),
    () => {
      const buffer = this.out.take(this.#size());
      this.#kept.push(buffer);
      return this.out.socket.write(buffer);
    },
    () => {
      const buffer = this.out.take(this.#size());
      return this.#taken.write(buffer, this.out.releaseCallback(buffer));
    },
    () => {
      const buffer = this.out.take(this.#size());
      const view = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
      return this.out.socket.write(view, this.out.releaseCallback(buffer));
    },
    () => this.#poolPiece(),
    () => this.#poolPiece(),
    () => this.out.socket.cork(),
    () => this.out.socket.uncork(),
    () => this.#enable(),
    () => overwriteAll(this.#pool),
    () => this.#send(),
    () => assert.throws(() => this.out.socket.write(0 as never, () => undefined)),
    () => this.#drained(),
    () => new Promise((resolve) => setImmediate(resolve)),
  ];

  #drained(): Promise<void> {
    const { socket } = this.out;
    while (socket.writableCorked > 0) socket.uncork();
    return this.out.drained();
  }

  #poolPiece(): void {
    // Before the upgrade nothing knows of pools.
    if (!this.#upgraded) return;
    const piece = takePiece(this.out, this.#pool, this.#size());
    const cut = between(this.#random, 0, piece.length);
    this.out.socket.write(piece.subarray(0, cut));
    this.out.socket.write(piece.subarray(cut), () => undefined);
    this.#pool.free(piece);
  }

  #send(): void {
    if (!this.#upgraded) return;
    const buffers = [this.out.take(this.#size()), this.out.take(this.#size())];
    this.out.socket.send(buffers).then(
      () => buffers.forEach((buffer) => buffer.fill(OVERWRITTEN)),
      () => buffers.forEach((buffer) => buffer.fill(OVERWRITTEN)),
    );
  }

  async run(): Promise<'ended' | 'destroyed'> {
    for (let i = between(this.#random, 5, 60); i > 0; i--) {
      await this.#steps[between(this.#random, 0, this.#steps.length - 1)]?.();
    }
    if (!this.#upgraded) this.#enable();
    if (this.#random() < 0.25) {
      this.out.socket.destroy();
      return 'destroyed';
    }
    const last = this.out.take(this.#size());
    const callback = this.out.releaseCallback(last);
    if (this.#random() < 0.5) this.out.socket.end(last, callback);
    else this.#taken.end(last, callback);
    return 'ended';
  }
}

/** Connections on which all of it happens at random. */
export async function random(params: RandomParams) {
  const random = seededRandom(params.seed);
  const client = await ReceiverClient.open(params.to);
  const pool = new BufferPool({ bytes: 16 * MIB });
  const sum = { bytes: 0, zeroCopyBytes: 0 };
  for (let i = 0; i < params.connections; i++) {
    const pace = random() < 0.5 ? { pace: { bytes: MIB, everyMs: 1 } } : {};
    const out = await plain(client, pace);
    const stream = new RandomStream(random, params, pool, out);
    const how = await stream.run();
    const report = await client.report(out);
    const where = `seed ${params.seed}, connection ${i}: ${JSON.stringify(report)}`;
    assert.equal(report.wrong, 0, where);
    if (how === 'ended') assert.equal(report.bytes, out.written, where);
    await out.settled();
    await out.closed();
    await out.socket.zeroCopy.flush();
    sum.bytes += report.bytes;
    sum.zeroCopyBytes += out.socket.zeroCopy.stats.zeroCopyBytes;
  }
  const { pinnedPieces, waitingFrees, leakedPieces } = pool.stats;
  assert.deepEqual([pinnedPieces, waitingFrees, leakedPieces], [0, 0, 0]);
  await portsClosed();
  await client.close();
  return sum;
}
