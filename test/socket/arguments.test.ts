// What a program can pass that is wrong, and what it can do twice: it is told at once, nothing is sent
// and nothing is changed.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { EventEmitter, once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { inspect } from 'node:util';
import {
  connect,
  createServer,
  enableZeroCopy,
  isZeroCopy,
  ZeroCopySocket,
  type ZeroCopyOptions,
} from '../../lib/index';
import { addressOf, gather, loopback, sha256, take } from '../helpers/loopback';

const TYPE = 'ERR_INVALID_ARG_TYPE';
const BAD_OPTIONS = [
  [{ threshold: -1 }, 'ERR_OUT_OF_RANGE'],
  [{ threshold: '1' }, TYPE],
  [{ engine: 'warp' }, 'ERR_OUT_OF_RANGE'],
  [{ source: 5 }, TYPE],
  [{ callbackAt: true }, TYPE],
  [{ maxPendingBytes: NaN }, 'ERR_OUT_OF_RANGE'],
  [{ lingerTimeoutMs: 2 ** 31 }, 'ERR_OUT_OF_RANGE'],
  [7, TYPE],
] as const;
/** Above the default threshold, and within the first window of a receiver that reads nothing yet. */
const LARGE = 40 * 1024;

/** Every own property of a socket, with what it is. */
function shape(target: object): Map<string | symbol, unknown> {
  const descriptors = Object.getOwnPropertyDescriptors(target) as Record<
    string,
    PropertyDescriptor
  >;
  return new Map(
    Reflect.ownKeys(descriptors).map((key) => {
      const { value, get } = descriptors[key as string] as PropertyDescriptor;
      return [key, typeof value === 'function' ? value : get];
    }),
  );
}

describe('arguments', () => {
  const connections = loopback();

  describe('enableZeroCopy', () => {
    it('accepts only sockets and servers', () => {
      const others = [
        undefined,
        null,
        5,
        'x',
        {},
        [],
        () => 1,
        new EventEmitter(),
        http,
        Symbol('s'),
      ];
      const datagrams = dgram.createSocket('udp4');
      for (const target of [...others, datagrams]) {
        const expected = {
          code: TYPE,
          message:
            /express's app\.listen\(\) or fastify's app\.server \(UDP: createUdpSocket\(\)\)\. Received/,
        };
        assert.throws(() => enableZeroCopy(target as net.Socket), expected);
      }
      datagrams.close();
    });

    it("names 'auto' beside a number for a threshold of another type", () => {
      assert.throws(() => enableZeroCopy(new net.Socket(), { threshold: '64k' as never }), {
        code: TYPE,
        message: /"options\.threshold" property must be a number of bytes or 'auto'/,
      });
    });

    for (const [options, code] of BAD_OPTIONS) {
      it(`changes nothing when the options are ${inspect(options)}`, () => {
        const given = options as unknown as ZeroCopyOptions;
        const socket = new net.Socket();
        const before = shape(socket);
        assert.throws(() => enableZeroCopy(socket, given), { code });
        assert.deepEqual(shape(socket), before);
        assert.equal(isZeroCopy(socket), false);
        const server = http.createServer();
        const listeners = server.listeners('connection');
        assert.throws(() => enableZeroCopy(server, given), { code });
        assert.deepEqual(server.listeners('connection'), listeners);
        assert.equal(Object.hasOwn(server, 'emit'), false);
      });
    }

    it('keeps the options of an upgraded socket when the new ones are wrong', async () => {
      const { sender } = await connections.pair({ engine: 'copy' });
      assert.throws(() => enableZeroCopy(sender, { threshold: NaN }), { code: 'ERR_OUT_OF_RANGE' });
      assert.equal(sender.zeroCopy.reason, 'disabled');
    });

    it('called twice applies new options to later sends, and adds no second hook', async () => {
      const { sender, receiver } = await connections.pair({ engine: 'msg_zerocopy' });
      const first = Buffer.alloc(LARGE, 1);
      const second = Buffer.alloc(LARGE, 2);
      assert.equal((await sender.send(first)).copiedBytes, 0);
      const before = shape(sender);
      assert.equal(enableZeroCopy(sender, { engine: 'copy' }), sender);
      assert.equal(enableZeroCopy(sender, { engine: 'copy' }), sender);
      assert.deepEqual(shape(sender), before);
      const report = await sender.send(second);
      assert.equal(report.copiedBytes, LARGE);
      assert.equal(report.reason, 'disabled');
      const arrived = gather(receiver);
      sender.end();
      assert.equal((await arrived).sha256, sha256(first, second));
    });

    it('called twice on a server applies new options to later connections, and adds one listener', async () => {
      const server = await connections.silentServer();
      enableZeroCopy(server, { engine: 'copy' });
      const count = server.listenerCount('connection');
      const reasons: unknown[] = [];
      server.on('connection', (socket: net.Socket) => {
        assert.ok(isZeroCopy(socket));
        reasons.push(socket.zeroCopy.reason);
      });
      for (const options of [{ engine: 'copy' }, { engine: 'msg_zerocopy' }] as const) {
        enableZeroCopy(server, options);
        assert.equal(server.listenerCount('connection'), count + 1);
        connections.own(net.connect(addressOf(server)));
        await once(server, 'connection');
      }
      assert.deepEqual(reasons, ['disabled', undefined]);
    });

    it('keeps the options of connections that are upgraded already when their server is', async () => {
      const server = await connections.silentServer();
      server.on('connection', (socket: net.Socket) => enableZeroCopy(socket, { engine: 'copy' }));
      enableZeroCopy(server);
      connections.own(net.connect(addressOf(server)));
      const [socket] = (await once(server, 'connection')) as [net.Socket];
      assert.ok(isZeroCopy(socket) && socket.zeroCopy.reason === 'disabled');
    });

    it("accepts a destroyed socket, whose state is 'closed'", async () => {
      const { sender } = await connections.plainPair();
      sender.destroy();
      const upgraded = enableZeroCopy(sender);
      assert.equal(upgraded.zeroCopy.state, 'closed');
      await assert.rejects(upgraded.send(Buffer.alloc(LARGE)), { code: 'ERR_STREAM_DESTROYED' });
      const error = await new Promise((resolve) => upgraded.write(Buffer.alloc(LARGE), resolve));
      assert.equal((error as NodeJS.ErrnoException).code, 'ERR_STREAM_DESTROYED');
      await upgraded.zeroCopy.flush();
    });
  });

  describe('connect and createServer', () => {
    it('refuse bad options before connecting', async () => {
      const server = await connections.silentServer();
      let accepted = 0;
      server.on('connection', () => accepted++);
      for (const [options, code] of BAD_OPTIONS) {
        const zeroCopy = options as unknown as ZeroCopyOptions;
        assert.throws(() => connect({ ...addressOf(server), zeroCopy }), { code });
        assert.throws(() => createServer({ zeroCopy }), { code });
      }
      connections.own(net.connect(addressOf(server)));
      await once(server, 'connection');
      assert.equal(accepted, 1);
    });

    it("refuse what Node's own functions refuse, with the same codes", () => {
      const codeOf = (call: () => unknown): unknown => {
        try {
          call();
          return undefined;
        } catch (error) {
          return (error as NodeJS.ErrnoException).code;
        }
      };
      for (const args of [
        [],
        [{}],
        [70_000],
        [-1],
        [{ port: 'x' }],
        [{ port: 1, lookup: 5 }],
        [null],
      ]) {
        const theirs = codeOf(() => (net.connect as (...a: unknown[]) => unknown)(...args));
        assert.equal(
          codeOf(() => (connect as (...a: unknown[]) => unknown)(...args)),
          theirs,
        );
        assert.notEqual(theirs, undefined);
      }
      for (const args of [[null], ['x'], [5], [{ highWaterMark: -1 }]]) {
        const theirs = codeOf(() => (net.createServer as (...a: unknown[]) => unknown)(...args));
        assert.equal(
          codeOf(() => (createServer as (...a: unknown[]) => unknown)(...args)),
          theirs,
        );
      }
    });
  });

  describe('isZeroCopy', () => {
    it('distinguishes upgraded sockets from everything else', () => {
      for (const other of [undefined, null, 5, 'x', {}, new net.Socket(), new net.Server()]) {
        assert.equal(isZeroCopy(other), false);
      }
      assert.equal(isZeroCopy(new ZeroCopySocket()), true);
      assert.equal(isZeroCopy(enableZeroCopy(new net.Socket())), true);
    });
  });

  describe('send', () => {
    it('accepts only Uint8Arrays and lists of them, and sends nothing of a list with one bad item', async () => {
      const { sender, receiver } = await connections.pair({ engine: 'msg_zerocopy' });
      const good = Buffer.alloc(LARGE, 3);
      const wrong = [undefined, null, 5, 'text', {}, new ArrayBuffer(8), new DataView(good.buffer)];
      for (const data of [...wrong, new Uint16Array(8), ...wrong.map((item) => [good, item])]) {
        assert.throws(() => sender.send(data as Buffer), { code: TYPE });
      }
      assert.equal(sender.writableLength, 0);
      assert.equal(sender.writableCorked, 0);
      await sender.send(good);
      const arrived = gather(receiver);
      sender.end();
      assert.equal((await arrived).sha256, sha256(good));
    });

    it('accepts only an object with an AbortSignal as options', async () => {
      const { sender, receiver } = await connections.pair({ engine: 'msg_zerocopy' });
      const data = Buffer.alloc(LARGE);
      for (const signal of [null, 5, 'x', {}, new EventTarget(), new AbortController()]) {
        const options = { signal } as { signal: AbortSignal };
        assert.throws(() => sender.send(data, options), { code: TYPE });
      }
      for (const options of [null, 5, 'x', () => 1]) {
        assert.throws(() => sender.send(data, options as object), { code: TYPE });
      }
      const arrived = gather(receiver);
      sender.end();
      assert.equal((await arrived).bytes, 0);
    });

    it('with no data resolves in order, and sends nothing', async () => {
      const { sender, receiver } = await connections.pair({ engine: 'msg_zerocopy', threshold: 0 });
      for (const data of [[], Buffer.alloc(0), [Buffer.alloc(0), new Uint8Array(0)]]) {
        const report = await sender.send(data);
        assert.equal(report.bytes, 0);
        assert.equal(report.zeroCopyBytes + report.kernelCopiedBytes + report.unknownBytes, 0);
      }
      const arrived = gather(receiver);
      sender.end();
      assert.equal((await arrived).bytes, 0);
      assert.equal(sender.zeroCopy.stats.zeroCopySends, 0);
    });

    it('sends shared memory (SharedArrayBuffer)', async () => {
      const { sender, receiver } = await connections.pair({ engine: 'msg_zerocopy' });
      const shared = new Uint8Array(new SharedArrayBuffer(LARGE + 10), 10).fill(9);
      const report = await sender.send(shared);
      assert.equal(report.copiedBytes, 0);
      await new Promise((resolve) => sender.write(shared, resolve));
      const arrived = gather(receiver);
      sender.end();
      assert.equal((await arrived).sha256, sha256(shared, shared));
    });
  });

  describe('write', () => {
    it('with no data calls back and sends nothing, whatever the threshold', async () => {
      for (const threshold of [0, 1, 32_768]) {
        const { sender, receiver } = await connections.pair({ engine: 'msg_zerocopy', threshold });
        const names: string[] = [];
        await new Promise<void>((resolve) => {
          sender.write('', () => names.push('text'));
          sender.write(Buffer.alloc(0), () => names.push('buffer'));
          sender.write(Buffer.alloc(LARGE, 1), () => names.push('large'));
          sender.write(new Uint8Array(0), () => resolve());
        });
        assert.deepEqual(names.slice(0, 2), ['text', 'buffer']);
        const arrived = gather(receiver);
        sender.end();
        assert.equal((await arrived).bytes, LARGE);
      }
    });

    it("refuses what Node's own write() refuses, with the same codes", async () => {
      const { sender, receiver } = await connections.pair({ engine: 'msg_zerocopy' });
      for (const chunk of [undefined, 5, {}, [], true]) {
        assert.throws(() => sender.write(chunk as unknown as Buffer), { code: TYPE });
      }
      for (const rest of [[], [() => undefined]]) {
        assert.throws(() => (sender.write as (...args: unknown[]) => boolean)(null, ...rest), {
          code: 'ERR_STREAM_NULL_VALUES',
        });
      }
      assert.throws(() => sender.write('x', 'no-such' as BufferEncoding), {
        code: 'ERR_UNKNOWN_ENCODING',
      });
      const arrived = gather(receiver);
      sender.end();
      assert.equal((await arrived).bytes, 0);
    });

    // Newer Nodes take every ArrayBufferView. Its `length` counts elements, or is missing.
    it('releases views of any type, where Node accepts them', async () => {
      const { sender, receiver } = await connections.pair({
        engine: 'msg_zerocopy',
        threshold: 4096,
      });
      const memory = new ArrayBuffer(16_384);
      for (const view of [
        new Float64Array(memory),
        new DataView(memory),
        new Uint16Array(memory),
      ]) {
        const pending = new Promise<number>((resolve) => {
          try {
            sender.write(view as unknown as Buffer, () => resolve(sender.zeroCopy.pendingSends));
          } catch (error) {
            assert.equal((error as NodeJS.ErrnoException).code, TYPE);
            resolve(0);
          }
        });
        assert.equal(await pending, 0, `${view.constructor.name} came back while it was pending`);
      }
      sender.write('over');
      assert.ok((await take(receiver, 4)).length >= 4);
    });
  });

  describe('inspecting', () => {
    it('shows the state of zero copy in one line', async () => {
      const { sender } = await connections.pair({ engine: 'msg_zerocopy' });
      assert.match(
        inspect(sender.zeroCopy),
        /^ZeroCopy \{ msg_zerocopy, active, pending 0 bytes in 0 sends, .* copied by choice, from 32768 .*\}$/,
      );
      await sender.send(Buffer.alloc(LARGE));
      assert.match(
        inspect(sender.zeroCopy),
        /1 zero-copy sends of 40960 bytes \(1 copied by the kernel\)/,
      );
      enableZeroCopy(sender, { engine: 'copy' });
      assert.match(inspect(sender.zeroCopy), /^ZeroCopy \{ copy, unsupported: disabled,/);
    });

    it('does not change the enumerable properties of a socket', async () => {
      const { sender } = await connections.plainPair();
      const before = Object.keys(sender);
      enableZeroCopy(sender, { engine: 'msg_zerocopy' });
      await (sender as ZeroCopySocket).send(Buffer.alloc(LARGE));
      assert.deepEqual(Object.keys(sender), before);
      assert.ok(inspect(sender).length > 0);
    });
  });
});
