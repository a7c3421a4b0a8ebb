// What a 'message' listener is given: memory that is its own, and a few messages at a time.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import {
  createPacketSocket,
  createRawSocket,
  type UdpSocketOptions,
  type ZeroCopyUdpSocket,
} from '../../lib/index';
import { missing } from '../../lib/native/loader';
import { FallbackUdpSocket } from '../../lib/udp/fallback';
import { openSockets } from '../helpers/dgram-behaviours-open';
import { until } from '../../scripts/until';

/** Smaller messages may be a part of Node's pool. */
const POOLED_BELOW = Buffer.poolSize > 8192 ? 512 : Buffer.poolSize >>> 1;
const POOL_BYTES = Buffer.allocUnsafe(1).buffer.byteLength;
const SIZES = [0, 1, 20, 1200, POOLED_BELOW - 1, POOLED_BELOW, 9000, 60_000];

function letters(bytes: number, index: number): string {
  return String.fromCharCode(97 + (index % 26)).repeat(bytes);
}

// Tries to take the memory away from its other owners. Before Node 21 what cannot be transferred
// is copied, and later refused: the memory stays in any case.
function transfer(memory: ArrayBuffer): void {
  try {
    structuredClone(memory, { transfer: [memory] });
  } catch (error) {
    assert.equal((error as Error).name, 'DataCloneError');
  }
}

/** Each message owns exactly its bytes, or they lie in Node's pool; and keeps them. */
function assertOwned(messages: readonly Buffer[]): void {
  const before = messages.map(String);
  for (const { buffer, length, byteOffset } of messages) {
    const expected = length > 0 && length < POOLED_BELOW ? POOL_BYTES : length;
    assert.equal(buffer.byteLength, expected);
    if (expected === length) assert.equal(byteOffset, 0);
  }
  for (const [index, message] of messages.entries()) {
    if (message.length < POOLED_BELOW) {
      transfer(message.buffer as ArrayBuffer);
      assert.equal(message.toString(), before[index]);
    }
  }
  const large = messages.filter(({ length }) => length >= POOLED_BELOW);
  for (const [index, message] of large.entries()) {
    transfer(message.buffer as ArrayBuffer);
    assert.equal(message.length, 0);
    const others = large.slice(index + 1).map(String);
    assert.deepEqual(others, before.filter((text) => text.length >= POOLED_BELOW).slice(index + 1));
  }
}

function listen(socket: dgram.Socket): Buffer[] {
  const messages: Buffer[] = [];
  socket.on('message', (message) => messages.push(message));
  return messages;
}

describe('the memory of a received datagram', () => {
  const sockets = openSockets();

  it('is its own, and can be transferred alone', async () => {
    for (const gro of [false, true]) {
      const socket = await sockets.bound({ gro });
      const messages = listen(socket);
      const sender = await sockets.bound();
      const sent = SIZES.map(letters);
      const data = sent.map((text) => Buffer.from(text));
      await sender.sendMany(data, { port: socket.address().port, address: '127.0.0.1' });
      await until('all have come', () => messages.length === SIZES.length);
      assert.deepEqual(messages.map(String), sent);
      assertOwned(messages);
    }
  });

  it('is its own where the kernel coalesced datagrams', async () => {
    for (const [segmentSize, count] of [
      [1000, 40],
      [5000, 12],
    ] as const) {
      const socket = await sockets.bound({ gro: true });
      const messages = listen(socket);
      const sender = await sockets.bound();
      const row = Buffer.from(
        Array.from({ length: count }, (_, i) => letters(segmentSize, i)).join(''),
      );
      const to = { port: socket.address().port, address: '127.0.0.1' };
      await sender.send(row, { ...to, segmentSize });
      await until('all have come', () => messages.length === count);
      assert.equal(Buffer.concat(messages).compare(row), 0);
      assertOwned(messages);
    }
  });

  it('does not keep the rest of its batch alive', async () => {
    const socket = await sockets.bound();
    const kept: Buffer[] = [];
    let count = 0;
    socket.on('message', (message) => {
      if (count++ % 50 === 0) kept.push(message);
    });
    const sender = await sockets.bound();
    const to = { port: socket.address().port, address: '127.0.0.1' };
    for (let sent = 50; sent <= 2000; sent += 50) {
      const data = Array.from({ length: 50 }, () => Buffer.alloc(1200));
      await sender.sendMany(data, to);
      await until('all have come', () => count === sent);
    }
    const memory = new Set(kept.map(({ buffer }) => buffer));
    const bytes = [...memory].reduce((sum, { byteLength }) => sum + byteLength, 0);
    assert.equal(kept.length, 40);
    assert.ok(bytes <= 40 * Buffer.poolSize, `${bytes} bytes for 40 messages`);
  });

  if (process.geteuid?.() !== 0) {
    it('skipped: raw and packet sockets need root (remedy: run as root)');
    return;
  }

  it('is its own on raw and packet sockets', async () => {
    const port = 9;
    const raw = createRawSocket({ family: 4, protocol: 'udp' });
    const packet = createPacketSocket({ interface: 'lo', type: 'dgram', protocol: 0x0800 });
    const mark = `mark of ${process.pid} `;
    const ours = (list: Buffer[]) => (message: Buffer) => {
      if (message.includes(mark)) list.push(message);
    };
    const heard: Buffer[][] = [[], []];
    raw.on('message', ours(heard[0] as Buffer[]));
    packet.on('message', ours(heard[1] as Buffer[]));
    await once(packet, 'listening');
    const sender = await sockets.bound();
    const data = [100, 5000, 60_000].map((size) => Buffer.from(mark.padEnd(size, '-')));
    // Both hear everybody's datagrams, and have no room for some while others send much.
    while (heard.some((messages) => messages.length < data.length)) {
      // Another address: a refusal of the port is not ours.
      await sender.sendMany(data, { port, address: '127.9.9.9' });
      await delay(50);
    }
    for (const messages of heard) assertOwned(messages);
    await Promise.all(
      [raw, packet].map((socket) => new Promise<void>((r) => socket.close(() => r()))),
    );
  });
});

/** Sends `count` small datagrams, which wait in the receiver when this settles. */
async function flood(
  sender: ZeroCopyUdpSocket,
  receiver: dgram.Socket,
  count: number,
  first = 0,
): Promise<void> {
  const data = Array.from({ length: count }, (_, index) => Buffer.from(String(first + index)));
  const sent = sender.sendMany(data, { port: receiver.address().port, address: '127.0.0.1' });
  await sent;
}

function burn(milliseconds: number): void {
  const start = performance.now();
  while (performance.now() - start < milliseconds);
}

const FLOOD = 300;
const MOST_AT_A_TIME = 32;

interface Flood {
  /** Most messages that came while a timer was due. */
  most: number;
  readonly order: string[];
}

/** What listeners see that take `milliseconds` for each message. */
async function flooded(
  receiver: dgram.Socket,
  send: () => Promise<unknown>,
  count: number,
  milliseconds: number,
): Promise<Flood> {
  const seen: Flood = { most: 0, order: [] };
  let dueMs = 0;
  let late = 0;
  receiver.on('message', (message) => {
    seen.order.push(message.toString());
    if (performance.now() > dueMs) seen.most = Math.max(seen.most, ++late);
    burn(milliseconds);
  });
  let timer: NodeJS.Timeout;
  const tick = (): void => {
    late = 0;
    // libuv counts whole milliseconds.
    dueMs = performance.now() + 2;
    timer = setTimeout(tick, 1);
  };
  tick();
  try {
    await send();
    await until('all have come', () => seen.order.length === count);
  } finally {
    clearTimeout(timer!);
  }
  return seen;
}

describe('a flood of datagrams', () => {
  const sockets = openSockets();
  const open = (options: Partial<UdpSocketOptions> = {}): Promise<ZeroCopyUdpSocket> =>
    sockets.bound({ recvBufferSize: 1024 * 1024, ...options });

  for (const gro of [false, true]) {
    const what = gro ? 'with gro' : 'without gro';
    it(`lets timers run after 32 messages, and loses none (${what})`, async () => {
      const receiver = await open({ gro });
      const sender = await sockets.bound();
      const send = (): Promise<void> => flood(sender, receiver, FLOOD);
      const { most, order } = await flooded(receiver, send, FLOOD, 0.2);
      assert.ok(most <= MOST_AT_A_TIME, `${most} messages at a time`);
      assert.deepEqual(
        order.map(Number),
        Array.from({ length: FLOOD }, (_, i) => i),
      );
    });

    it(`lets timers run sooner when listeners are slow (${what})`, async () => {
      const receiver = await open({ gro });
      const sender = await sockets.bound();
      const { most } = await flooded(receiver, () => flood(sender, receiver, 64), 64, 4);
      assert.ok(most <= 4, `${most} messages at a time`);
    });
  }

  it('counts each coalesced datagram', async () => {
    const receiver = await open({ gro: true });
    const sender = await sockets.bound();
    const to = { port: receiver.address().port, address: '127.0.0.1' };
    const row = Buffer.from(Array.from({ length: 60 }, (_, i) => String(i).padEnd(500)).join(''));
    const send = async (): Promise<void> => {
      for (let i = 0; i < 4; i++) await sender.send(row, { ...to, segmentSize: 500 });
    };
    const { most, order } = await flooded(receiver, send, 240, 0.2);
    assert.ok(most <= MOST_AT_A_TIME, `${most} messages at a time`);
    const expected = Array.from({ length: 240 }, (_, i) => i % 60);
    assert.deepEqual(order.map(Number), expected);
  });

  it('lets other sockets have their turn', async () => {
    const [flooding, quiet] = [await open(), await open()];
    const sender = await sockets.bound();
    const order: string[] = [];
    flooding.on('message', () => {
      order.push('flood');
      burn(0.05);
    });
    quiet.on('message', () => order.push('quiet'));
    await Promise.all([flood(sender, flooding, FLOOD), flood(sender, quiet, 1)]);
    await until('all have come', () => order.length === FLOOD + 1);
    assert.ok(order.indexOf('quiet') <= 2 * MOST_AT_A_TIME, `after ${order.indexOf('quiet')}`);
  });

  it('ends at close(), even in the middle of a batch', async () => {
    for (const gro of [false, true]) {
      const receiver = await open({ gro });
      const sender = await sockets.bound();
      let count = 0;
      receiver.on('message', () => {
        if (++count === 40) receiver.close();
      });
      await flood(sender, receiver, FLOOD);
      await once(receiver, 'close');
      await nextTurn();
      await nextTurn();
      assert.equal(count, 40);
    }
  });

  it('reaches a loop that pauses in between, complete and in order', async () => {
    const receiver = await open();
    const sender = await sockets.bound();
    const order: number[] = [];
    const iterator = receiver[Symbol.asyncIterator]();
    await flood(sender, receiver, FLOOD);
    // More than an iterator keeps: the socket stops, and goes on.
    for (let turn = 0; turn < 30; turn++) await nextTurn();
    for (let i = 0; i < FLOOD; i++) {
      const { value } = (await iterator.next()) as { value: { data: Buffer } };
      order.push(Number(value.data));
    }
    assert.deepEqual(
      order,
      Array.from({ length: FLOOD }, (_, i) => i),
    );
  });
});

describe('a loop over the datagrams of a socket', () => {
  const sockets = openSockets();
  const KINDS: readonly [string, () => ZeroCopyUdpSocket][] = [
    ['with the addon', () => sockets.create()],
    [
      'without it',
      () => {
        const socket = new FallbackUdpSocket({ type: 'udp4' }, missing('for this test'));
        return sockets.own(socket as unknown as ZeroCopyUdpSocket);
      },
    ],
  ];

  // Connected to an unused port.
  async function refused(create: () => ZeroCopyUdpSocket): Promise<ZeroCopyUdpSocket> {
    const gone = await sockets.sink();
    const socket = create();
    socket.connect(gone.port, '127.0.0.1');
    await once(socket, 'connect');
    await new Promise<void>((resolve) => gone.socket.close(() => resolve()));
    return socket;
  }

  for (const [kind, create] of KINDS) {
    it(`rejects with the socket's error, without killing the process (${kind})`, async () => {
      const socket = await refused(create);
      const loop = (async () => {
        for await (const { data } of socket) assert.fail(data.toString());
      })();
      socket.send('to nobody');
      await assert.rejects(loop, { code: 'ECONNREFUSED', syscall: 'recvmsg' });
      assert.equal(socket.listenerCount('error'), 0);
    });

    it(`delivers what came before the error, then rejects once (${kind})`, async () => {
      const socket = await sockets.own(create());
      const listening = once(socket, 'listening');
      socket.bind(0, '127.0.0.1');
      await listening;
      const loop = socket[Symbol.asyncIterator]();
      const heard = once(socket, 'message');
      socket.send('before', socket.address().port, '127.0.0.1');
      await heard;
      const error = new Error('of the socket');
      socket.emit('error', error);
      const { value } = (await loop.next()) as { value: { data: Buffer } };
      assert.equal(value.data.toString(), 'before');
      await assert.rejects(loop.next(), error);
      assert.deepEqual(await loop.next(), { done: true, value: undefined });
    });
  }

  it('reports the error to other listeners, too', async () => {
    const socket = await refused(() => sockets.create());
    const told = once(socket, 'error').catch((error: unknown) => [error]);
    const loop = socket[Symbol.asyncIterator]().next();
    socket.send('to nobody');
    await assert.rejects(loop, { code: 'ECONNREFUSED' });
    assert.equal(((await told)[0] as NodeJS.ErrnoException).code, 'ECONNREFUSED');
  });
});
