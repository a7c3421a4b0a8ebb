// The package more than once in one process: require() and import of one copy share all state, and of
// two copies the second defers to the first.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { isolated } from '../helpers/isolated';

const ROOT = path.join(__dirname, '../../..');
const ADDON =
  process.env['MSG_ZEROCOPY_ADDON'] ?? path.join(ROOT, 'build/Release/msg_zerocopy.node');

type Tools = Parameters<Parameters<typeof isolated>[0]>[0];

/** For use in a suite: a folder of its own, gone afterwards. */
function temporaryFolder(): () => string {
  let folder = '';
  before(() => (folder = mkdtempSync(path.join(os.tmpdir(), 'zero-copy-'))));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return () => folder;
}

describe('one copy of the package', () => {
  const folder = temporaryFolder();

  it('is the same for require() and import', () => {
    const consumer = path.join(folder(), 'consumer');
    mkdirSync(path.join(consumer, 'node_modules'), { recursive: true });
    symlinkSync(ROOT, path.join(consumer, 'node_modules/msg-zerocopy'), 'junction');
    const script = `
      const required = require('msg-zerocopy');
      import('msg-zerocopy').then((imported) => {
        const names = Object.keys(required);
        const same = names.every((name) => imported[name] === required[name]);
        console.log(JSON.stringify({ names, same }));
      });`;
    const options = { cwd: consumer, encoding: 'utf8' } as const;
    const { stdout, stderr } = spawnSync(process.execPath, ['-e', script], options);
    assert.notEqual(stdout, '', stderr);
    const { names, same } = JSON.parse(stdout) as { names: string[]; same: boolean };
    assert.equal(same, true);
    for (const name of ['enableZeroCopy', 'isZeroCopy', 'connect', 'createServer', 'capabilities'])
      assert.ok(names.includes(name), `${name} is not exported`);
  });
});

describe('two copies of the package', () => {
  const folder = temporaryFolder();
  let second = '';

  before(() => {
    second = path.join(folder(), 'second');
    for (const part of ['dist/lib', 'package.json', 'build/Release/msg_zerocopy.node']) {
      cpSync(path.join(ROOT, part), path.join(second, part), { recursive: true });
    }
    symlinkSync(path.join(ROOT, 'node_modules'), path.join(second, 'node_modules'), 'junction');
  });

  it('the second defers to the first on a socket', async () => {
    const { answer, stderr } = await isolated(onSocket, { env: { SECOND: second } });
    assert.deepEqual(
      answer,
      {
        twoCopies: true,
        recognised: true,
        unchanged: true,
        sends: [true, false, true],
        reason: 'disabled',
        stray: 0,
        callbacks: 3,
        right: true,
      },
      stderr,
    );
  });

  it('the second defers to the first on a server', async () => {
    const { answer, stderr } = await isolated(onServer, { env: { SECOND: second } });
    const copied = { reason: 'disabled', sends: 0 };
    assert.deepEqual(
      answer,
      { listeners: [2, 2], sockets: [copied, copied], callbacks: [1, 1], right: [true, true] },
      stderr,
    );
  });

  it('work side by side on sockets of their own', async () => {
    const { answer, stderr } = await isolated(besideEachOther, { env: { SECOND: second } });
    const fine = { sent: true, stray: 0, right: true };
    assert.deepEqual(answer, [fine, fine, fine, fine], stderr);
  });

  // As when a test runner loads the package anew for each file: Node's cache still has the addon.
  it('work side by side when both load the same addon file', async () => {
    const env = { SECOND: second, MSG_ZEROCOPY_ADDON: ADDON };
    const { answer, stderr, code } = await isolated(besideEachOther, { env });
    const fine = { sent: true, stray: 0, right: true };
    assert.deepEqual([answer, stderr, code], [[fine, fine, fine, fine], '', 0]);
  });

  it('keep what they send from the pool of the other, though it is freed early', async () => {
    const { answer, stderr } = await isolated(fromPoolOfOther, { env: { SECOND: second } });
    assert.deepEqual(answer, { tcp: [true, 0], udp: [true, 0] }, stderr);
  });

  it('cannot start the same instance of the addon twice', async () => {
    const { answer, stderr, code } = await isolated(startTwice, { env: { ADDON } });
    const already = -os.constants.errno.EALREADY;
    assert.deepEqual([answer, stderr, code], [[0, already], '', 0]);
  });
});

/** Two reactors of one instance: the turns of the loop that follow would run the first one's handles. */
async function startTwice({ turn }: Tools): Promise<number[]> {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const native = require(process.env['ADDON'] ?? '') as import('../../lib/native/binding').Native;
  const words = new Uint32Array(1025);
  const numbers = new Float64Array(2048);
  const started = [0, 1].map(() => native.start(words, () => undefined, 0, numbers, numbers));
  await turn();
  return started;
}

/** The first copy upgrades, the second gives new options; three writes under changing options. */
async function onSocket({ zc, net, events }: Tools): Promise<object> {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const other = require(process.env['SECOND'] ?? '') as typeof zc;
  const forced = { engine: 'msg_zerocopy', threshold: 1 } as const;
  const parts: Buffer[] = [];
  const server = net.createServer((far) => far.on('data', (part: Buffer) => parts.push(part)));
  server.listen(0, '127.0.0.1');
  await events.once(server, 'listening');
  const { port } = server.address() as import('node:net').AddressInfo;
  const accepted = events.once(server, 'connection') as Promise<[import('node:net').Socket]>;
  const sender = zc.connect({ port, host: '127.0.0.1', zeroCopy: forced });
  const [far] = await accepted;
  const sends: boolean[] = [];
  let callbacks = 0;
  const write = async (fill: number): Promise<void> => {
    const before = sender.zeroCopy.stats.zeroCopySends;
    const data = Buffer.alloc(300_000, fill);
    await new Promise<void>((resolve) =>
      sender.write(data, () => {
        callbacks++;
        data.fill(0xee);
        resolve();
      }),
    );
    sends.push(sender.zeroCopy.stats.zeroCopySends > before);
  };
  await write(1);
  const own = Reflect.ownKeys(sender).length;
  const method = sender.write;
  other.enableZeroCopy(sender, { engine: 'copy' });
  const reason = sender.zeroCopy.reason;
  const unchanged = Reflect.ownKeys(sender).length === own && sender.write === method;
  await write(2);
  other.enableZeroCopy(sender, forced);
  await write(3);
  const ended = events.once(far, 'end');
  sender.end();
  await ended;
  server.close();
  const expected = [1, 2, 3].map((fill) => Buffer.alloc(300_000, fill));
  return {
    twoCopies: other.enableZeroCopy !== zc.enableZeroCopy,
    recognised: other.isZeroCopy(sender),
    unchanged,
    sends,
    reason,
    stray: sender.zeroCopy.stats.strayNotifications,
    callbacks,
    right: Buffer.concat(parts).equals(Buffer.concat(expected)),
  };
}

/** An http server enabled by one copy and then by the other, in both orders. */
async function onServer({ zc, events }: Tools): Promise<object> {
  /* eslint-disable @typescript-eslint/no-require-imports */
  const other = require(process.env['SECOND'] ?? '') as typeof zc;
  const http = require('node:http') as typeof import('node:http');
  /* eslint-enable @typescript-eslint/no-require-imports */
  const listeners: number[] = [];
  const sockets: object[] = [];
  const callbacks: number[] = [];
  const right: boolean[] = [];
  for (const [first, then] of [
    [zc, other],
    [other, zc],
  ] as const) {
    let called = 0;
    let socket: (import('node:net').Socket & import('../../lib/index').ZeroCopyMembers) | undefined;
    const body = Buffer.alloc(500_000, 6);
    const server = http.createServer((request, response) => {
      if (zc.isZeroCopy(request.socket)) socket = request.socket;
      response.end(body, () => called++);
    });
    first.enableZeroCopy(server, { engine: 'msg_zerocopy', threshold: 1 });
    then.enableZeroCopy(server, { engine: 'copy' });
    listeners.push(server.listenerCount('connection'));
    server.listen(0, '127.0.0.1');
    await events.once(server, 'listening');
    const { port } = server.address() as import('node:net').AddressInfo;
    const asked = http.get({ port, host: '127.0.0.1', agent: false });
    const [response] = (await events.once(asked, 'response')) as [
      import('node:http').IncomingMessage,
    ];
    const parts: Buffer[] = [];
    response.on('data', (part: Buffer) => parts.push(part));
    await events.once(response, 'end');
    await new Promise((resolve) => server.close(resolve));
    await socket?.zeroCopy.flush();
    sockets.push({
      reason: socket?.zeroCopy.reason,
      sends: socket?.zeroCopy.stats.zeroCopySends,
    });
    callbacks.push(called);
    right.push(Buffer.concat(parts).equals(body));
  }
  return { listeners, sockets, callbacks, right };
}

/** Four connections at a time, two by each copy. */
async function besideEachOther({ zc, net, events }: Tools): Promise<object[]> {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const other = require(process.env['SECOND'] ?? '') as typeof zc;
  const server = net.createServer().listen(0, '127.0.0.1');
  await events.once(server, 'listening');
  const { port } = server.address() as import('node:net').AddressInfo;
  const zeroCopy = { engine: 'msg_zerocopy', threshold: 1 } as const;
  const connectOne = async (copy: typeof zc, fill: number): Promise<object> => {
    const sender = copy.connect({ port, host: '127.0.0.1', zeroCopy });
    const sent = [1, 2, 3, 4].map(async (): Promise<void> => {
      const data = Buffer.alloc(400_000, fill);
      await sender.send(data);
      data.fill(0xee);
    });
    await Promise.all(sent);
    sender.end();
    const { zeroCopySends, strayNotifications } = sender.zeroCopy.stats;
    return { sent: zeroCopySends > 0, stray: strayNotifications };
  };
  // Each connection carries one byte value all along, and 1,600,000 bytes of it in all.
  const received: Promise<boolean>[] = [];
  server.on('connection', (far) => {
    const parts: Buffer[] = [];
    far.on('data', (part: Buffer) => parts.push(part));
    received.push(
      events.once(far, 'end').then(() => {
        const all = Buffer.concat(parts);
        return all.equals(Buffer.alloc(1_600_000, all[0]));
      }),
    );
  });
  const copies = [zc, other, zc, other];
  const outcomes = await Promise.all(copies.map((copy, index) => connectOne(copy, index + 1)));
  const right = await Promise.all(received);
  server.close();
  return outcomes.map((outcome, index) => ({ ...outcome, right: right[index] }));
}

/** Each piece is freed while it waits to be sent; the next owner of its memory writes into it. */
async function fromPoolOfOther({ zc, net, events }: Tools): Promise<object> {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const other = require(process.env['SECOND'] ?? '') as typeof zc;
  const pool = new other.BufferPool({ bytes: 1024 * 1024 });
  const bytes = 40_000;
  const wanted = Buffer.alloc(bytes, 1);
  const reuse = (piece: Buffer): Buffer => {
    pool.free(piece);
    return pool.allocUnsafe(bytes).fill(2);
  };
  const server = net.createServer().listen(0, '127.0.0.1');
  await events.once(server, 'listening');
  const { port } = server.address() as import('node:net').AddressInfo;
  const parts: Buffer[] = [];
  server.on('connection', (far) => far.on('data', (part: Buffer) => parts.push(part)));
  const socket = zc.connect({ port, host: '127.0.0.1' });
  const first = pool.allocUnsafe(bytes).fill(1);
  const released = new Promise<void>((resolve) => socket.end(first, () => resolve()));
  pool.free(reuse(first));
  await Promise.all([released, events.once(socket, 'close')]);
  const tcp = [Buffer.concat(parts).equals(wanted), pool.stats.pinnedPieces];
  server.close();
  const udp = zc.createUdpSocket('udp4');
  udp.bind(0, '127.0.0.1');
  await events.once(udp, 'listening');
  const second = pool.allocUnsafe(bytes).fill(1);
  const arrived = events.once(udp, 'message') as Promise<[Buffer]>;
  const sent = new Promise((done) => udp.send(second, udp.address().port, '127.0.0.1', done));
  pool.free(reuse(second));
  const [message] = await arrived;
  await sent;
  udp.close();
  return { tcp, udp: [message.equals(wanted), pool.stats.pinnedPieces] };
}
