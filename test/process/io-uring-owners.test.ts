// A connection that goes to another process, or that two copies of this package send on: the order of
// its bytes is that in which they were written, whoever wrote them, and none is lost or sent twice.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import type net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { handOver, HEIR_BYTES, HEIR_FILL, Heirs } from './heirs';
import { isolated } from '../helpers/isolated';
import { uringSuite } from '../helpers/suites';
import { gather, loopback, sha256, STALLING_BYTES, type Upgraded } from '../helpers/loopback';
import { until } from '../../scripts/until';

const ROOT = path.join(__dirname, '../../..');
/** Accepted at once over loopback, but far more than a far end that does not read has room for. */
const UNREAD = 1024 * 1024;
const ENGINE = { engine: 'io_uring', threshold: 1 } as const;
const TAKEN = 'ERR_ZC_HANDLE_TAKEN';

type Outcome = NodeJS.ErrnoException | null | undefined;

uringSuite('io_uring: a socket that is passed to another process', () => {
  const connections = loopback();
  const heirs = new Heirs('io_uring');

  /** Overwritten when it is released. */
  function write(sender: Upgraded, bytes: number, fill: number): Promise<Outcome> {
    const data = Buffer.alloc(bytes, fill);
    return new Promise((resolve) =>
      sender.write(data, (error) => {
        data.fill(0xee);
        resolve(error);
      }),
    );
  }

  // What came: the fill bytes in runs.
  function runsOf(receiver: net.Socket): Promise<[byte: number, length: number][]> {
    const runs: [number, number][] = [];
    return gather(receiver, (chunk) => {
      for (const byte of chunk) {
        const last = runs[runs.length - 1];
        if (last !== undefined && last[0] === byte) last[1]++;
        else runs.push([byte, 1]);
      }
    }).then(() => runs);
  }

  it('with sends in flight: all of them arrive, then what the other process sends', async () => {
    const child = await heirs.start();
    const { sender, receiver } = await connections.pair(ENGINE);
    sender.on('error', assert.fail);
    const released = write(sender, UNREAD, 1);
    await until('all is accepted', () => sender.writableLength === 0);
    assert.ok(sender.zeroCopy.pendingBytes > 0);
    await handOver(child, sender);
    const runs = runsOf(receiver);
    assert.equal((await released) ?? null, null);
    assert.deepEqual(await runs, [
      [1, UNREAD],
      [HEIR_FILL, HEIR_BYTES],
    ]);
  });

  // In plain Node all of it is in the kernel when write() has returned.
  for (const writes of [1, 3]) {
    it(`in the same turn as ${writes} writes: they arrive, then what the other process sends`, async () => {
      const child = await heirs.start();
      const { sender, receiver } = await connections.pair(ENGINE);
      sender.on('error', assert.fail);
      const written: Promise<Outcome>[] = [];
      for (let i = 1; i <= writes; i++) written.push(write(sender, UNREAD / 4, i));
      const answer = handOver(child, sender);
      const runs = runsOf(receiver);
      await answer;
      for (const outcome of await Promise.all(written)) assert.equal(outcome ?? null, null);
      const mine = Array.from({ length: writes }, (_, i) => [i + 1, UNREAD / 4]);
      assert.deepEqual(await runs, [...mine, [HEIR_FILL, HEIR_BYTES]]);
    });
  }

  it('with a waiting write: the writer gets an error, and no other bytes follow the part that was sent', async () => {
    const child = await heirs.start();
    const { sender, receiver } = await connections.pair(ENGINE);
    const failed = once(sender, 'error') as Promise<[NodeJS.ErrnoException]>;
    const waiting = write(sender, STALLING_BYTES, 1);
    while (sender.zeroCopy.pendingBytes === 0) await new Promise((done) => setImmediate(done));
    assert.ok(sender.writableLength > 0, 'nothing waits');
    const answer = handOver(child, sender);
    assert.equal((await failed)[0].code, TAKEN);
    assert.equal((await waiting)?.code, TAKEN);
    const runs = runsOf(receiver);
    await answer;
    const seen = await runs;
    assert.deepEqual(
      seen.map(([byte]) => byte),
      [1],
      'the other process sent into the middle of a write',
    );
    assert.ok((seen[0]?.[1] ?? 0) < STALLING_BYTES);
  });

  it('after flush(): the other process continues where this one stopped', async () => {
    const child = await heirs.start();
    const { sender, receiver } = await connections.pair(ENGINE);
    const runs = runsOf(receiver);
    const written = [write(sender, UNREAD, 1), write(sender, 10, 2), write(sender, UNREAD, 3)];
    await sender.zeroCopy.flush();
    await Promise.all(written);
    await handOver(child, sender);
    assert.deepEqual(await runs, [
      [1, UNREAD],
      [2, 10],
      [3, UNREAD],
      [HEIR_FILL, HEIR_BYTES],
    ]);
  });
});

uringSuite('io_uring: two copies of the package in one process', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'zero-copy-'));
    for (const name of ['dist/lib', 'build/Release/msg_zerocopy.node', 'package.json']) {
      mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
      cpSync(path.join(ROOT, name), path.join(folder, name), { recursive: true });
    }
    symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('send on their own connections, and in turn on the same one', async () => {
    const other = path.join(folder, 'dist/lib/index.js');
    const { answer, stderr, code } = await isolated(twoCopies, { env: { OTHER_COPY: other } });
    const rounds = Array.from({ length: 5 }, () => Buffer.alloc(300_000, 1));
    const own = sha256(...rounds);
    const both = Array.from({ length: 5 }, () => [
      Buffer.alloc(300_000, 1),
      Buffer.alloc(300_000, 2),
    ]);
    assert.deepEqual(
      answer,
      {
        distinct: true,
        engines: ['io_uring', 'io_uring'],
        own: [own, sha256(...rounds.map((buffer) => Buffer.alloc(buffer.length, 2)))],
        shared: sha256(...both.flat()),
      },
      stderr,
    );
    assert.equal(code, 0);
  });
});

/** Sends by both copies: each on a connection of its own, then both on one. */
async function twoCopies({
  zc,
  net: nodeNet,
  events,
}: Parameters<Parameters<typeof isolated>[0]>[0]): Promise<object> {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const other = require(process.env['OTHER_COPY'] ?? '') as typeof zc;
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const { createHash } = require('node:crypto') as typeof import('node:crypto');
  const hashes = new Map<number, string>();
  const server = nodeNet.createServer((socket) => {
    const hash = createHash('sha256');
    const port = socket.remotePort as number;
    socket.on('data', (chunk) => hash.update(chunk));
    socket.on('end', () => {
      hashes.set(port, hash.digest('hex'));
      socket.end();
    });
  });
  server.listen(0, '127.0.0.1');
  await events.once(server, 'listening');
  const { port } = server.address() as import('node:net').AddressInfo;
  const open = async (): Promise<import('node:net').Socket> => {
    const socket = nodeNet.connect(port, '127.0.0.1');
    await events.once(socket, 'connect');
    return socket;
  };
  const options = { engine: 'io_uring', threshold: 1 } as const;
  const write = (socket: import('node:net').Socket, fill: number): Promise<void> => {
    const body = Buffer.alloc(300_000, fill);
    return new Promise((resolve) =>
      socket.write(body, () => {
        body.fill(0xee);
        resolve();
      }),
    );
  };
  const [first, second, shared] = [await open(), await open(), await open()];
  const ports = [first, second, shared].map((socket) => socket.localPort as number);
  const engines = [
    zc.enableZeroCopy(first, options).zeroCopy,
    other.enableZeroCopy(second, options).zeroCopy,
  ];
  for (let i = 0; i < 5; i++) {
    const written = [write(first, 1), write(second, 2)];
    zc.enableZeroCopy(shared, options);
    written.push(write(shared, 1));
    other.enableZeroCopy(shared, options);
    written.push(write(shared, 2));
    await Promise.all(written);
  }
  const names = engines.map(({ engine }) => engine);
  const closed = [first, second, shared].map((socket) => events.once(socket, 'close'));
  for (const socket of [first, second, shared]) socket.resume().end();
  await Promise.all(closed);
  server.close();
  const [one, two, three] = ports.map((number) => hashes.get(number));
  return {
    distinct: other !== zc,
    engines: names,
    own: [one, two],
    shared: three,
  };
}
