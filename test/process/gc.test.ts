// What the garbage collector may take and when: a buffer not before the kernel let go of it, also when
// nobody else remembers it; and everything of a connection once it is over.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { connect, enableZeroCopy, type ZeroCopySocket } from '../../lib/index';
import { collectRepeatedly, untilCollected } from '../helpers/collect';
import { startProgram, stopPrograms } from '../helpers/program';
import { until } from '../../scripts/until';
import type { Left, ManyArgument } from '../scenarios/many-connections';

const MIB = 1024 * 1024;
const CHUNKS = 8;

interface Connection {
  readonly socket: ZeroCopySocket;
  readonly far: net.Socket;
  close(): void;
}

// The far end does not read until it is resumed.
async function open(): Promise<Connection> {
  const server = net.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const socket = connect({ port, host: '127.0.0.1', zeroCopy: { engine: 'msg_zerocopy' } });
  const [[far]] = (await Promise.all([once(server, 'connection'), once(socket, 'connect')])) as [
    [net.Socket],
    unknown,
  ];
  far.on('error', () => undefined);
  socket.on('error', () => undefined);
  const close = (): void => {
    socket.destroy();
    far.destroy();
    server.close();
  };
  return { socket, far, close };
}

// In a function of its own, so that no frame keeps the buffers.
function writeChunks(socket: ZeroCopySocket): WeakRef<ArrayBuffer>[] {
  return Array.from({ length: CHUNKS }, (_, i) => {
    const chunk = Buffer.allocUnsafeSlow(MIB / 4).fill(i);
    socket.write(chunk);
    return new WeakRef(chunk.buffer as ArrayBuffer);
  });
}

function kept(refs: readonly WeakRef<ArrayBuffer>[]): number {
  return refs.filter((ref) => ref.deref() !== undefined).length;
}

/** Far below the time after which idle connections are looked at (SWEEP_MS of lib/send/idle-ports.ts). */
const COLLECTED_WITHIN_MS = 2_000;

// Not once() of node:events, which throws when 'error' comes first.
function closed(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

/** Heap that a socket holds, in bytes. */
async function heapOf(make: () => net.Socket): Promise<number> {
  const sockets = 2_000;
  const all: net.Socket[] = new Array<net.Socket>(sockets);
  all.fill(make());
  await collectRepeatedly();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < sockets; i++) all[i] = make();
  await collectRepeatedly();
  const grown = process.memoryUsage().heapUsed - before;
  assert.equal(all.length, sockets);
  return grown / sockets;
}

describe('an upgraded socket that nothing was written to', () => {
  it('holds less than 700 bytes of heap more than a plain one', async () => {
    const plain = (): net.Socket => new net.Socket();
    await heapOf(plain); // the first time brings code and maps of objects
    const ofPlain = await heapOf(plain);
    await heapOf(() => enableZeroCopy(plain()));
    const more = (await heapOf(() => enableZeroCopy(plain()))) - ofPlain;
    assert.ok(more > 100, `${more} bytes: not measured`);
    assert.ok(more < 700, `${more} bytes more than a plain socket`);
  });
});

describe('garbage collection', () => {
  afterEach(stopPrograms);

  for (const end of ['open', 'destroyed'] as const) {
    it(`keeps buffers until they are released, on an ${end} socket`, async () => {
      const { socket, far, close } = await open();
      const refs = writeChunks(socket);
      await until('all is accepted', () => socket.writableLength === 0);
      if (end === 'destroyed') socket.destroy();
      await collectRepeatedly();
      const { pendingBytes, pendingSends } = socket.zeroCopy;
      assert.ok(pendingBytes >= MIB, `${pendingBytes} bytes are pinned`);
      assert.ok(kept(refs) >= pendingBytes / (MIB / 4), `${kept(refs)} kept, ${pendingSends} pend`);
      far.resume();
      await until('all is released', () => socket.zeroCopy.pendingSends === 0);
      await untilCollected(
        'the buffers are collected',
        () => kept(refs) === 0,
        COLLECTED_WITHIN_MS,
      );
      close();
    });
  }

  it('frees a socket after it is closed', async () => {
    const ref = await (async () => {
      const { socket, far, close } = await open();
      far.resume();
      writeChunks(socket);
      await socket.zeroCopy.flush();
      close();
      await closed(socket);
      return new WeakRef(socket);
    })();
    await untilCollected(
      'the socket is collected',
      () => ref.deref() === undefined,
      COLLECTED_WITHIN_MS,
    );
  });

  it('frees a socket that only its peer closed, after a reset with memory pinned', async () => {
    const ref = await (async () => {
      const { socket, far, close } = await open();
      writeChunks(socket);
      await until('memory is pinned', () => socket.zeroCopy.pendingBytes >= MIB);
      const over = closed(socket);
      far.resetAndDestroy();
      await over;
      await until('all is released', () => socket.zeroCopy.pendingSends === 0);
      close();
      return new WeakRef(socket);
    })();
    await untilCollected(
      'the socket is collected',
      () => ref.deref() === undefined,
      COLLECTED_WITHIN_MS,
    );
  });

  it('leaves nothing of 2,000 connections', async () => {
    const given: ManyArgument = { rounds: 5, connections: 500 };
    const program = startProgram('many-connections', given, { nodeOptions: ['--expose-gc'] });
    // The first round warms up: code, pools and lists of Node's own that stay.
    const { left: first } = await program.next<Left>();
    let { left: last } = await program.next<Left>();
    for (let round = 2; round < given.rounds; round++) last = (await program.next<Left>()).left;
    assert.equal(last.ports, 0);
    assert.ok(last.descriptors <= first.descriptors, `${last.descriptors} descriptors`);
    // A socket that stays costs some kilobytes; some hundred bytes for each are the collector's own ups
    // and downs.
    const grown = last.heapBytes - first.heapBytes;
    assert.ok(grown < 2 * MIB, `the heap grew by ${grown} bytes`);
    const outside = last.externalBytes - first.externalBytes;
    // One buffer of a mebibyte was seen to stay on a busy machine; those of connections are 64 KiB each.
    assert.ok(outside < 1.5 * MIB, `memory outside of the heap grew by ${outside} bytes`);
    assert.equal((await program.ended()).code, 0);
  });
});
