// What a write leaves behind it in the upgraded socket: nothing where it throws, nothing held where nothing
// goes without copying, and no user code where another socket writes.
import assert from 'node:assert/strict';
import { AsyncResource, createHook } from 'node:async_hooks';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { BufferPool, enableZeroCopy, type ZeroCopyOptions } from '../../lib/index';
import { sweepIdle } from '../../lib/send/idle-ports';
import { addressOf, gather, loopback, type Upgraded } from '../helpers/loopback';
import { until } from '../../scripts/until';

const LARGE = 128 * 1024;
const ENGINES: readonly ZeroCopyOptions[] = [
  { engine: 'msg_zerocopy' },
  { engine: 'io_uring' },
  { engine: 'copy' },
];

/** How many callbacks are held while `body` runs: each has a resource of its own. */
async function heldWhile(body: () => Promise<void>): Promise<number> {
  let held = 0;
  const hook = createHook({
    init: (_id, type) => void (held += +(type === 'MSG_ZEROCOPY_RELEASE')),
  });
  hook.enable();
  await body();
  hook.disable();
  return held;
}

function writeAll(sender: net.Socket, chunks: readonly Buffer[]): Promise<number[]> {
  const order: number[] = [];
  const all = chunks.map(
    (chunk, index) =>
      new Promise<void>((resolve) => {
        sender.write(chunk, () => {
          order.push(index);
          resolve();
        });
      }),
  );
  return Promise.all(all).then(() => order);
}

for (const zeroCopy of ENGINES) {
  describe(`a write, ${JSON.stringify(zeroCopy)}`, () => {
    const connections = loopback();

    it('of small chunks under a cork does not delay callbacks', async () => {
      const { sender, receiver } = await connections.pair(zeroCopy);
      void gather(receiver);
      const small = Array.from({ length: 100 }, (_, i) => Buffer.alloc(64, i));
      const held = await heldWhile(async () => {
        for (let round = 0; round < 3; round++) {
          sender.cork();
          const order = writeAll(sender, small);
          sender.uncork();
          assert.deepEqual(await order, [...small.keys()]);
        }
      });
      assert.equal(held, 0);
    });

    it('of small and large chunks under a cork calls back in order', async () => {
      const { sender, receiver } = await connections.pair(zeroCopy);
      void gather(receiver);
      const sizes = [64, LARGE, 64, 10, LARGE, 1, 20_000, 64];
      for (let round = 0; round < 3; round++) {
        sender.cork();
        const order = writeAll(
          sender,
          sizes.map((size) => Buffer.alloc(size)),
        );
        sender.uncork();
        assert.deepEqual(await order, [...sizes.keys()]);
      }
    });

    it('that throws leaves no callback, tracker or pin behind', async () => {
      const { sender, receiver } = await connections.pair(zeroCopy);
      void gather(receiver);
      const pool = new BufferPool({ bytes: 1024 * 1024 });
      const piece = pool.allocUnsafe(LARGE);
      const called: string[] = [];
      const wrong = { code: 'ERR_INVALID_ARG_TYPE' };
      for (const chunk of [new Array(10), { length: LARGE }, 7]) {
        assert.throws(() => sender.write(chunk as never, () => called.push('write')), wrong);
        assert.throws(() => sender.end(chunk as never, () => called.push('end')), wrong);
      }
      const encoding = 'no encoding' as BufferEncoding;
      for (const method of ['write', 'end'] as const) {
        assert.throws(() => sender[method](piece, encoding, () => called.push(method)));
      }
      pool.free(piece);
      assert.deepEqual([pool.stats.pieces, pool.stats.pinnedPieces], [0, 0]);
      const held = await heldWhile(async () => void (await writeAll(sender, [Buffer.alloc(10)])));
      assert.equal(held, 0, 'the connection is quiet');
      assert.deepEqual(called, []);
    });

    it('through a wrapper that throws rejects send(), and leaves the stream uncorked', async () => {
      const { sender, receiver } = await connections.plainPair();
      const arrived = gather(receiver);
      const write = sender.write.bind(sender) as (...args: unknown[]) => boolean;
      let refuse = false;
      sender.write = ((...args: unknown[]) => {
        if (refuse) throw new Error('refused');
        return write(...args);
      }) as typeof sender.write;
      enableZeroCopy(sender, zeroCopy);
      const upgraded = sender as Upgraded;
      refuse = true;
      await assert.rejects(upgraded.send(Buffer.alloc(LARGE)), /refused/);
      refuse = false;
      assert.equal(sender.writableCorked, 0);
      const held = await heldWhile(async () => void (await writeAll(sender, [Buffer.alloc(10)])));
      assert.equal(held, 0, 'the connection is quiet');
      sender.end();
      assert.equal((await arrived).bytes, 10);
    });
  });
}

describe('a response whose write throws', () => {
  it('is sent whole by what is written next, and holds no callback afterwards', async () => {
    const called: string[] = [];
    const body = Buffer.alloc(2 * LARGE, 'b');
    const server = http.createServer((_request, response) => {
      const wrong = { code: 'ERR_INVALID_ARG_TYPE' };
      for (const chunk of [{}, new Array(10), 7]) {
        assert.throws(() => response.write(chunk as never, () => called.push('write')), wrong);
      }
      response.end(body, () => called.push('end'));
    });
    enableZeroCopy(server, { engine: 'msg_zerocopy', threshold: 1 });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 1; i <= 3; i++) {
      const asked = http.get({ port, agent });
      const [response] = (await once(asked, 'response')) as [http.IncomingMessage];
      const parts: Buffer[] = [];
      for await (const part of response) parts.push(part as Buffer);
      assert.ok(Buffer.concat(parts).equals(body));
      await until('the callback came', () => called.length === i);
    }
    assert.deepEqual(called, ['end', 'end', 'end']);
    agent.destroy();
    server.close();
  });
});

describe('an idle connection', () => {
  const connections = loopback();

  it('runs no callback while its descriptor is given back for another connection', async () => {
    const { sender, receiver } = await connections.pair({ engine: 'msg_zerocopy', threshold: 1 });
    void gather(receiver);
    let called = false;
    const released = new Promise<void>((resolve) => {
      // So little that the far end acknowledges it unread.
      sender.write(Buffer.alloc(16_000), () => {
        called = true;
        resolve();
      });
    });
    // The tick in which Node calls back: the engine waits for the release from here on.
    await Promise.resolve();
    await new Promise((resolve) => process.nextTick(resolve));
    // Reads what was released; who waits for it is told in a later tick.
    const deadline = performance.now() + 10_000;
    while (sender.zeroCopy.pendingSends > 0 && performance.now() < deadline) {
      void sender.zeroCopy.stats;
    }
    assert.equal(sender.zeroCopy.pendingSends, 0);
    const before = called;
    // What a write does that ends an experiment, or finds too few descriptors.
    sweepIdle();
    sweepIdle();
    assert.equal(called, before);
    assert.equal(before, false);
    await released;
  });
});

describe('the async context of a callback that is not held', () => {
  const connections = loopback();

  it('is Node’s own, and so is its error', async () => {
    const { sender } = await connections.pair({ engine: 'copy' });
    sender.on('error', () => undefined);
    sender.destroy();
    const resource = new AsyncResource('TEST');
    const error = await resource.runInAsyncScope(
      () => new Promise<Error | null | undefined>((resolve) => sender.write('x', resolve)),
    );
    assert.equal((error as NodeJS.ErrnoException).code, 'ERR_STREAM_DESTROYED');
    await (sender.closed ? undefined : once(sender, 'close'));
  });
});

for (const zeroCopy of ENGINES) {
  describe(`a response of pieces of a pool, ${JSON.stringify(zeroCopy)}`, () => {
    const connections = loopback();
    const BYTES = 4 * 1024 * 1024;

    it('arrives intact, although it is freed right after the calls that send it', async () => {
      const pool = new BufferPool({ bytes: 3 * BYTES });
      const server = http.createServer((_request, response) => {
        response.setHeader('Content-Length', 2 * BYTES);
        const pieces = [pool.allocUnsafe(BYTES).fill(1), pool.allocUnsafe(BYTES).fill(2)] as const;
        response.write(pieces[0]);
        response.end(pieces[1]);
        for (const piece of pieces) pool.free(piece);
        const taken: Buffer[] = [];
        while (pool.stats.fallbackAllocations === 0) taken.push(pool.allocUnsafe(BYTES / 4));
        for (const piece of taken) pool.free(piece.fill(0xee));
      });
      enableZeroCopy(server, { ...zeroCopy, threshold: 1 });
      await connections.listen(server);
      const client = connections.own(net.connect(addressOf(server)));
      client.pause();
      client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
      await until('the pieces were used again', () => pool.stats.fallbackAllocations > 0);
      const seen = new Map([1, 2, 0xee].map((byte) => [byte, 0]));
      await gather(client, (chunk) => {
        for (const byte of chunk) {
          const count = seen.get(byte);
          if (count !== undefined) seen.set(byte, count + 1);
        }
      });
      assert.deepEqual([...seen.values()], [BYTES, BYTES, 0]);
      await until('all is back', () => pool.stats.pieces + pool.stats.pinnedPieces === 0);
    });
  });
}
