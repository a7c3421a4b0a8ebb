// metrics(), channels and `socket.zeroCopy` for people, in every kind of process: with workers, without
// the addon, and without subscribers.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inspect } from 'node:util';
import { Worker } from 'node:worker_threads';
import { loadNative } from '../../lib/native/binding';
import * as clock from '../../lib/node/clock';
import {
  channels,
  publishAbort,
  publishFallback,
  publishResume,
} from '../../lib/observe/diagnostics';
import {
  BufferPool,
  connect,
  createUdpSocket,
  enableZeroCopy,
  metrics,
  type ProcessMetrics,
  type ZeroCopyMembers,
  type ZeroCopyStats,
} from '../../lib/index';
import { Heard } from '../helpers/heard';
import { isolated } from '../helpers/isolated';
import { gather, loopback } from '../helpers/loopback';
import { until } from '../../scripts/until';
import type { MetricsWorkerArgument } from '../scenarios/metrics-worker';

const LARGE = 100_000;

interface Told {
  readonly before: ProcessMetrics;
  readonly after: ProcessMetrics;
  readonly stats: ZeroCopyStats;
}

describe('metrics() of workers', () => {
  const connections = loopback();

  it('cover each worker separately', async () => {
    const server = await connections.listen(net.createServer((socket) => socket.resume()));
    const { port } = server.address() as net.AddressInfo;
    const main = metrics();
    const workers = [3, 11].map((writes) => {
      const workerData: MetricsWorkerArgument = { port, writes };
      const worker = new Worker(path.join(__dirname, '../scenarios/metrics-worker.js'), {
        workerData,
      });
      return { worker, told: once(worker, 'message'), exit: once(worker, 'exit'), writes };
    });
    for (const { told, writes } of workers) {
      const [{ before, after, stats }] = (await told) as [Told];
      assert.equal(before.totals.zeroCopySends, 0);
      assert.equal(after.totals.zeroCopyBytes + after.totals.copiedBytes, writes * LARGE);
      assert.deepEqual(after.totals.zeroCopySends, stats.zeroCopySends);
      assert.equal(after.releaseLatency.count, stats.zeroCopySends);
      assert.equal(after.openSockets, 1);
    }
    const { totals, openSockets } = metrics();
    assert.deepEqual([totals, openSockets], [main.totals, main.openSockets]);
    for (const { worker, exit } of workers) {
      worker.postMessage('end');
      assert.deepEqual(await exit, [0]);
    }
  });
});

describe('metrics() without the addon', () => {
  it('sums what TCP and UDP sockets copied, and counts why', async () => {
    const env = { MSG_ZEROCOPY_ADDON: 'off' };
    const { answer } = await isolated(
      async ({ zc, net, events }) => {
        const server = net.createServer((socket) => socket.resume()).listen(0, '127.0.0.1');
        await events.once(server, 'listening');
        const { port } = server.address() as import('node:net').AddressInfo;
        const socket = zc.connect(port, '127.0.0.1');
        for (let i = 0; i < 3; i++) await socket.send(Buffer.alloc(100_000));
        const udp = zc.createUdpSocket('udp4');
        await udp.send(Buffer.alloc(1_000), { port: 9, address: '127.0.0.1' });
        const open = zc.metrics();
        const stats = [socket.zeroCopy.stats.copiedBytes, udp.zeroCopy.stats.copiedBytes];
        await new Promise<void>((resolve) => udp.close(() => resolve()));
        socket.destroy();
        await events.once(socket, 'close');
        server.close();
        return { open, closed: zc.metrics(), stats };
      },
      { env },
    );
    assert.ok(answer !== undefined);
    const { open, closed, stats } = answer;
    assert.deepEqual(stats, [300_000, 1_000]);
    assert.deepEqual([open.openSockets, closed.openSockets], [2, 0]);
    assert.deepEqual(open.totals, closed.totals);
    assert.equal(open.totals.copiedBytes, 301_000);
    assert.deepEqual(open.fallbacks, { 'addon-unavailable': 1 });
    const { pinnedBytes, budgetBytes, openPorts } = open;
    assert.deepEqual(
      { pinnedBytes, budgetBytes, openPorts },
      {
        pinnedBytes: 0,
        budgetBytes: 0,
        openPorts: 0,
      },
    );
  });
});

describe('a refusal of zero copy', () => {
  const connections = loopback();

  it('of a Unix-domain socket is reported once, and counted', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'msg-zerocopy-'));
    const heard = new Heard<{ socket: object; reason: string }>('fallback');
    try {
      const file = path.join(folder, 'socket');
      await connections.listen(
        net.createServer((far) => void gather(far)),
        file,
      );
      const before = metrics().fallbacks['not-tcp'] ?? 0;
      const socket = connections.own(connect(file));
      for (let i = 0; i < 3; i++) {
        await new Promise((resolve) => socket.write(Buffer.alloc(LARGE), resolve));
      }
      await until('it is told', () => heard.messages.length > 0);
      assert.deepEqual(heard.messages, [{ socket, reason: 'not-tcp' }]);
      assert.equal(metrics().fallbacks['not-tcp'], before + 1);
    } finally {
      heard.stop();
      rmSync(folder, { recursive: true });
    }
  });

  it('that the program asked for is not reported', async () => {
    const heard = new Heard('fallback');
    const { sender, receiver } = await connections.pair({ engine: 'copy' });
    void gather(receiver);
    await sender.send(Buffer.alloc(LARGE));
    await new Promise((resolve) => setImmediate(resolve));
    heard.stop();
    assert.deepEqual(heard.messages, []);
  });
});

describe('diagnostics channels without subscribers', () => {
  it('create no message and schedule no tick', async () => {
    for (const one of Object.values(channels))
      assert.equal(one.hasSubscribers, false, String(one.name));
    const { nextTick } = clock;
    let ticks = 0;
    Object.assign(clock, { nextTick: () => void ticks++ });
    try {
      publishFallback({}, 'budget');
      publishResume({});
      publishAbort({}, 'reset', 5);
    } finally {
      Object.assign(clock, { nextTick });
    }
    assert.equal(ticks, 0);
    const heard = new Heard<{ reason: string }>('fallback');
    publishFallback({}, 'budget');
    await new Promise((resolve) => setImmediate(resolve));
    heard.stop();
    assert.deepEqual(
      heard.messages.map(({ reason }) => reason),
      ['budget'],
    );
  });
});

describe('detectMutation', () => {
  const connections = loopback();
  const { native } = loadNative();
  const real = native?.hashBytes;
  let calls = 0;

  beforeEach(() => {
    assert.ok(native !== undefined && real !== undefined, 'the addon does not load');
    calls = 0;
    Object.assign(native, {
      hashBytes: (bytes: Uint8Array) => {
        calls++;
        return real(bytes);
      },
    });
  });
  afterEach(() => void (native !== undefined && Object.assign(native, { hashBytes: real })));

  for (const [detectMutation, expected] of [
    [undefined, 0],
    [false, 0],
    [true, 2],
    ['warn', 2],
    ['throw', 2],
  ] as const) {
    it(`${String(detectMutation)}: a large write is hashed ${expected} times`, async () => {
      const given = detectMutation === undefined ? {} : { detectMutation };
      const { sender, receiver } = await connections.pair({ engine: 'msg_zerocopy', ...given });
      void gather(receiver);
      await new Promise((resolve) => sender.write(Buffer.alloc(LARGE), resolve));
      await sender.zeroCopy.flush();
      assert.equal(calls, expected);
      // Text is encoded into memory of ours, and what is small is copied.
      await new Promise((resolve) => sender.write('x'.repeat(LARGE), resolve));
      await new Promise((resolve) => sender.write(Buffer.alloc(100), resolve));
      assert.equal(calls, expected);
      const socket = createUdpSocket({
        type: 'udp4',
        zeroCopy: { engine: 'msg_zerocopy', threshold: 1000, ...given },
      });
      const to = { port: 9, address: '127.0.0.1' };
      await socket.send(Buffer.alloc(2_000), to);
      await socket.send(Buffer.alloc(999), to);
      await socket.zeroCopy.flush();
      await new Promise<void>((resolve) => socket.close(() => resolve()));
      assert.equal(calls, 2 * expected);
    });
  }

  it('can be switched on a running socket', async () => {
    const { sender, receiver } = await connections.pair({ engine: 'msg_zerocopy' });
    void gather(receiver);
    for (const [detectMutation, expected] of [
      [false, 0],
      [true, 2],
      [false, 2],
    ] as const) {
      enableZeroCopy(sender, { engine: 'msg_zerocopy', detectMutation });
      await sender.send(Buffer.alloc(LARGE));
      assert.equal(calls, expected);
    }
  });

  it('refuses unknown values', () => {
    for (const detectMutation of ['yes', 1, null, {}]) {
      const options = { detectMutation } as never;
      const code = typeof detectMutation === 'string' ? 'ERR_OUT_OF_RANGE' : 'ERR_INVALID_ARG_TYPE';
      assert.throws(() => enableZeroCopy(new net.Socket(), options), { code });
      assert.throws(() => createUdpSocket({ type: 'udp4', zeroCopy: options }), { code });
    }
  });

  it("watches a pool's piece that is freed early until its release", async () => {
    const { sender, receiver } = await connections.pair({
      engine: 'msg_zerocopy',
      detectMutation: true,
    });
    void gather(receiver);
    const BYTES = 64 * 1024;
    const pool = new BufferPool({ bytes: 4 * BYTES });
    let reused = 0;
    // Sends reap what was released in between, so that a piece may come back in one turn of the loop.
    for (let round = 0; round < 200; round++) {
      for (let i = 0; i < 10; i++) {
        const piece = pool.allocUnsafe(BYTES).fill(i);
        if (piece.buffer.byteLength > BYTES) reused++;
        sender.write(piece);
        pool.free(piece);
      }
      await new Promise((resolve) => sender.write('.', resolve));
    }
    await sender.zeroCopy.flush();
    assert.ok(reused > 40, `${reused} pieces of the pool`);
    assert.equal(sender.zeroCopy.stats.mutatedBuffers, 0);
  });

  it("names the program's call site behind http", async () => {
    const { answer } = await isolated(async ({ zc, events }) => {
      const http = (await import('node:http')) as typeof import('node:http');
      const { subscribe } = await import('node:diagnostics_channel');
      const found: { stack: string; kind: string }[] = [];
      subscribe('msg-zerocopy:mutation', (message) => void found.push(message as never));
      function answersAndChanges(response: import('node:http').ServerResponse): void {
        const body = Buffer.alloc(300_000, 1);
        response.end(body);
        body[7] = 2;
      }
      const server = http.createServer((_request, response) => answersAndChanges(response));
      zc.enableZeroCopy(server, { engine: 'msg_zerocopy', detectMutation: true });
      server.listen(0, '127.0.0.1');
      await events.once(server, 'listening');
      const { port } = server.address() as import('node:net').AddressInfo;
      const request = http.get({ port, host: '127.0.0.1', agent: false });
      const [response] = (await events.once(request, 'response')) as [
        import('node:http').IncomingMessage,
      ];
      response.resume();
      await events.once(response, 'end');
      for (let i = 0; i < 1_000 && found.length === 0; i++) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      server.closeAllConnections();
      server.close();
      return found.map(({ stack, kind }) => ({ stack, kind }));
    });
    assert.equal(answer?.length, 1);
    assert.equal(answer[0]?.kind, 'changed');
    assert.match(answer[0]?.stack ?? '', /answersAndChanges/);
  });
});

describe('socket.zeroCopy, inspected', () => {
  const connections = loopback();
  const SHOWN = /^ZeroCopy \{ \w+, \w+(: [\w-]+)?, pending \d+ bytes in \d+ sends, \d+ zero-copy/;

  it('is one line for TCP, UDP and TLS sockets', async () => {
    const { sender } = await connections.pair({ engine: 'msg_zerocopy' });
    const udp = createUdpSocket('udp4');
    const tls = await import('node:tls');
    const secure = enableZeroCopy(new tls.TLSSocket(new net.Socket())) as ZeroCopyMembers;
    for (const socket of [sender, udp, secure]) {
      const shown = inspect(socket.zeroCopy);
      assert.match(shown, SHOWN);
      assert.doesNotMatch(shown, /undefined|\n/);
    }
    udp.close();
    await once(udp, 'close');
  });

  it('is everything as JSON, such as a logger writes', async () => {
    const { sender } = await connections.pair({ engine: 'msg_zerocopy' });
    const udp = createUdpSocket('udp4');
    for (const { zeroCopy } of [sender, udp]) {
      const { engine, state, pendingBytes, pendingSends, stats, thresholds } = zeroCopy;
      const shown = JSON.parse(JSON.stringify(zeroCopy)) as object;
      assert.deepEqual(
        { ...shown, maxPacingRate: undefined },
        {
          ...{ engine, state, pendingBytes, pendingSends, maxPacingRate: undefined },
          ...(JSON.parse(JSON.stringify({ stats, thresholds })) as object),
        },
      );
    }
    udp.close();
    await once(udp, 'close');
  });
});
