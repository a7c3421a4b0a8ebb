// What a program may do with a socket since Node 24.21: post it to a worker, and connect one that it bound before.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { connect, enableZeroCopy, ZeroCopySocket, type ZeroCopyMembers } from '../../lib/index';

const LIBRARY = path.join(__dirname, '../../lib/index.js');
const BYTES = 1_000_000;
const body = Buffer.alloc(BYTES, 'x');
const zeroCopy = { threshold: 1 };

/** Answers every connection from the thread that it runs in. */
const WORKER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { enableZeroCopy } = require(workerData);
  parentPort.on('message', (socket) => {
    enableZeroCopy(socket, { threshold: 1 });
    socket.end(Buffer.alloc(${BYTES}, 'x'), () =>
      parentPort.postMessage(socket.zeroCopy.stats.zeroCopySends > 0));
  });
`;

interface BoundSocket {
  address(): net.AddressInfo;
}
const { BoundSocket } = net as unknown as {
  BoundSocket?: new (options: { host: string }) => BoundSocket;
};
const isPosted = Object.getOwnPropertySymbols(net.Socket.prototype).some(
  ({ description }) => description === 'messaging_transfer_symbol',
);

async function listening(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as net.AddressInfo).port;
}

async function bytesOf(socket: net.Socket): Promise<number> {
  let bytes = 0;
  for await (const chunk of socket) bytes += (chunk as Buffer).length;
  return bytes;
}

function describePosted(): void {
  it('is sent from there, unless something was sent before', async () => {
    const worker = new Worker(WORKER, { eval: true, workerData: LIBRARY });
    await using server = enableZeroCopy(net.createServer(), zeroCopy);
    const port = await listening(server);
    for (const isFirst of [true, false]) {
      const client = net.connect(port, '127.0.0.1');
      const [socket] = (await once(server, 'connection')) as [net.Socket & ZeroCopyMembers];
      const answered = once(worker, 'message');
      const post = (): void => worker.postMessage(socket, [socket as never]);
      if (isFirst) {
        post();
        assert.deepEqual([socket.destroyed, await bytesOf(client)], [true, BYTES]);
        assert.deepEqual(await answered, [true]);
      } else {
        socket.write(body);
        assert.throws(post, { code: 'ERR_WORKER_HANDLE_NOT_TRANSFERABLE' });
        socket.end();
        assert.equal(await bytesOf(client), BYTES);
        assert.ok(socket.zeroCopy.stats.zeroCopySends > 0);
      }
    }
    await worker.terminate();
  });
}
if (isPosted) describe('an upgraded connection that is posted to a worker', describePosted);

function describeBound(Bound: NonNullable<typeof BoundSocket>): void {
  const ways = {
    'connect()': (handle: object, port: number) =>
      connect({ port, host: '127.0.0.1', handle, zeroCopy } as never),
    'new ZeroCopySocket()': (handle: object, port: number) =>
      new ZeroCopySocket({ handle, zeroCopy } as never).connect(port, '127.0.0.1'),
    'enableZeroCopy()': (handle: object, port: number) =>
      enableZeroCopy(new net.Socket({ handle } as never), zeroCopy).connect(port, '127.0.0.1'),
  };
  for (const [name, open] of Object.entries(ways)) {
    it(`is connected and sent from: ${name}`, async () => {
      await using server = net.createServer();
      const port = await listening(server);
      const accepted = once(server, 'connection');
      const bound = new Bound({ host: '127.0.0.1' });
      const { port: localPort } = bound.address();
      const socket = open(bound, port) as net.Socket & ZeroCopyMembers;
      const released = new Promise<void>((resolve) => socket.end(body, () => resolve()));
      const [peer] = (await accepted) as [net.Socket];
      assert.equal(peer.remotePort, localPort);
      assert.equal(await bytesOf(peer), BYTES);
      await released;
      assert.ok(socket.zeroCopy.stats.zeroCopySends > 0);
    });
  }

  it('is listened on', async () => {
    const bound = new Bound({ host: '127.0.0.1' });
    const { port } = bound.address();
    await using server = enableZeroCopy(net.createServer(), zeroCopy);
    server.on('connection', (socket) => socket.end(body));
    server.listen(bound as never);
    assert.equal(await bytesOf(net.connect(port, '127.0.0.1')), BYTES);
  });
}
if (BoundSocket !== undefined) describe('a net.BoundSocket', () => describeBound(BoundSocket));
