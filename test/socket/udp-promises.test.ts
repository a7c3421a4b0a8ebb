// Promises of UDP sends: for many datagrams, after close, and with a signal.
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { inspect } from 'node:util';
import type { UdpSocketOptions } from '../../lib/index';
import { openSockets, type Sink } from '../helpers/dgram-behaviours-open';

const TYPE = 'ERR_INVALID_ARG_TYPE';
const PORT = 'ERR_SOCKET_BAD_PORT';
const CLOSED = 'ERR_SOCKET_DGRAM_NOT_RUNNING';

function loose(socket: object): { sendMany(...args: unknown[]): Promise<unknown> } {
  return socket as ReturnType<typeof loose>;
}

async function assertNothingArrived(sink: Sink): Promise<void> {
  assert.deepEqual(await sink.rest(), []);
}

describe('a promise of a UDP socket', () => {
  const sockets = openSockets();

  describe('through sendMany', () => {
    it('resolves for an empty list', async () => {
      const socket = await sockets.bound();
      const report = await socket.sendMany([], { port: 9 });
      assert.equal(report.bytes, 0);
      assert.equal((await socket.sendMany([])).bytes, 0);
    });

    it('refuses invalid items, and sends nothing of the list', async () => {
      const sink = await sockets.sink();
      const socket = await sockets.bound();
      const good = Buffer.from('good');
      const wrong = [
        undefined,
        null,
        5,
        'text',
        {},
        new ArrayBuffer(4),
        { data: 5 },
        { data: [5] },
      ];
      for (const item of wrong) {
        const call = (): void => void loose(socket).sendMany([good, item], sink.to);
        assert.throws(call, { code: TYPE }, inspect(item));
      }
      for (const list of [undefined, null, 5, 'text', {}, good, { data: good }]) {
        const call = (): void => void loose(socket).sendMany(list, sink.to);
        assert.throws(call, { code: TYPE }, inspect(list));
      }
      for (const options of [null, 5, 'x']) {
        assert.throws(() => void loose(socket).sendMany([good], options), { code: TYPE });
      }
      assert.throws(() => void socket.sendMany([good, { data: good, port: sink.port }]), {
        code: PORT,
      });
      await assertNothingArrived(sink);
    });

    it("prefers an item's options to those of the call", async () => {
      const [all, one] = [await sockets.sink(), await sockets.sink()];
      const socket = await sockets.bound();
      const report = await socket.sendMany(
        [
          Buffer.from('first'),
          { data: Buffer.from('second'), port: one.port },
          { data: [Buffer.from('th'), Buffer.from('ird')] },
          { data: Buffer.from('abcdef'), segmentSize: 2 },
          new Uint8Array(0),
          { data: Buffer.from('last'), source: '127.0.0.3', port: one.port },
        ],
        { ...all.to, segmentSize: 3 },
      );
      assert.equal(report.bytes, 26);
      assert.deepEqual(await all.rest(), ['fir', 'st', 'thi', 'rd', 'ab', 'cd', 'ef', '']);
      assert.deepEqual(await one.rest(), ['sec', 'ond', 'las', 't']);
      assert.equal(one.senders[2]?.address, '127.0.0.3');
    });

    it('keeps the order of datagrams, each whole', async () => {
      const sink = await sockets.sink();
      const socket = await sockets.connectedTo(sink);
      const texts = Array.from({ length: 200 }, (_, index) => `${index} `.repeat(1 + (index % 7)));
      const datagrams = texts.map((text) => Buffer.from(text));
      await socket.sendMany(datagrams);
      for (const datagram of datagrams) datagram.fill('!');
      assert.deepEqual(await sink.rest(), texts);
    });

    it('tries all, and reports the first error and how many were sent', async () => {
      const sink = await sockets.sink();
      const socket = await sockets.bound();
      const datagrams = [
        Buffer.from('1'),
        Buffer.alloc(65_508),
        Buffer.from('2'),
        { data: Buffer.from('x'), address: '::1' },
        Buffer.from('3'),
      ];
      await assert.rejects(socket.sendMany(datagrams, sink.to), {
        code: 'EMSGSIZE',
        sentDatagrams: 3,
      });
      assert.deepEqual(await sink.rest(), ['1', '2', '3']);
    });
  });

  describe('after close', () => {
    it('throws, and iterates over nothing', async () => {
      const socket = await sockets.bound();
      socket.close();
      const data = Buffer.from('x');
      const to = { port: 9, address: '127.0.0.1' };
      assert.throws(() => void socket.send(data, to), { code: CLOSED });
      assert.throws(() => void socket.sendMany([data], to), { code: CLOSED });
      assert.throws(() => socket.cork(), { code: CLOSED });
      assert.throws(() => socket.uncork(), { code: CLOSED });
      for await (const datagram of socket) assert.fail(inspect(datagram));
      await socket.zeroCopy.flush();
      assert.equal(socket.zeroCopy.state, 'closed');
    });

    it('settles what waits for bind() or a lookup', async () => {
      const lookup = ((_name: string, _family: unknown, done: (...args: unknown[]) => void) =>
        setImmediate(done, null, '127.0.0.1', 4)) as unknown as NonNullable<
        UdpSocketOptions['lookup']
      >;
      const sink = await sockets.sink();
      for (const options of [{}, { lookup }]) {
        const socket = sockets.create(options);
        const outcomes = [
          socket.send('x', { port: sink.port, address: 'some.name.invalid' }),
          socket.sendMany([Buffer.from('y')], sink.to),
          new Promise((resolve) => socket.send('z', sink.port, '127.0.0.1', resolve)),
        ].map((outcome) => outcome.catch((error: unknown) => error));
        socket.close();
        await Promise.all(outcomes);
      }
    });
  });

  describe('a signal of one send', () => {
    it('that is aborted before the call sends nothing', async () => {
      const sink = await sockets.sink();
      const signal = AbortSignal.abort(new Error('the reason'));
      for (const socket of [await sockets.bound(), sockets.create()]) {
        for (const sent of [
          socket.send('x', { ...sink.to, signal }),
          socket.sendMany([Buffer.from('x')], { ...sink.to, signal }),
        ]) {
          await assert.rejects(sent, {
            name: 'AbortError',
            code: 'ABORT_ERR',
            cause: signal.reason,
          });
        }
      }
      await nextTurn();
      await assertNothingArrived(sink);
    });

    it('that is aborted at once cancels the send, or has no effect', async () => {
      const sink = await sockets.sink();
      for (const socket of [await sockets.bound(), sockets.create()]) {
        const controller = new AbortController();
        const sent = socket.send('x', { ...sink.to, signal: controller.signal });
        controller.abort();
        const outcome = await sent.then(
          () => 'sent',
          (error: Error) => error.name,
        );
        assert.deepEqual(await sink.rest(), outcome === 'sent' ? ['x'] : []);
        if (outcome !== 'sent') assert.equal(outcome, 'AbortError');
        assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
      }
    });

    it('that is aborted later has no effect, and leaves no listener', async () => {
      const sink = await sockets.sink();
      const socket = await sockets.bound();
      const controller = new AbortController();
      const { signal } = controller;
      await socket.send('1', { ...sink.to, signal });
      await socket.sendMany([Buffer.from('2'), Buffer.from('3')], { ...sink.to, signal });
      assert.equal(getEventListeners(signal, 'abort').length, 0);
      controller.abort();
      await socket.send('4', sink.to);
      assert.deepEqual(await sink.rest(), ['1', '2', '3', '4']);
    });
  });
});
