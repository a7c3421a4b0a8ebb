// UDP sockets without the addon: the same API by node:dgram, which says what it cannot do. Nothing here
// knows which system it runs on: other systems are the ones that it is about.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { BlockList } from 'node:net';
import { missing } from '../../lib/native/loader';
import type { UdpSocketOptions, ZeroCopyUdpSocket } from '../../lib/index';
import { FallbackUdpSocket } from '../../lib/udp/fallback';
import { isolated } from '../helpers/isolated';
import { uncaughtDuring } from '../helpers/uncaught';
import { until } from '../../scripts/until';

const HOST = '127.0.0.1';
/** More than a UDP datagram takes. */
const TOO_MANY = 70_000;

type Failure = NodeJS.ErrnoException & { sentDatagrams?: number };
type Lookup = NonNullable<UdpSocketOptions['lookup']>;

describe('UDP sockets without the addon', () => {
  const open = new Set<dgram.Socket>();

  afterEach(async () => {
    for (const socket of open) {
      socket.removeAllListeners('error').on('error', () => undefined);
      await new Promise<void>((resolve) => socket.close(resolve));
    }
  });

  function own<S extends dgram.Socket>(socket: S): S {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    return socket;
  }

  function create(options: Partial<UdpSocketOptions> = {}): ZeroCopyUdpSocket {
    const socket = new FallbackUdpSocket({ type: 'udp4', ...options }, missing('for this test'));
    return own(socket as unknown as ZeroCopyUdpSocket);
  }

  async function bound(options: Partial<UdpSocketOptions> = {}): Promise<ZeroCopyUdpSocket> {
    const socket = create(options);
    socket.bind(0, HOST);
    await once(socket, 'listening');
    return socket;
  }

  /** Node's own receiver, and what it got so far. */
  async function receiver(): Promise<{ port: number; texts: string[] }> {
    const socket = own(dgram.createSocket('udp4'));
    const texts: string[] = [];
    socket.on('message', (message) => texts.push(message.toString('latin1')));
    socket.bind(0, HOST);
    await once(socket, 'listening');
    return { port: socket.address().port, texts };
  }

  /** What arrived since the last look: all that was sent before, because the last did. */
  async function heard({ port, texts }: { port: number; texts: string[] }): Promise<string[]> {
    const last = own(dgram.createSocket('udp4'));
    last.send('the last', port, HOST);
    await until('the last datagram', () => texts.includes('the last'));
    return texts.splice(0).filter((text) => text !== 'the last');
  }

  async function failureOf(promise: Promise<unknown>): Promise<Failure> {
    return promise.then(
      () => assert.fail('it succeeded'),
      (error: Failure) => error,
    );
  }

  describe('as created by createUdpSocket()', () => {
    for (const addon of ['off', './nothing-of-that-name.node']) {
      it(`send and say why they copy: MSG_ZEROCOPY_ADDON=${addon}`, async () => {
        const env = { MSG_ZEROCOPY_ADDON: addon, MSG_ZEROCOPY_ENGINE: 'msg_zerocopy' };
        const { answer, stderr } = await isolated(
          async ({ zc, events, warnings, turn }) => {
            const receiver = zc.createUdpSocket('udp4');
            receiver.bind(0, '127.0.0.1');
            await events.once(receiver, 'listening');
            const message = events.once(receiver, 'message');
            const sender = zc.createUdpSocket({ type: 'udp4', gro: true, packetInfo: true });
            const { port } = receiver.address();
            const report = await sender.send([Buffer.alloc(40_000, 1), 'tail'], { port });
            const [data] = (await message) as [Buffer];
            const { engine, state, reason, pendingBytes, pendingSends, stats } = sender.zeroCopy;
            const control = { engine, state, reason, pendingBytes, pendingSends };
            const codes = [
              () => zc.createRawSocket({ family: 4, protocol: 'icmp' }),
              () => zc.createPacketSocket({ interface: 'lo' }),
              () => zc.createUdpSocket({ type: 'udp4', maxQueuedBytes: -1 }),
            ].map((call) => {
              try {
                return String(call());
              } catch (error) {
                return (error as NodeJS.ErrnoException).code;
              }
            });
            await Promise.all([sender[Symbol.asyncDispose](), receiver[Symbol.asyncDispose]()]);
            const after = sender.zeroCopy.state;
            await turn();
            const expected = Buffer.concat([Buffer.alloc(40_000, 1), Buffer.from('tail')]);
            const { copiedBytes } = stats;
            const received = receiver.zeroCopy.stats.receivedDatagrams;
            return {
              arrived: data.equals(expected),
              warnings: warnings.length,
              ...{ report, control, codes, after, copiedBytes, received },
            };
          },
          { env },
        );
        assert.deepEqual(
          answer,
          {
            arrived: true,
            warnings: 0,
            report: {
              bytes: 40_004,
              zeroCopyBytes: 0,
              copiedBytes: 40_004,
              kernelCopiedBytes: 0,
              unknownBytes: 0,
              engine: 'copy',
              reason: 'addon-unavailable',
            },
            control: {
              engine: 'copy',
              state: 'unsupported',
              reason: 'addon-unavailable',
              pendingBytes: 0,
              pendingSends: 0,
            },
            codes: ['ERR_ZC_UNAVAILABLE', 'ERR_ZC_UNAVAILABLE', 'ERR_OUT_OF_RANGE'],
            after: 'closed',
            copiedBytes: 40_004,
            received: 1,
          },
          stderr,
        );
      });
    }

    it('obey a list of blocked destinations, or refuse to exist', async () => {
      const { answer, stderr } = await isolated(
        async ({ zc, net }) => {
          const sendBlockList = new net.BlockList();
          sendBlockList.addAddress('127.0.0.1');
          const options = { type: 'udp4', sendBlockList } as const;
          const plain = process.getBuiltinModule('node:dgram').createSocket(options);
          const obeyed = new Promise<boolean>((resolve) =>
            plain.send('x', 9, '127.0.0.1', (error) => resolve(error !== null)),
          );
          const expected = (await obeyed) ? 'ERR_IP_BLOCKED' : 'ERR_ZC_UNAVAILABLE';
          plain.close();
          try {
            const socket = zc.createUdpSocket(options);
            const sent = socket.send('x', { port: 9 }).then(String, (error: Error) => error);
            const { code } = (await sent) as NodeJS.ErrnoException;
            socket.close();
            return { code, expected };
          } catch (error) {
            const { code, message } = error as NodeJS.ErrnoException;
            return { code: message.includes('sendBlockList') ? code : message, expected };
          }
        },
        { env: { MSG_ZEROCOPY_ADDON: 'off' } },
      );
      assert.ok(answer !== undefined, stderr);
      assert.equal(answer.code, answer.expected);
    });
  });

  describe('and the memory of what is sent', () => {
    it('hand it back with the callback and with the promise', async () => {
      const far = await receiver();
      const sender = await bound();
      for (const host of [HOST, 'localhost']) {
        const [told, promised] = [Buffer.from('told'), Buffer.from('promised')];
        await new Promise<void>((resolve) => {
          sender.send(told, far.port, host, (error, bytes) => {
            assert.deepEqual([error, bytes], [null, 4]);
            told.fill('!');
            resolve();
          });
        });
        await sender.send(promised, { port: far.port, address: host });
        promised.fill('!');
      }
      assert.deepEqual(await heard(far), ['told', 'promised', 'told', 'promised']);
    });

    it('copy it before send() returns when nobody is told', async () => {
      const far = await receiver();
      for (const sender of [create(), await bound()]) {
        for (const host of [HOST, 'localhost']) {
          const message = Buffer.from(host);
          sender.send(message, far.port, host);
          message.fill('!');
        }
        await sender.zeroCopy.flush();
      }
      assert.deepEqual((await heard(far)).sort(), [HOST, HOST, 'localhost', 'localhost']);
    });

    it('tell of a buffer that was transferred before it was sent', async () => {
      const { port } = await receiver();
      const sender = await bound();
      const bytes = new Uint8Array(new ArrayBuffer(100));
      const sent = sender.send(bytes, { port });
      structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
      assert.equal((await failureOf(sent)).code, 'ERR_ZC_BUFFER_DETACHED');
      assert.throws(() => sender.send(bytes, { port }), { code: 'ERR_ZC_BUFFER_DETACHED' });
    });

    it('hand it back when bind() fails, and tell of that once', async () => {
      const taken = await receiver();
      const sender = create();
      const events: unknown[] = [];
      sender.on('error', (error: NodeJS.ErrnoException) => events.push(error.code));
      sender.bind(taken.port, HOST);
      const told = new Promise((resolve) => sender.send('told', taken.port, HOST, resolve));
      const promised = failureOf(sender.send('promised', { port: taken.port }));
      sender.send('unheard', taken.port, HOST);
      assert.equal(((await told) as Failure).code, 'EADDRINUSE');
      assert.equal((await promised).code, 'EADDRINUSE');
      await sender.zeroCopy.flush();
      assert.deepEqual(events, ['EADDRINUSE']);
      assert.equal(sender.zeroCopy.stats.failedSends, 1);
      // Another try goes well, and nothing of the first is sent late.
      await sender.send('again', { port: taken.port, address: HOST });
      assert.deepEqual(await heard(taken), ['again']);
    });

    it('hand it back when the socket closes during a lookup', async () => {
      const never = ((_name: string, _options: unknown, _found: unknown): void =>
        undefined) as Lookup;
      const atOnce = ((_name: string, _options: unknown, found: (...a: unknown[]) => void): void =>
        found(null, HOST, 4)) as unknown as Lookup;
      let lookup = atOnce;
      const sender = create({ lookup: ((...a: Parameters<Lookup>) => lookup(...a)) as Lookup });
      await new Promise<void>((resolve) => sender.bind(0, HOST, resolve));
      lookup = never;
      const told = new Promise((resolve) => sender.send('x', 9, 'nowhere', resolve));
      const promised = failureOf(sender.send('x', { port: 9, address: 'nowhere' }));
      sender.close();
      assert.equal(((await told) as Failure).code, 'ERR_SOCKET_DGRAM_NOT_RUNNING');
      assert.equal((await promised).code, 'ERR_SOCKET_DGRAM_NOT_RUNNING');
      await sender.zeroCopy.flush();
    });
  });

  describe('and what dgram cannot do', () => {
    it('cut messages into segments here', async () => {
      const far = await receiver();
      const sender = await bound();
      const parts = ['a'.repeat(400), 'b'.repeat(400), 'c'.repeat(50)];
      const message = Buffer.from(parts.join(''));
      for (const address of [HOST, 'localhost']) {
        const sent = sender.send([message.subarray(0, 7), message.subarray(7)], {
          ...{ port: far.port, address, segmentSize: 400 },
        });
        assert.equal((await sent).copiedBytes, 850);
      }
      await sender.send('short', { port: far.port, address: HOST, segmentSize: 400 });
      assert.deepEqual(await heard(far), [...parts, ...parts, 'short']);
      assert.equal(sender.zeroCopy.stats.softwareSegments, 6);
      const tooMany = (): unknown =>
        sender.send(Buffer.alloc(1000), { port: far.port, segmentSize: 1 });
      assert.throws(tooMany, { code: 'ERR_OUT_OF_RANGE' });
    });

    it('name the options that they refuse, and send nothing then', async () => {
      const far = await receiver();
      const sender = await bound();
      for (const option of [{ tos: 4 }, { source: HOST }, { interface: 'lo' }]) {
        const named = new RegExp(`'${Object.keys(option)[0]}'.*for this test`);
        const refused = [
          sender.send('x', { port: far.port, ...option }),
          sender.sendMany([Buffer.from('x')], { port: far.port, ...option }),
          sender.sendMany([Buffer.from('x'), { data: Buffer.from('y'), ...option }], far),
        ];
        for (const promise of refused) {
          const { code, message } = await failureOf(promise);
          assert.equal(code, 'ERR_ZC_UNAVAILABLE');
          assert.match(message, named);
        }
      }
      // An argument that nobody could take is thrown, as with the addon.
      assert.throws(() => sender.send('x', { port: 9, tos: 256 }), { code: 'ERR_OUT_OF_RANGE' });
      assert.deepEqual(await heard(far), []);
    });

    it('receive without what only the kernel could tell', async () => {
      const socket = await bound({ gro: 'whole', packetInfo: true, receiveTos: true });
      const message = once(socket, 'message');
      await (await bound()).send('x', { port: socket.address().port });
      const [, { segmentSize, size, ...rinfo }] = (await message) as [
        Buffer,
        dgram.RemoteInfo & {
          segmentSize: number;
        },
      ];
      assert.deepEqual([segmentSize, size], [1, 1]);
      assert.deepEqual(Object.keys(rinfo).sort(), ['address', 'family', 'port']);
    });
  });

  describe('and many datagrams', () => {
    it('try all, and say how many went', async () => {
      const far = await receiver();
      const sender = await bound();
      const own = { data: [Buffer.from('t'), Buffer.from('wo')], address: 'localhost' };
      const report = await sender.sendMany([Buffer.from('one'), own], { port: far.port });
      assert.equal(report.copiedBytes, 6);
      const datagrams = [Buffer.from('three'), Buffer.alloc(TOO_MANY), Buffer.from('four')];
      const { code, sentDatagrams } = await failureOf(sender.sendMany(datagrams, far));
      assert.deepEqual([code, sentDatagrams], ['EMSGSIZE', 2]);
      assert.equal((await sender.sendMany([])).bytes, 0);
      assert.deepEqual((await heard(far)).sort(), ['four', 'one', 'three', 'two']);
    });

    it('go to the peer of a connected socket, and check what they are given', async () => {
      const far = await receiver();
      const sender = create();
      sender.connect(far.port, HOST);
      await once(sender, 'connect');
      await sender.sendMany([Buffer.from('one')]);
      await sender.send('two', {});
      const connected = { code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' };
      assert.throws(() => sender.send('x', { port: far.port }), connected);
      assert.throws(() => sender.sendMany([{ data: Buffer.alloc(1), port: 1 }]), connected);
      sender.disconnect();
      assert.throws(() => sender.send('x', {}), { code: 'ERR_SOCKET_BAD_PORT' });
      await sender.send('three', { port: far.port });
      assert.deepEqual(await heard(far), ['one', 'two', 'three']);
    });
  });

  describe('with a cork', () => {
    it('gather one datagram, and tell of it when it is sent', async () => {
      const far = await receiver();
      const sender = await bound();
      const order: string[] = [];
      const message = Buffer.from('b');
      sender.cork();
      sender.send('a', far.port, HOST, () => order.push('a'));
      sender.send(message, far.port, HOST);
      message.fill('!');
      const promised = sender.send('c', { port: far.port }).then(() => order.push('c'));
      const many = sender.sendMany([Buffer.from('d'), Buffer.from('e')], { port: far.port });
      assert.deepEqual(await heard(far), []);
      assert.deepEqual(order, []);
      sender.uncork();
      await Promise.all([promised, many]);
      sender.uncork();
      assert.deepEqual(order, ['a', 'c']);
      assert.deepEqual(await heard(far), ['abcde']);
    });

    it('tell every one of a failure, whatever the others do', async () => {
      const far = await receiver();
      const sender = await bound();
      sender.cork();
      const codes: unknown[] = [];
      const thrown = await uncaughtDuring(async () => {
        for (const size of [TOO_MANY / 2, TOO_MANY / 2, 1]) {
          sender.send(Buffer.alloc(size), far.port, HOST, (error) => {
            codes.push((error as Failure).code);
            throw new Error('by the callback');
          });
        }
        sender.uncork();
        await sender.zeroCopy.flush();
      });
      assert.deepEqual(codes, ['EMSGSIZE', 'EMSGSIZE', 'EMSGSIZE']);
      assert.equal(thrown.length, 3);
    });

    it('tell of what is still corked at the end', async () => {
      const sender = await bound();
      sender.cork();
      const failure = failureOf(sender.send('x', { port: 9 }));
      sender.close();
      assert.equal((await failure).code, 'ERR_SOCKET_DGRAM_NOT_RUNNING');
      assert.throws(() => sender.uncork(), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' });
    });
  });

  describe('with a queue', () => {
    it('refuse what does not fit, and send the rest', async () => {
      const far = await receiver();
      const sender = await bound({ maxQueuedBytes: 10 });
      const first = sender.send('0123456789', { port: far.port });
      const told = new Promise((resolve) => sender.send('told', far.port, HOST, resolve));
      sender.send('unheard', far.port, HOST);
      const { code, sentDatagrams } = await failureOf(sender.send('x', { port: far.port }));
      assert.deepEqual([code, sentDatagrams], ['ERR_ZC_QUEUE_FULL', 0]);
      assert.equal(((await told) as Failure).code, 'ERR_ZC_QUEUE_FULL');
      await first;
      await sender.send('a message of any size fits alone', { port: far.port });
      assert.equal(sender.zeroCopy.stats.failedSends, 1);
      assert.deepEqual(await heard(far), ['0123456789', 'a message of any size fits alone']);
    });

    it('take any number where they are told to wait', async () => {
      const far = await receiver();
      const sender = await bound({ maxQueuedBytes: 1, whenQueueFull: 'wait' });
      await Promise.all(['one', 'two', 'three'].map((text) => sender.send(text, far)));
      assert.deepEqual(await heard(far), ['one', 'two', 'three']);
    });

    it('flush what was sent so far, also nothing', async () => {
      const far = await receiver();
      const sender = create();
      await sender.zeroCopy.flush();
      const order: string[] = [];
      for (const text of ['a', 'b']) {
        sender.send(text, far.port, HOST, () => order.push(text));
      }
      await sender.zeroCopy.flush();
      assert.deepEqual(order, ['a', 'b']);
      assert.equal(sender.zeroCopy.stats.copiedBytes, 2);
    });
  });

  describe('with an abort signal', () => {
    it('send nothing of what was aborted before dgram sends it', async () => {
      const far = await receiver();
      const early = AbortSignal.abort(new Error('the reason'));
      const sender = create();
      const aborted = await failureOf(sender.send('x', { port: far.port, signal: early }));
      assert.deepEqual([aborted.code, aborted.name], ['ABORT_ERR', 'AbortError']);
      assert.equal((aborted.cause as Error).message, 'the reason');

      // While it binds.
      const first = new AbortController();
      const message = Buffer.from('unbound');
      const unbound = failureOf(sender.send(message, { port: far.port, signal: first.signal }));
      const after = sender.send('after', { port: far.port });
      first.abort();
      message.fill('!');
      assert.equal((await unbound).code, 'ABORT_ERR');
      await after;

      // While it is corked.
      const second = new AbortController();
      sender.cork();
      const corked = failureOf(sender.send('corked', { port: far.port, signal: second.signal }));
      const kept = sender.send('kept', { port: far.port });
      second.abort();
      assert.equal((await corked).code, 'ABORT_ERR');
      sender.uncork();
      await kept;
      assert.deepEqual(await heard(far), ['after', 'kept']);
    });

    it('let go what dgram is sending', async () => {
      const far = await receiver();
      const sender = await bound();
      const controller = new AbortController();
      const sent = sender.send('x', { port: far.port, signal: controller.signal });
      controller.abort();
      assert.equal((await sent).bytes, 1);
      assert.deepEqual(await heard(far), ['x']);
    });
  });

  describe('as a source of datagrams', () => {
    it('are a loop that ends when they close', async () => {
      const socket = await bound();
      const { port } = socket.address();
      const sender = await bound();
      const texts: string[] = [];
      const loop = (async () => {
        for await (const { data, rinfo } of socket) {
          assert.equal(rinfo.port, sender.address().port);
          if (texts.push(data.toString()) === 3) socket.close();
        }
      })();
      for (const text of ['a', 'b', 'c']) await sender.send(text, { port });
      await loop;
      assert.deepEqual(texts, ['a', 'b', 'c']);
      for await (const one of socket) assert.fail(one.data.toString());
    });

    it('drop and count what a loop has no room for', async () => {
      const socket = await bound();
      const { port } = socket.address();
      const sender = await bound();
      const iterator = socket[Symbol.asyncIterator]();
      const sent = 300;
      for (let i = 0; i < sent; i++) {
        const arrived = once(socket, 'message');
        await sender.send(String(i), { port });
        await arrived;
      }
      const { receivedDatagrams, receiveDrops } = socket.zeroCopy.stats;
      assert.equal(receivedDatagrams, sent);
      assert.ok(receiveDrops > 0 && receiveDrops < sent);
      for (let i = 0; i < sent - receiveDrops; i++) {
        const { value } = await iterator.next();
        assert.equal((value as { data: Buffer }).data.toString(), String(i));
      }
      await iterator.return?.();
      assert.equal(socket.listenerCount('message'), 0);
    });

    it('hear nothing of blocked addresses', async () => {
      const receiveBlockList = new BlockList();
      receiveBlockList.addAddress(HOST);
      const socket = await bound({ receiveBlockList });
      const { port } = socket.address();
      socket.on('message', () => assert.fail('it came'));
      const other = own(dgram.createSocket('udp4'));
      await new Promise<void>((resolve) => other.bind(0, HOST, resolve));
      await new Promise((resolve) => other.send('x', port, HOST, resolve));
      // What is sent to the sender itself comes behind it.
      const echoed = once(other, 'message');
      await socket.send('y', { port: other.address().port });
      await echoed;
      assert.equal(socket.zeroCopy.stats.receivedDatagrams, 0);
    });
  });
});
