// Whose memory it is, and until when: of sends that were handed over, that wait, that failed.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import dgram from 'node:dgram';
import { once } from 'node:events';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { UdpSocketOptions, ZeroCopyUdpSocket } from '../../lib/index';
import { openSockets, type OpenSockets, type Sink } from '../helpers/dgram-behaviours-open';

const OVERWRITTEN = '!';
/** Around the default threshold of zero copy, and beyond it. */
const SIZES = [1, 1000, 32_767, 32_768, 60_000];

/** Ways to have a socket whose sends go different ways before they reach the kernel. */
const WAYS: readonly [string, (sockets: OpenSockets, sink: Sink) => Promise<ZeroCopyUdpSocket>][] =
  [
    ['connected', (sockets, sink) => sockets.connectedTo(sink)],
    ['bound', (sockets) => sockets.bound()],
    ['not bound yet', async (sockets) => sockets.create()],
    ['with a slow lookup', (sockets) => sockets.bound({ lookup: slowly })],
    ['forced', (sockets, sink) => sockets.connectedTo(sink, { zeroCopy: FORCED })],
  ];
const FORCED = { engine: 'msg_zerocopy', threshold: 0 } as const;

const slowly = ((_name: string, _family: unknown, done: (...args: unknown[]) => void) =>
  setImmediate(done, null, '127.0.0.1', 4)) as unknown as NonNullable<UdpSocketOptions['lookup']>;

function letters(bytes: number, index: number): string {
  return String.fromCharCode(97 + (index % 26)).repeat(bytes);
}

/** Arguments behind the message. */
function destination(way: string, sink: Sink): unknown[] {
  if (way === 'connected' || way === 'forced') return [];
  return [sink.port, way === 'with a slow lookup' ? 'some.name.invalid' : '127.0.0.1'];
}

describe('the memory of a UDP send', () => {
  const sockets = openSockets();

  for (const [way, open] of WAYS) {
    it(`is copied when send() without a callback returns: ${way}`, async () => {
      const sink = await sockets.sink();
      const socket = await open(sockets, sink);
      const send = socket.send.bind(socket) as (...args: unknown[]) => void;
      const to = destination(way, sink);
      const expected: string[] = [];
      for (const [index, size] of SIZES.entries()) {
        const one = Buffer.from(letters(size, index));
        const two = Buffer.from('-tail-');
        send(one, ...to);
        expected.push(one.toString());
        one.fill(OVERWRITTEN);
        one.fill(letters(size, index + 5));
        send([one, two], ...to);
        expected.push(one.toString() + two.toString());
        one.fill(OVERWRITTEN);
        two.fill(OVERWRITTEN);
        assert.deepEqual((await sink.next(2)).map(String), expected.splice(0));
      }
    });

    it(`is the caller's again in the callback, and once the promise resolves: ${way}`, async () => {
      const sink = await sockets.sink();
      const socket = await open(sockets, sink);
      const send = socket.send.bind(socket) as (...args: unknown[]) => void;
      const to = destination(way, sink);
      const options = to.length === 0 ? {} : { port: to[0] as number, address: to[1] as string };
      for (const [index, size] of SIZES.entries()) {
        const memory = [Buffer.from(letters(size, index)), Buffer.from(letters(7, index + 1))];
        const expected = memory.map(String).join('');
        await new Promise<void>((resolve, reject) => {
          send(memory, ...to, (error: Error | null, bytes: number) => {
            for (const piece of memory) piece.fill(OVERWRITTEN);
            if (error !== null || bytes !== size + 7) reject(error ?? new Error(`${bytes} bytes`));
            else resolve();
          });
        });
        const again = Buffer.from(letters(size, index + 3));
        const expectedToo = again.toString();
        const sent = socket.send(again, options).then(() => again.fill(OVERWRITTEN));
        await sent;
        assert.deepEqual((await sink.next(2)).map(String), [expected, expectedToo]);
      }
    });
  }

  it('is released with an error, too, once each', async () => {
    const sink = await sockets.sink();
    const socket = await sockets.connectedTo(sink, { zeroCopy: FORCED });
    const calls: (string | undefined)[] = [];
    for (const size of [65_508, 10, 70_000]) {
      socket.send(Buffer.alloc(size), (error) => {
        calls.push((error as NodeJS.ErrnoException | null)?.code);
      });
    }
    await socket.zeroCopy.flush();
    await nextTurn();
    assert.deepEqual(calls.sort(), ['EMSGSIZE', 'EMSGSIZE', undefined]);
  });

  it('leaves no unhandled rejection', async () => {
    const unhandled: unknown[] = [];
    const listener = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', listener);
    try {
      const socket = await sockets.bound();
      const send = socket.send.bind(socket) as (...args: unknown[]) => unknown;
      const large = Buffer.alloc(70_000);
      assert.equal(send(large, 9, '127.0.0.1'), undefined);
      assert.equal(send(large, 9, '::1'), undefined);
      assert.equal(
        send(large, 9, '127.0.0.1', () => undefined),
        undefined,
      );
      assert.throws(() => send(large, 0, '127.0.0.1'));
      for (let turn = 0; turn < 3; turn++) await nextTurn();
    } finally {
      process.off('unhandledRejection', listener);
    }
    assert.deepEqual(unhandled, []);
  });
});

/** What happens in a network namespace of its own, whose loopback device moves nothing for a while. */
async function fullSocket(body: (tools: FullTools) => Promise<unknown>): Promise<unknown> {
  const script = `
const { execFileSync } = require('node:child_process');
execFileSync('ip', ['link', 'set', 'lo', 'up']);
const tc = (verb, ...rest) => execFileSync('tc', ['qdisc', verb, 'dev', 'lo', 'root', 'tbf', ...rest]);
const tools = {
  zc: require(process.argv[1]), dgram: require('node:dgram'), events: require('node:events'),
  stop: () => tc('replace', 'rate', '8kbit', 'burst', '2000', 'limit', '64mb'),
  release: () => tc('change', 'rate', '10gbit', 'burst', '512kb', 'limit', '64mb'),
  turn: () => new Promise((resolve) => setImmediate(() => setImmediate(resolve))),
};
(${body.toString()})(tools).then((answer) => {
  process.stdout.write(JSON.stringify(answer));
  process.exit();
});`;
  const library = path.join(__dirname, '../../lib/index.js');
  const child = spawn('unshare', ['-n', process.execPath, '-e', script, library], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 45_000,
    killSignal: 'SIGKILL',
  });
  let stdout = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  await once(child, 'close');
  return JSON.parse(stdout) as unknown;
}

interface FullTools {
  readonly zc: typeof import('../../lib/index');
  readonly dgram: typeof dgram;
  readonly events: typeof import('node:events');
  stop(): void;
  release(): void;
  turn(): Promise<void>;
}

describe('a UDP socket whose send buffer is full', () => {
  if (process.geteuid?.() !== 0) {
    it('skipped: needs root, for a network namespace of its own');
    return;
  }

  it('copies before send() without a callback returns, even then', async () => {
    const answer = await fullSocket(async ({ zc, dgram: core, events, stop, release, turn }) => {
      const receiver = core.createSocket({ type: 'udp4', recvBufferSize: 1_000_000 });
      receiver.bind(0, '127.0.0.1');
      await events.once(receiver, 'listening');
      const { port } = receiver.address();
      const arrived: string[] = [];
      const over = new Promise<void>((resolve) => {
        receiver.on('message', (message) => {
          if (message.length === 1000) arrived.push([...new Set(message.toString())].join(''));
          if (arrived.length === 60) resolve();
        });
      });
      const socket = zc.createUdpSocket({ type: 'udp4', sendBufferSize: 8192 });
      socket.connect(port, '127.0.0.1');
      await events.once(socket, 'connect');
      stop();
      let called = 0;
      for (let i = 0; i < 60; i++) {
        const memory = Buffer.alloc(1000, 65 + (i % 26));
        // Each third has a callback, and keeps its memory until that.
        if (i % 3 === 0) {
          socket.send(memory, () => {
            called++;
            memory.fill('!');
          });
        } else {
          socket.send(memory);
          memory.fill('!');
        }
      }
      await turn();
      const waiting = [socket.getSendQueueSize() > 0, socket.getSendQueueCount() > 0, called < 20];
      release();
      core.createSocket('udp4').send('wakes the queue', port, '127.0.0.1');
      await over;
      await socket.zeroCopy.flush();
      await turn();
      const left = [socket.getSendQueueSize(), socket.getSendQueueCount(), called];
      return { waiting, left, arrived: arrived.join('') };
    });
    const expected = Array.from({ length: 60 }, (_, i) => String.fromCharCode(65 + (i % 26)));
    assert.deepEqual(answer, {
      waiting: [true, true, true],
      left: [0, 0, 20],
      arrived: expected.join(''),
    });
  });

  it('settles flush() and every callback when it is closed', async () => {
    const answer = await fullSocket(async ({ zc, stop, turn }) => {
      const options = { sendBufferSize: 8192, maxQueuedBytes: 10_000 };
      const socket = zc.createUdpSocket({ type: 'udp4', ...options });
      const listening = new Promise((resolve) => socket.once('listening', resolve));
      socket.bind(0, '127.0.0.1');
      await listening;
      stop();
      const told: string[] = [];
      const send = (name: string, bytes: number): void =>
        socket.send(Buffer.alloc(bytes), 9, '127.0.0.1', (error) => {
          const { code = 'sent' } = (error ?? {}) as NodeJS.ErrnoException;
          told.push(`${name} ${code}`);
        });
      for (let i = 0; socket.getSendQueueSize() < 10_000; i++) {
        send('before', 1000);
        await turn();
      }
      told.length = 0;
      // No room is needed for those who only wait.
      void socket.zeroCopy.flush().then(() => told.push('flush'));
      await turn();
      const early = [...told];
      send('after', 0);
      await new Promise<void>((resolve) => socket.close(resolve));
      await turn();
      return { early, told };
    });
    const { early, told } = answer as { early: string[]; told: string[] };
    assert.deepEqual(early, []);
    const failed = new Array<string>(10).fill('before ECANCELED');
    assert.deepEqual(told.slice().sort(), ['after ECANCELED', ...failed, 'flush']);
  });

  it('refuses what its queue has no room for, and settles each send at close', async () => {
    const answer = await fullSocket(async ({ zc, stop, turn }) => {
      const options = { sendBufferSize: 8192, maxQueuedBytes: 10_000 };
      const socket = zc.createUdpSocket({ type: 'udp4', ...options });
      const listening = new Promise((resolve) => socket.once('listening', resolve));
      socket.bind(0, '127.0.0.1');
      await listening;
      stop();
      const counts: Record<string, number> = {};
      const count = (what: string): void => void (counts[what] = (counts[what] ?? 0) + 1);
      for (let i = 0; i < 40; i++) {
        socket.send(Buffer.alloc(1000), 9, '127.0.0.1', (error) => {
          count((error as NodeJS.ErrnoException | null)?.code ?? 'sent');
        });
        await turn();
      }
      const promised = await socket.send(Buffer.alloc(1000), { port: 9 }).then(
        () => 'sent',
        (error: NodeJS.ErrnoException) => error.code,
      );
      const waiting = socket.getSendQueueSize();
      const count40 = { ...counts };
      await new Promise<void>((resolve) => socket.close(resolve));
      await turn();
      return { promised, waiting, refused: count40, counts };
    });
    const { promised, waiting, refused, counts } = answer as {
      promised: string;
      waiting: number;
      refused: Record<string, number>;
      counts: Record<string, number>;
    };
    assert.equal(promised, 'ERR_ZC_QUEUE_FULL');
    assert.ok(waiting > 0 && waiting <= 10_000, `${waiting} bytes wait`);
    assert.ok((refused['ERR_ZC_QUEUE_FULL'] ?? 0) > 0);
    assert.equal(counts['ECANCELED'], waiting / 1000);
    assert.equal(
      Object.values(counts).reduce((sum, one) => sum + one, 0),
      40,
    );
  });
});
