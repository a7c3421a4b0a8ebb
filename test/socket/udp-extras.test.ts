// What a UDP socket of this package does beside node:dgram: corks, loops over datagrams, receiving
// whole runs of them.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { openSockets } from '../helpers/dgram-behaviours-open';

describe('a corked UDP socket', () => {
  const sockets = openSockets();

  it('makes one datagram of what is sent until uncork', async () => {
    const sink = await sockets.sink();
    for (const [socket, to] of [
      [await sockets.connectedTo(sink), []],
      [await sockets.bound(), [sink.port]],
    ] as const) {
      const send = socket.send.bind(socket) as (...args: unknown[]) => void;
      const called: string[] = [];
      const note = (name: string) => (error: Error | null) => called.push(`${name} ${error}`);
      send('before ', ...to, note('before'));
      socket.cork();
      send('one ', ...to, note('one'));
      send(['two ', 'three '], ...to);
      const report = socket.send('four', to.length === 0 ? {} : sink.to);
      socket.uncork();
      send('after', ...to, note('after'));
      assert.equal((await report).bytes, 4);
      await socket.zeroCopy.flush();
      await nextTurn();
      assert.deepEqual(await sink.rest(), ['before ', 'one two three four', 'after']);
      assert.deepEqual(called.sort(), ['after null', 'before null', 'one null']);
    }
  });

  it('tolerates repeated cork() and uncork(), and uncork() alone', async () => {
    const sink = await sockets.sink();
    const socket = await sockets.connectedTo(sink);
    socket.uncork();
    socket.cork();
    socket.cork();
    socket.send('a');
    socket.send('b');
    socket.uncork();
    socket.uncork();
    socket.send('c');
    assert.deepEqual(await sink.rest(), ['ab', 'c']);
  });

  it('copies what is sent without a callback, and references the rest until it is sent', async () => {
    const sink = await sockets.sink();
    const socket = await sockets.connectedTo(sink);
    const [copied, kept, promised] = ['copied ', 'kept ', 'promised'].map((text) =>
      Buffer.from(text),
    ) as [Buffer, Buffer, Buffer];
    let corked = true;
    socket.cork();
    socket.send(copied);
    copied.fill('!');
    const called = new Promise<void>((resolve, reject) =>
      socket.send(kept, (error) => {
        kept.fill('!');
        if (corked || error !== null) reject(error ?? new Error('called while corked'));
        else resolve();
      }),
    );
    const sent = socket.send(promised, {}).then(() => {
      promised.fill('!');
      assert.equal(corked, false);
    });
    await nextTurn();
    corked = false;
    socket.uncork();
    await Promise.all([called, sent]);
    assert.deepEqual(await sink.rest(), ['copied kept promised']);
  });

  it('fails every send when together they are too large, and keeps working', async () => {
    const sink = await sockets.sink();
    const socket = await sockets.connectedTo(sink);
    const codes: (string | undefined)[] = [];
    const half = Buffer.alloc(40_000, 'a');
    socket.cork();
    socket.send(half, (error) => codes.push((error as NodeJS.ErrnoException | null)?.code));
    const failed = socket.send(half, {});
    socket.uncork();
    await assert.rejects(failed, { code: 'EMSGSIZE' });
    await socket.zeroCopy.flush();
    await nextTurn();
    assert.deepEqual(codes, ['EMSGSIZE']);
    await socket.send('on', {});
    assert.deepEqual(await sink.rest(), ['on']);
  });

  it('accepts sendMany(), in order', async () => {
    const sink = await sockets.sink();
    const socket = await sockets.connectedTo(sink);
    socket.cork();
    socket.send('1');
    const many = socket.sendMany([Buffer.from('2'), Buffer.from('3')]);
    socket.send('4');
    socket.uncork();
    assert.equal((await many).bytes, 2);
    assert.deepEqual(await sink.rest(), ['1234']);
  });

  it('drops only the send whose signal is aborted meanwhile', async () => {
    const sink = await sockets.sink();
    const socket = await sockets.connectedTo(sink);
    const controller = new AbortController();
    socket.cork();
    const aborted = [
      socket.send('before', { signal: AbortSignal.abort() }),
      socket.send('meanwhile', { signal: controller.signal }),
    ].map((sent) => assert.rejects(sent, { name: 'AbortError' }));
    const other = socket.send('other', {});
    controller.abort();
    socket.uncork();
    await Promise.all([...aborted, other]);
    assert.deepEqual(await sink.rest(), ['other']);
  });

  it('settles every corked send at close', async () => {
    const sink = await sockets.sink();
    for (const [socket, to] of [
      [await sockets.connectedTo(sink), []],
      [sockets.create(), [sink.port]],
    ] as const) {
      const calls: unknown[] = [];
      socket.cork();
      const send = socket.send.bind(socket) as (...args: unknown[]) => void;
      send('one', ...to, (error: unknown) => calls.push(error));
      await new Promise<void>((resolve) => socket.close(resolve));
      await nextTurn();
      assert.equal(calls.length, 1);
    }
    assert.ok((await sink.rest()).every((text) => text === 'one'));
  });
});

describe('a loop over the datagrams of a UDP socket', () => {
  const sockets = openSockets();

  async function sendTo(socket: dgram.Socket, texts: readonly string[]): Promise<void> {
    const sender = sockets.own(dgram.createSocket('udp4'));
    const { port } = socket.address();
    for (const text of texts) {
      await new Promise((resolve) => sender.send(text, port, '127.0.0.1', resolve));
    }
  }

  it('ends when the socket closes, after what has arrived', async () => {
    const socket = await sockets.bound();
    const texts: string[] = [];
    const senders = new Set<string>();
    const loop = (async () => {
      for await (const { data, rinfo } of socket) {
        senders.add(`${rinfo.family} ${rinfo.address} ${rinfo.size === data.length}`);
        if (texts.push(data.toString()) === 3) socket.close();
      }
    })();
    await sendTo(socket, ['a', 'b', 'c']);
    await loop;
    assert.deepEqual(texts, ['a', 'b', 'c']);
    assert.deepEqual([...senders], ['IPv4 127.0.0.1 true']);
  });

  it('can be left and started again, beside listeners', async () => {
    const socket = await sockets.bound();
    const heard: string[] = [];
    socket.on('message', (message) => heard.push(message.toString()));
    for (const text of ['first', 'second']) {
      const loop = (async () => {
        for await (const { data } of socket) return data.toString();
        return undefined;
      })();
      await sendTo(socket, [text]);
      assert.equal(await loop, text);
    }
    assert.deepEqual(heard, ['first', 'second']);
  });

  it('buffers a bounded number when it is slow, and the kernel drops the rest', async () => {
    const socket = await sockets.bound({ recvBufferSize: 8192 });
    const iterator = socket[Symbol.asyncIterator]();
    const total = 3000;
    for (let sent = 0; sent < total; sent += 50) {
      await sendTo(
        socket,
        Array.from({ length: 50 }, () => 'x'.repeat(100)),
      );
      await nextTurn();
    }
    await sendTo(socket, ['never mind']);
    let kept = 0;
    const waits = new Promise<void>((resolve) => {
      const take = async (): Promise<void> => {
        for (;;) {
          const next = await iterator.next();
          if (next.done === true) return;
          kept++;
          if (next.value.data.toString() === 'last') return resolve();
        }
      };
      void take();
    });
    // Some of these are dropped until the loop has made room.
    const sending = setInterval(() => void sendTo(socket, ['last']), 5);
    await waits;
    clearInterval(sending);
    assert.ok(kept < 1000, `${kept} of ${total} were kept`);
    assert.ok(kept > 10, `${kept} of ${total} were kept`);
    assert.ok(socket.zeroCopy.stats.receiveDrops > 0);
  });
});

describe('a coalesced datagram', () => {
  const sockets = openSockets();

  for (const [gro, expected] of [
    [false, { count: 20, segmentSize: undefined }],
    [true, { count: 20, segmentSize: undefined }],
    ['whole', { count: 1, segmentSize: 100 }],
  ] as const) {
    it(`arrives split or whole with gro: ${String(gro)}`, async () => {
      const socket = await sockets.bound({ gro });
      const sender = await sockets.bound();
      const arrived: { text: string; segmentSize: number | undefined; size: number }[] = [];
      const bytes = 2000;
      const message = Array.from({ length: 20 }, (_, i) =>
        String.fromCharCode(97 + i).repeat(100),
      ).join('');
      const over = new Promise<void>((resolve) => {
        socket.on('message', (data, rinfo) => {
          const { segmentSize, size } = rinfo as { segmentSize?: number; size: number };
          arrived.push({ text: data.toString(), segmentSize, size });
          if (arrived.reduce((sum, one) => sum + one.size, 0) === bytes) resolve();
        });
      });
      await sender.send(message, { port: socket.address().port, segmentSize: 100 });
      await over;
      assert.equal(arrived.map(({ text }) => text).join(''), message);
      assert.equal(arrived.length, expected.count);
      for (const { segmentSize } of arrived) assert.equal(segmentSize, expected.segmentSize);
    });
  }
});
