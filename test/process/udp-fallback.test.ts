// UDP sockets without the addon: the same API on node:dgram, and what it cannot do. Nothing here knows
// which system it runs on: it is about systems other than this one.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import type { UdpSocketOptions } from '../../lib/index';
import { isolated } from '../helpers/isolated';
import { HOST, type Failure, failureOf, FallbackSockets } from '../helpers/udp-fallback';

type Lookup = NonNullable<UdpSocketOptions['lookup']>;

describe('UDP sockets without the addon', () => {
  const sockets = new FallbackSockets();

  describe('created by createUdpSocket()', () => {
    for (const addon of ['off', './nothing-of-that-name.node']) {
      it(`copy with a reason: MSG_ZEROCOPY_ADDON=${addon}`, async () => {
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
              warnings: warnings.map(({ code }) => code),
              ...{ report, control, codes, after, copiedBytes, received },
            };
          },
          { env },
        );
        assert.deepEqual(
          answer,
          {
            arrived: true,
            warnings: addon === 'off' ? [] : ['ZC_ADDON'],
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

    it('obey sendBlockList, or refuse it where this Node lacks it', async () => {
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

  describe('and the memory of sends', () => {
    it('release it with the callback and with the promise', async () => {
      const far = await sockets.sink();
      const sender = await sockets.bound();
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
      assert.deepEqual(await far.rest(), ['told', 'promised', 'told', 'promised']);
    });

    it('copy it before send() returns when there is no callback', async () => {
      const far = await sockets.sink();
      for (const sender of [sockets.create(), await sockets.bound()]) {
        for (const host of [HOST, 'localhost']) {
          const message = Buffer.from(host);
          sender.send(message, far.port, host);
          message.fill('!');
        }
        await sender.zeroCopy.flush();
      }
      assert.deepEqual((await far.rest()).sort(), [HOST, HOST, 'localhost', 'localhost']);
    });

    it('fail a send whose buffer was transferred before it was sent', async () => {
      const { port } = await sockets.sink();
      const sender = await sockets.bound();
      const bytes = new Uint8Array(new ArrayBuffer(100));
      const sent = sender.send(bytes, { port });
      structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
      assert.equal((await failureOf(sent)).code, 'ERR_ZC_BUFFER_DETACHED');
      assert.throws(() => sender.send(bytes, { port }), { code: 'ERR_ZC_BUFFER_DETACHED' });
    });

    it('release it when bind() fails, and report the failure once', async () => {
      const taken = await sockets.sink();
      const sender = sockets.create();
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
      assert.deepEqual(await taken.rest(), ['again']);
    });

    it('release it when the socket closes during a lookup', async () => {
      const never = ((_name: string, _options: unknown, _found: unknown): void =>
        undefined) as Lookup;
      const atOnce = ((_name: string, _options: unknown, found: (...a: unknown[]) => void): void =>
        found(null, HOST, 4)) as unknown as Lookup;
      let lookup = atOnce;
      const sender = sockets.create({
        lookup: ((...a: Parameters<Lookup>) => lookup(...a)) as Lookup,
      });
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

  describe('and features that dgram lacks', () => {
    it('cut messages into segments themselves', async () => {
      const far = await sockets.sink();
      const sender = await sockets.bound();
      const parts = ['a'.repeat(400), 'b'.repeat(400), 'c'.repeat(50)];
      const message = Buffer.from(parts.join(''));
      for (const address of [HOST, 'localhost']) {
        const sent = sender.send([message.subarray(0, 7), message.subarray(7)], {
          ...{ port: far.port, address, segmentSize: 400 },
        });
        assert.equal((await sent).copiedBytes, 850);
      }
      await sender.send('short', { port: far.port, address: HOST, segmentSize: 400 });
      assert.deepEqual(await far.rest(), [...parts, ...parts, 'short']);
      assert.equal(sender.zeroCopy.stats.softwareSegments, 6);
      const tooMany = (): unknown =>
        sender.send(Buffer.alloc(1000), { port: far.port, segmentSize: 1 });
      assert.throws(tooMany, { code: 'ERR_OUT_OF_RANGE' });
    });

    it('name the options that they refuse, and send nothing', async () => {
      const far = await sockets.sink();
      const sender = await sockets.bound();
      for (const option of [{ tos: 4 }, { source: HOST }, { interface: 'lo' }]) {
        const named = new RegExp(`'${Object.keys(option)[0]}'.*for this test`);
        const refused = [
          sender.send('x', { port: far.port, ...option }),
          sender.sendMany([Buffer.from('x')], { port: far.port, ...option }),
          sender.sendMany([Buffer.from('x'), { data: Buffer.from('y'), ...option }], far.to),
        ];
        for (const promise of refused) {
          const { code, message } = await failureOf(promise);
          assert.equal(code, 'ERR_ZC_UNAVAILABLE');
          assert.match(message, named);
        }
      }
      // An invalid argument throws, as with the addon.
      assert.throws(() => sender.send('x', { port: 9, tos: 256 }), { code: 'ERR_OUT_OF_RANGE' });
      assert.deepEqual(await far.rest(), []);
    });

    it('receive without the metadata that only the kernel has', async () => {
      const socket = await sockets.bound({ gro: 'whole', packetInfo: true, receiveTos: true });
      const message = once(socket, 'message');
      await (await sockets.bound()).send('x', { port: socket.address().port });
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
});
