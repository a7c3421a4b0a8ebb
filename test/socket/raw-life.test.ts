// The lives of raw sockets: iterators, abort signals, disposal, what waits when they close, and that
// nothing of them stays.
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  createRawSocket,
  type RawRemoteInfo,
  type RawSocketOptions,
  type ZeroCopyRawSocket,
} from '../../lib/index';
import { isolated } from '../helpers/isolated';
import { OVERWRITTEN } from '../../scripts/pattern';
import { sha256 } from '../helpers/loopback';
import { countDescriptors, descriptorsBackTo, openPorts } from '../helpers/remains';
import { until } from '../../scripts/until';
import { mayOpenRawSockets, ownedSockets } from '../helpers/owned-sockets';

const IPV4_HEADER_BYTES = 20;

describe('the life of raw sockets', () => {
  if (!mayOpenRawSockets()) return;

  let host: string;
  let protocol: number;
  const own = ownedSockets();
  beforeEach(() => {
    // An address and a protocol of each test's own: raw sockets hear the whole machine.
    host = `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(1, 255)}`;
    protocol = randomInt(146, 253); // unassigned
  });

  function open(options: Partial<RawSocketOptions> = {}): ZeroCopyRawSocket {
    return own(createRawSocket({ family: 4, protocol, ...options }));
  }

  async function bound(options: Partial<RawSocketOptions> = {}): Promise<ZeroCopyRawSocket> {
    const socket = open(options);
    socket.bind(host);
    await once(socket, 'listening');
    return socket;
  }

  function payloadOf({ data }: { data: Buffer }): string {
    return data.subarray(IPV4_HEADER_BYTES).toString();
  }

  describe('iterators', () => {
    it('yield datagrams in order, and end when the socket is closed', async () => {
      const receiver = await bound();
      const sender = open();
      const heard: string[] = [];
      const infos: RawRemoteInfo[] = [];
      const loop = (async () => {
        for await (const datagram of receiver) {
          heard.push(payloadOf(datagram));
          infos.push(datagram.rinfo);
          if (heard.length === 5) receiver.close();
        }
      })();
      await sender.sendMany(
        ['a', 'b', 'c', 'd', 'e'].map((text) => Buffer.from(text)),
        { address: host },
      );
      await loop;
      assert.deepEqual(heard, ['a', 'b', 'c', 'd', 'e']);
      assert.deepEqual(infos[0], { address: '127.0.0.1', family: 'IPv4', size: 21 });
    });

    it('keep what arrives while the loop is busy', async () => {
      const receiver = await bound();
      const sender = open();
      const iterator = receiver[Symbol.asyncIterator]();
      const first = iterator.next();
      for (let i = 0; i < 40; i++) await sender.send(Buffer.from(`${i}`), { address: host });
      assert.equal(payloadOf((await first).value as { data: Buffer }), '0');
      for (let i = 1; i < 40; i++) {
        const { value } = await iterator.next();
        assert.equal(payloadOf(value as { data: Buffer }), `${i}`);
      }
    });

    it('end every loop, after what was received before', async () => {
      const receiver = await bound();
      const loops = [receiver[Symbol.asyncIterator](), receiver[Symbol.asyncIterator]()];
      const firsts = loops.map((loop) => loop.next());
      await open().send(Buffer.from('to both'), { address: host });
      for (const { value } of await Promise.all(firsts)) {
        assert.equal(payloadOf(value as { data: Buffer }), 'to both');
      }
      const waiting = loops.map((loop) => loop.next());
      receiver.close();
      for (const { done } of await Promise.all(waiting)) assert.equal(done, true);
      assert.equal((await receiver[Symbol.asyncIterator]().next()).done, true);
    });

    it('can be left, and the socket stays open', async () => {
      const receiver = await bound();
      const sender = open();
      setImmediate(() => sender.send(Buffer.from('first'), host));
      for await (const datagram of receiver) {
        assert.equal(payloadOf(datagram), 'first');
        break;
      }
      const message = once(receiver, 'message') as Promise<[Buffer]>;
      await sender.send(Buffer.from('second'), { address: host });
      assert.equal(payloadOf({ data: (await message)[0] }), 'second');
    });
  });

  describe('abort signals', () => {
    it('cancel a send of which nothing was sent', async () => {
      const receiver = await bound();
      const sender = open();
      const heard = once(receiver, 'message') as Promise<[Buffer]>;
      const controller = new AbortController();
      const data = Buffer.from('never');
      const sent = sender.send(data, { address: host, signal: controller.signal });
      controller.abort(new Error('for a reason'));
      await assert.rejects(sent, (error: Error & { code?: string }) => {
        assert.deepEqual([error.name, error.code], ['AbortError', 'ABORT_ERR']);
        return (error.cause as Error).message === 'for a reason';
      });
      data.fill(OVERWRITTEN);
      const late = { address: host, signal: AbortSignal.abort() };
      await assert.rejects(sender.send(data, late), { name: 'AbortError' });
      await assert.rejects(sender.sendMany([data], late), { name: 'AbortError' });
      await sender.send(Buffer.from('this one'), { address: host });
      assert.equal(payloadOf({ data: (await heard)[0] }), 'this one');
    });

    it('have no effect once the datagram is on its way', async () => {
      const sender = open();
      const controller = new AbortController();
      const { signal } = controller;
      const report = await sender.send(Buffer.alloc(10), { address: host, signal });
      controller.abort();
      assert.equal(report.bytes, 10);
    });

    it('close a socket that was created with one', async () => {
      const controller = new AbortController();
      const socket = await bound({ signal: controller.signal });
      const closed = once(socket, 'close');
      controller.abort();
      await closed;
      assert.equal(socket.zeroCopy.state, 'closed');
      const stillborn = open({ signal: AbortSignal.abort() });
      await once(stillborn, 'close');
    });
  });

  describe('close', () => {
    it('sends what was passed before it in the same turn, and settles every send', async () => {
      const receiver = await bound();
      const sender = open();
      const expected: string[] = [];
      const told: (string | number)[] = [];
      for (let i = 0; i < 30; i++) {
        const data = randomBytes(200);
        expected.push(sha256(data));
        sender.send(data, host, (error) => {
          data.fill(OVERWRITTEN);
          told.push(error === null ? i : error.message);
        });
      }
      const heard: string[] = [];
      receiver.on('message', (data: Buffer) => heard.push(sha256(data.subarray(20))));
      const closed = once(sender, 'close');
      sender.close(() => told.push('closed'));
      await closed;
      assert.deepEqual(told, [...expected.keys(), 'closed']);
      await until('all have arrived', () => heard.length === expected.length);
      assert.deepEqual(heard, expected);
    });

    it("emits 'close' once, in a later turn, and nothing after it", async () => {
      const socket = await bound();
      const events: string[] = [];
      for (const name of ['message', 'error', 'close', 'listening', 'connect']) {
        socket.on(name, () => events.push(name));
      }
      const sender = open();
      for (let i = 0; i < 10; i++) sender.send(Buffer.alloc(8), host);
      assert.equal(socket.close(), socket);
      assert.deepEqual(events, []);
      await once(socket, 'close');
      await nextTurn();
      await nextTurn();
      assert.deepEqual(events, ['close']);
    });

    it('in the same turn as bind() and connect() suppresses their events', async () => {
      const socket = open();
      const events: string[] = [];
      for (const name of ['listening', 'connect', 'error', 'close']) {
        socket.on(name, () => events.push(name));
      }
      socket.bind(host, () => events.push('bound'));
      socket.connect('127.0.0.1', () => events.push('connected'));
      socket.close();
      await once(socket, 'close');
      await nextTurn();
      assert.deepEqual(events, ['close']);
    });

    it('completes an async disposal, which can be repeated', async () => {
      const socket = await bound();
      let closed = false;
      socket.once('close', () => (closed = true));
      await socket[Symbol.asyncDispose]();
      assert.equal(closed, true);
      await socket[Symbol.asyncDispose]();
    });

    it('is allowed inside a message listener', async () => {
      const receiver = await bound();
      let heard = 0;
      receiver.on('message', () => {
        heard++;
        receiver.close();
      });
      const closed = once(receiver, 'close');
      const list = Array.from({ length: 10 }, () => Buffer.alloc(8));
      await open().sendMany(list, { address: host });
      await closed;
      assert.equal(heard, 1);
    });

    it('leaves no descriptor and no port behind, whatever happened before', async () => {
      await open().send(Buffer.alloc(8), { address: host }); // what every socket shares
      const descriptors = countDescriptors();
      const ports = openPorts();
      const signal = AbortSignal.abort();
      for (let round = 0; round < 3; round++) {
        const several = [open(), open({ family: 6 }), await bound(), open(), open()];
        const [idle, six, receiver, sender, connected] = several as [
          ZeroCopyRawSocket,
          ZeroCopyRawSocket,
          ZeroCopyRawSocket,
          ZeroCopyRawSocket,
          ZeroCopyRawSocket,
        ];
        assert.ok(idle);
        receiver.on('message', () => undefined);
        connected.connect(host);
        await once(connected, 'connect');
        await connected.send(Buffer.alloc(8), {});
        await six.send(Buffer.alloc(8), { address: '::1' });
        await assert.rejects(sender.send(Buffer.alloc(70_000), { address: host }));
        await assert.rejects(sender.send(Buffer.alloc(8), { address: host, signal }));
        sender.send(Buffer.alloc(8), host, () => undefined);
        assert.ok(openPorts() >= ports + several.length);
        const closing = several.map((socket) => once(socket, 'close'));
        for (const socket of several) socket.close();
        await Promise.all(closing);
      }
      await descriptorsBackTo(descriptors);
      await until('the ports are closed', () => openPorts() <= ports);
    });
  });

  it('callbacks keep their async context', async () => {
    const storage = new AsyncLocalStorage<number>();
    const sender = open();
    const seen = [1, 2, 3].map((value) => {
      return new Promise((resolve) => {
        const send = (): void =>
          sender.send(Buffer.alloc(8), host, () => resolve(storage.getStore()));
        storage.run(value, send);
      });
    });
    assert.deepEqual(await Promise.all(seen), [1, 2, 3]);
  });

  it('datagrams that find no room are counted', async () => {
    const receiver = await bound({ recvBufferSize: 4096 });
    let heard = 0;
    receiver.on('message', () => heard++);
    const drops = (): number => {
      const stats = receiver.zeroCopy.stats as unknown as Record<string, number>;
      return stats['receiveDrops'] ?? 0;
    };
    const sender = open();
    // All in one turn of the loop: the receiver has no chance to read in between.
    for (let i = 0; i < 200; i++) sender.send(Buffer.alloc(500), host);
    await until('something has arrived', () => heard > 0);
    let sent = 200;
    // The count comes with a datagram that is queued after the loss.
    await until('all are accounted for', async () => {
      await sender.send(Buffer.alloc(8), { address: host });
      sent++;
      await nextTurn();
      return drops() > 0 && heard + drops() === sent;
    });
    assert.ok(heard < 200, `${heard}`);
  });

  describe('raw sockets and the end of the process', () => {
    it('do not keep it alive when they are closed or unreferenced', async () => {
      const { code, stderr, answer } = await isolated(async ({ zc, events }) => {
        const listening = zc.createRawSocket({ family: 4, protocol: 253 }, () => undefined);
        listening.bind('127.0.0.1');
        await events.once(listening, 'listening');
        listening.unref();
        const sender = zc.createRawSocket({ family: 6, protocol: 253 });
        await sender.send(Buffer.alloc(100), { address: '::1' });
        sender.close();
        return 'ended by itself';
      });
      assert.deepEqual([code, stderr, answer], [0, '', 'ended by itself']);
    });

    it('end with process.exit(), even with waiting sends', async () => {
      const { code, stderr } = await isolated(({ zc }) => {
        const socket = zc.createRawSocket({ family: 4, protocol: 253 }, () => undefined);
        for (let i = 0; i < 10; i++) socket.send(Buffer.alloc(100), '127.0.0.1', () => undefined);
        process.exit(7);
      });
      assert.deepEqual([code, stderr], [7, '']);
    });
  });
});
