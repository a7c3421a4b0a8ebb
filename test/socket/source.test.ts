// options.source, a predicate of the program's: asked once about each buffer that is large enough, in the
// call that hands it over, and never from inside an engine.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { text } from 'node:stream/consumers';
import {
  createUdpSocket,
  enableZeroCopy,
  type ZeroCopyOptions,
  type ZeroCopyUdpSocket,
} from '../../lib/index';
import { gather, loopback, sha256 } from '../helpers/loopback';

const LARGE = 100_000;

/** A predicate that remembers what it was asked, and when. */
function asking(answer: (chunk: Uint8Array) => boolean) {
  const asked: number[] = [];
  let inside = false;
  let outside = 0;
  return {
    asked,
    /** Runs what hands memory over. */
    within<T>(body: () => T): T {
      inside = true;
      try {
        return body();
      } finally {
        inside = false;
      }
    },
    /** Times it was asked at another moment. */
    get outside() {
      return outside;
    },
    source: (chunk: Uint8Array): boolean => {
      asked.push(chunk.length);
      if (!inside) outside++;
      return answer(chunk);
    },
  };
}

for (const engine of ['msg_zerocopy', 'io_uring'] as const) {
  describe(`the option source of a TCP socket, ${engine}`, () => {
    const connections = loopback();
    const optionsOf = (source: (chunk: Uint8Array) => boolean): ZeroCopyOptions => ({
      engine,
      threshold: 9000,
      source,
    });

    it('is called once for each large buffer, within the call that passes it', async () => {
      const asking1 = asking(() => true);
      const { sender, receiver } = await connections.pair(optionsOf(asking1.source));
      const arrived = gather(receiver);
      const done = asking1.within(() => {
        sender.cork();
        sender.write(Buffer.alloc(9001));
        sender.write(new Uint8Array(9002));
        sender.write('x'.repeat(20_000));
        sender.write(Buffer.alloc(100));
        // More than the send buffer takes: the last of it leaves in later turns.
        for (let i = 0; i < 40; i++) sender.write(Buffer.alloc(LARGE * 5 + i));
        sender.uncork();
        const sent = sender.send([Buffer.alloc(9003), Buffer.alloc(5)]);
        sender.end(Buffer.alloc(9004));
        return sent;
      });
      await done;
      await arrived;
      const many = Array.from({ length: 40 }, (_, i) => LARGE * 5 + i);
      assert.deepEqual(asking1.asked, [9001, 9002, ...many, 9003, 9004]);
      assert.equal(asking1.outside, 0);
    });

    it('keeps out what it refuses, and is asked anew each time a buffer is sent', async () => {
      let allowed = false;
      const asking1 = asking(() => (allowed = !allowed));
      const { sender, receiver } = await connections.pair(optionsOf(asking1.source));
      const arrived = gather(receiver);
      const buffer = Buffer.alloc(LARGE, 1);
      for (let i = 0; i < 4; i++) {
        const written = asking1.within(() => once(sender, 'drain'));
        asking1.within(() => sender.write(buffer));
        if (sender.writableNeedDrain) await written;
      }
      sender.end();
      assert.equal((await arrived).bytes, 4 * LARGE);
      const { zeroCopyBytes, copiedBytes } = sender.zeroCopy.stats;
      assert.deepEqual([zeroCopyBytes, copiedBytes], [2 * LARGE, 2 * LARGE]);
    });

    it('is the reason in the report of what it refuses, also of a pool', async () => {
      const { sender, receiver } = await connections.pair(optionsOf(() => false));
      receiver.resume();
      const refused = await sender.send([Buffer.alloc(LARGE), Buffer.alloc(10)]);
      assert.deepEqual([refused.copiedBytes, refused.reason], [LARGE + 10, 'source']);
      assert.equal((await sender.send(Buffer.alloc(10))).reason, 'below-threshold');
      enableZeroCopy(sender, { engine, threshold: 9000, source: 'pool' });
      assert.equal((await sender.send(Buffer.alloc(LARGE))).reason, 'source');
      assert.equal((await sender.send(Buffer.alloc(8191))).reason, 'below-threshold');
    });

    it('that answers with a promise makes the call throw, and nothing of it is sent', async () => {
      const source = (async () => false) as never;
      const { sender, receiver } = await connections.pair(optionsOf(source));
      const arrived = gather(receiver);
      const expected = { code: 'ERR_INVALID_RETURN_VALUE', message: /"options\.source"/ };
      assert.throws(() => sender.write(Buffer.alloc(LARGE)), expected);
      assert.throws(() => sender.send(Buffer.alloc(LARGE)), expected);
      sender.end('small');
      assert.equal((await arrived).bytes, 5);
    });

    it('that throws makes the call throw, and nothing of it is sent', async () => {
      const { sender, receiver } = await connections.pair(
        optionsOf(() => {
          throw new Error('no answer');
        }),
      );
      const arrived = gather(receiver);
      const called: unknown[] = [];
      const large = Buffer.alloc(LARGE);
      assert.throws(() => sender.write(large, (error) => called.push(error)), /no answer/);
      assert.throws(() => sender.send(large), /no answer/);
      assert.throws(() => sender.end(large, () => called.push('end')), /no answer/);
      assert.equal(sender.writable, true);
      await sender.send(Buffer.from('small'));
      enableZeroCopy(sender, { engine, threshold: 1 });
      await sender.send(large);
      sender.end();
      assert.deepEqual(await arrived, {
        bytes: LARGE + 5,
        sha256: sha256(Buffer.from('small'), large),
      });
      assert.deepEqual(called, []);
    });

    it('that detaches another buffer makes send() throw, and nothing of it is sent', async () => {
      const detached = new ArrayBuffer(LARGE);
      const { sender, receiver } = await connections.pair(
        optionsOf(({ length }) => {
          if (length === 2 * LARGE) structuredClone(detached, { transfer: [detached] });
          return true;
        }),
      );
      const arrived = gather(receiver);
      const list = [Buffer.alloc(LARGE), Buffer.from(detached), Buffer.alloc(2 * LARGE)];
      assert.throws(() => sender.send(list), { code: 'ERR_ZC_BUFFER_DETACHED' });
      assert.throws(() => sender.send([...list].reverse()), { code: 'ERR_ZC_BUFFER_DETACHED' });
      assert.equal(sender.zeroCopy.pendingBytes, 0);
      sender.end('small');
      assert.equal((await arrived).bytes, 5);
    });
  });
}

describe('the option source that throws about a response that http keeps', () => {
  it('closes the connection with its error, as nobody could catch it', async () => {
    let first: http.ServerResponse | undefined;
    const server = http.createServer((_request, response) => {
      if (first === undefined) {
        first = response;
        return;
      }
      response.end(Buffer.alloc(LARGE));
      first.end('first');
    });
    enableZeroCopy(server, {
      source: () => {
        throw new Error('no answer');
      },
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
    client.write(
      ['first', 'second'].map((name) => `GET /${name} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''),
    );
    const [refused] = await Promise.all([once(server, 'clientError'), text(client)]);
    assert.match(String(refused[0]), /no answer/);
    server.close();
  });
});

describe('the option source of a UDP socket', () => {
  async function pair(
    source: (chunk: Uint8Array) => boolean,
  ): Promise<{ sender: ZeroCopyUdpSocket; receiver: ZeroCopyUdpSocket; received: number[] }> {
    const receiver = createUdpSocket('udp4');
    const received: number[] = [];
    receiver.on('message', (message) => received.push(message.length));
    receiver.bind(0, '127.0.0.1');
    await once(receiver, 'listening');
    const sender = createUdpSocket({
      type: 'udp4',
      zeroCopy: { engine: 'msg_zerocopy', threshold: 1000, source },
    });
    return { sender, receiver, received };
  }

  it('is called once for each large datagram, within the call that passes it', async () => {
    const asking1 = asking((chunk) => chunk.length % 2 === 0);
    const { sender, receiver, received } = await pair(asking1.source);
    const { port } = receiver.address();
    const to = { port, address: '127.0.0.1' };
    const sent = asking1.within(() => {
      // The socket is not bound yet.
      const first = sender.send(Buffer.alloc(1001), to);
      // Without a callback it is copied, whatever the answer would be.
      sender.send(Buffer.alloc(5000), port, '127.0.0.1');
      return Promise.all([
        first,
        sender.send([Buffer.alloc(600), Buffer.alloc(602)], to),
        sender.sendMany([Buffer.alloc(1004), Buffer.alloc(10), Buffer.alloc(1006)], to),
        new Promise((resolve) => sender.send(Buffer.alloc(1008), port, '127.0.0.1', resolve)),
      ]);
    });
    const [refused] = await sent;
    assert.deepEqual([refused.zeroCopyBytes, refused.reason], [0, 'source']);
    assert.deepEqual(asking1.asked, [1001, 600, 602, 1004, 1006, 1008]);
    assert.equal(asking1.outside, 0);
    await Promise.all([sender, receiver].map((socket) => closed(socket)));
    assert.ok(received.length <= 7);
  });

  it('that throws makes send() and sendMany() throw, and nothing is sent', async () => {
    const { sender, receiver, received } = await pair(() => {
      throw new Error('no answer');
    });
    const { port } = receiver.address();
    const to = { port, address: '127.0.0.1' };
    const large = Buffer.alloc(2000);
    const called: unknown[] = [];
    const callback = (error: unknown): void => void called.push(error);
    assert.throws(() => sender.send(large, port, '127.0.0.1', callback), /no answer/);
    assert.throws(() => sender.send(large, to), /no answer/);
    assert.throws(() => sender.sendMany([Buffer.alloc(10), large], to), /no answer/);
    const arrived = once(receiver, 'message');
    await sender.send(Buffer.from('small'), to);
    await arrived;
    assert.deepEqual([received, called], [[5], []]);
    await Promise.all([sender, receiver].map((socket) => closed(socket)));
  });
});

async function closed(socket: ZeroCopyUdpSocket): Promise<void> {
  const gone = once(socket, 'close');
  socket.close();
  await gone;
}
