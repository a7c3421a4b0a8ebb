// UDP sockets without the addon: many datagrams at once, corked, queued, aborted, and read in a loop.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { BlockList } from 'node:net';
import { uncaughtDuring } from '../helpers/uncaught';
import { HOST, TOO_MANY, type Failure, failureOf, FallbackSockets } from '../helpers/udp-fallback';

describe('UDP sockets without the addon', () => {
  const sockets = new FallbackSockets();

  describe('with many datagrams', () => {
    it('try all, and report how many were sent', async () => {
      const far = await sockets.sink();
      const sender = await sockets.bound();
      const own = { data: [Buffer.from('t'), Buffer.from('wo')], address: 'localhost' };
      const report = await sender.sendMany([Buffer.from('one'), own], { port: far.port });
      assert.equal(report.copiedBytes, 6);
      const datagrams = [Buffer.from('three'), Buffer.alloc(TOO_MANY), Buffer.from('four')];
      const { code, sentDatagrams } = await failureOf(sender.sendMany(datagrams, far.to));
      assert.deepEqual([code, sentDatagrams], ['EMSGSIZE', 2]);
      assert.equal((await sender.sendMany([])).bytes, 0);
      assert.deepEqual((await far.rest()).sort(), ['four', 'one', 'three', 'two']);
    });

    it('send to the peer of a connected socket, and check their arguments', async () => {
      const far = await sockets.sink();
      const sender = sockets.create();
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
      assert.deepEqual(await far.rest(), ['one', 'two', 'three']);
    });
  });

  describe('with a cork', () => {
    it('gather one datagram, and settle when it is sent', async () => {
      const far = await sockets.sink();
      const sender = await sockets.bound();
      const order: string[] = [];
      const message = Buffer.from('b');
      sender.cork();
      sender.send('a', far.port, HOST, () => order.push('a'));
      sender.send(message, far.port, HOST);
      message.fill('!');
      const promised = sender.send('c', { port: far.port }).then(() => order.push('c'));
      const many = sender.sendMany([Buffer.from('d'), Buffer.from('e')], { port: far.port });
      assert.deepEqual(await far.rest(), []);
      assert.deepEqual(order, []);
      sender.uncork();
      await Promise.all([promised, many]);
      sender.uncork();
      assert.deepEqual(order, ['a', 'c']);
      assert.deepEqual(await far.rest(), ['abcde']);
    });

    it('report a failure to every callback, even when others throw', async () => {
      const far = await sockets.sink();
      const sender = await sockets.bound();
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

    it('reject what is still corked at close()', async () => {
      const sender = await sockets.bound();
      sender.cork();
      const failure = failureOf(sender.send('x', { port: 9 }));
      sender.close();
      assert.equal((await failure).code, 'ERR_SOCKET_DGRAM_NOT_RUNNING');
      assert.throws(() => sender.uncork(), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' });
    });
  });

  describe('with a queue', () => {
    it('refuse what does not fit, and send the rest', async () => {
      const far = await sockets.sink();
      const sender = await sockets.bound({ maxQueuedBytes: 10 });
      const first = sender.send('0123456789', { port: far.port });
      const told = new Promise((resolve) => sender.send('told', far.port, HOST, resolve));
      sender.send('unheard', far.port, HOST);
      const { code, sentDatagrams } = await failureOf(sender.send('x', { port: far.port }));
      assert.deepEqual([code, sentDatagrams], ['ERR_ZC_QUEUE_FULL', 0]);
      assert.equal(((await told) as Failure).code, 'ERR_ZC_QUEUE_FULL');
      await first;
      await sender.send('a message of any size fits alone', { port: far.port });
      assert.equal(sender.zeroCopy.stats.failedSends, 1);
      assert.deepEqual(await far.rest(), ['0123456789', 'a message of any size fits alone']);
    });

    it("accept any number with whenQueueFull: 'wait'", async () => {
      const far = await sockets.sink();
      const sender = await sockets.bound({ maxQueuedBytes: 1, whenQueueFull: 'wait' });
      await Promise.all(['one', 'two', 'three'].map((text) => sender.send(text, far.to)));
      assert.deepEqual(await far.rest(), ['one', 'two', 'three']);
    });

    it('flush what was sent so far, even if nothing was', async () => {
      const far = await sockets.sink();
      const sender = sockets.create();
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
    it('send nothing that is aborted before dgram sends it', async () => {
      const far = await sockets.sink();
      const early = AbortSignal.abort(new Error('the reason'));
      const sender = sockets.create();
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
      assert.deepEqual(await far.rest(), ['after', 'kept']);
    });

    it('cannot stop what dgram is already sending', async () => {
      const far = await sockets.sink();
      const sender = await sockets.bound();
      const controller = new AbortController();
      const sent = sender.send('x', { port: far.port, signal: controller.signal });
      controller.abort();
      assert.equal((await sent).bytes, 1);
      assert.deepEqual(await far.rest(), ['x']);
    });
  });

  describe('as async iterators', () => {
    it('end the loop when they close', async () => {
      const socket = await sockets.bound();
      const { port } = socket.address();
      const sender = await sockets.bound();
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

    it('drop and count what a slow loop has no room for', async () => {
      const socket = await sockets.bound();
      const { port } = socket.address();
      const sender = await sockets.bound();
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

    it('receive nothing from blocked addresses', async () => {
      const receiveBlockList = new BlockList();
      receiveBlockList.addAddress(HOST);
      const socket = await sockets.bound({ receiveBlockList });
      const { port } = socket.address();
      socket.on('message', () => assert.fail('it came'));
      const other = sockets.own(dgram.createSocket('udp4'));
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
