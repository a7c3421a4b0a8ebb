// One message to many connections in one turn shares system calls. Every receiver compares every byte, and a
// message is overwritten when the last connection has called back.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import {
  enableZeroCopy,
  metrics,
  type ZeroCopyMembers,
  type ZeroCopyOptions,
} from '../../lib/index';
import { loadNative, type Native } from '../../lib/native/binding';
import { seededRandom } from '../../scripts/random';
import { until } from '../../scripts/until';
import { uringSuite } from '../helpers/suites';
import { withCountedSubmits } from '../helpers/counted-submits';

const CONNECTIONS = 24;
const HEADER = Buffer.from('[message]');

interface Pair {
  readonly sender: net.Socket;
  readonly receiver: net.Socket;
  readonly expected: Buffer[];
  readonly received: Buffer[];
}

async function connectMany(
  options?: ZeroCopyOptions,
): Promise<{ pairs: Pair[]; close: () => void }> {
  const server = enableZeroCopy(net.createServer(), options).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const pairs: Pair[] = [];
  for (let i = 0; i < CONNECTIONS; i++) {
    const accepted = once(server, 'connection');
    const receiver = net.connect(port, '127.0.0.1');
    const [sender] = (await accepted) as [net.Socket];
    const received: Buffer[] = [];
    receiver.on('data', (chunk: Buffer) => received.push(chunk));
    pairs.push({ sender, receiver, expected: [], received });
  }
  return { pairs, close: () => server.close() };
}

async function assertReceived(pairs: readonly Pair[]): Promise<void> {
  for (const { sender, receiver, expected, received } of pairs) {
    receiver.resume();
    sender.end();
    await once(receiver, 'end');
    assert.ok(Buffer.concat(expected).equals(Buffer.concat(received)), 'other bytes arrived');
  }
}

/** Sends a message to all; settles when all have called back, and overwrites it then. */
function broadcast(pairs: readonly Pair[], message: Buffer, way: number): Promise<void> {
  const bytes = Buffer.from(message);
  return new Promise((resolve) => {
    let left = pairs.length;
    const told = (error?: Error | null): void => {
      assert.equal(error ?? undefined, undefined);
      if (--left > 0) return;
      message.fill(0xee);
      resolve();
    };
    for (const { sender, expected } of pairs) {
      if (way === 0) {
        sender.write(message, told);
        expected.push(bytes);
      } else {
        // As ws writes a message.
        sender.cork();
        sender.write(HEADER);
        sender.write(message, told);
        sender.uncork();
        expected.push(HEADER, bytes);
      }
    }
  });
}

/** Sends a message in each turn until they share calls. */
async function broadcastUntilShared(pairs: readonly Pair[]): Promise<void> {
  const before = metrics().sharedCopies;
  while (metrics().sharedCopies === before) {
    await broadcast(pairs, Buffer.alloc(900, 'w'), 0);
    await new Promise(setImmediate);
  }
}

const zeroCopySends = (pairs: readonly Pair[]): number =>
  pairs.reduce(
    (sum, { sender }) =>
      sum + (sender as net.Socket & ZeroCopyMembers).zeroCopy.stats.zeroCopySends,
    0,
  );

describe('a large message to many connections', () => {
  it('is copied from the second connection on, while it is hot in the cache', async () => {
    const { pairs, close } = await connectMany();
    const message = Buffer.allocUnsafeSlow(65_536).fill('m');
    for (const way of [0, 1]) await broadcast(pairs, message, way);
    const sends = zeroCopySends(pairs);
    assert.ok(sends >= 1 && sends <= 2, `${sends} went without copying`);
    await assertReceived(pairs);
    close();
  });

  it('is copied for every connection from the second message on', async () => {
    const { pairs, close } = await connectMany();
    await broadcast(pairs, Buffer.allocUnsafeSlow(65_536).fill('m'), 0);
    const first = zeroCopySends(pairs);
    for (let turn = 0; turn < 5; turn++) {
      await new Promise(setImmediate);
      await broadcast(pairs, Buffer.allocUnsafeSlow(65_536).fill(turn), turn % 2);
    }
    assert.equal(zeroCopySends(pairs), first);
    await assertReceived(pairs);
    close();
  });

  it('goes without copying again when the connection is written to alone', async () => {
    // Loopback copies: by default, a pause may come first.
    const { pairs, close } = await connectMany({ engine: 'msg_zerocopy' });
    await broadcast(pairs, Buffer.allocUnsafeSlow(65_536).fill('m'), 0);
    const [pair] = pairs as [Pair];
    const first = zeroCopySends([pair]);
    const alone = async (): Promise<void> => {
      await new Promise(setImmediate);
      await broadcast([pair], Buffer.allocUnsafeSlow(65_536).fill('a'), 0);
    };
    // Taken for one of many once more.
    await alone();
    assert.equal(zeroCopySends([pair]), first);
    await alone();
    assert.ok(zeroCopySends([pair]) > first);
    await assertReceived(pairs);
    close();
  });

  it('goes without copying from the threshold that the program chose', async () => {
    const { pairs, close } = await connectMany();
    for (const { sender } of pairs)
      enableZeroCopy(sender, { engine: 'msg_zerocopy', threshold: 16_384 });
    await broadcast(pairs, Buffer.allocUnsafeSlow(65_536).fill('m'), 0);
    assert.ok(zeroCopySends(pairs) >= CONNECTIONS);
    await assertReceived(pairs);
    close();
  });
});

uringSuite('one message to many connections', () => {
  for (const [size, verb] of [
    [20_000, 'shares'],
    [21_000, 'does not share'],
  ] as const) {
    it(`${verb} system calls at ${size} bytes`, async () => {
      const { pairs, close } = await connectMany();
      await broadcastUntilShared(pairs);
      const before = metrics().sharedCopies;
      await broadcast(pairs, Buffer.allocUnsafeSlow(size).fill('m'), 0);
      const shared = metrics().sharedCopies - before;
      assert.equal(shared, verb === 'shares' ? CONNECTIONS - 1 : 0);
      await assertReceived(pairs);
      close();
    });
  }

  it('arrives whole and in order at each, and shares system calls', async () => {
    const { pairs, close } = await connectMany();
    const random = seededRandom(11);
    const before = metrics().sharedCopies;
    let messages = 0;
    for (let round = 0; round < 300; round++) {
      const message = Buffer.allocUnsafeSlow(1 + Math.floor(random() * 20_000)).fill(round);
      const chosen = pairs.filter(() => random() < 0.9);
      if (chosen.length === 0) continue;
      // Readers that are slow have the socket take a part, or nothing.
      for (const { receiver } of pairs) if (random() < 0.1) receiver.pause();
      const told = broadcast(chosen, message, Math.floor(random() * 2));
      messages += chosen.length;
      // Behind it, in the same turn, something of its own for some.
      for (const { sender, expected } of pairs) {
        if (random() > 0.05) continue;
        sender.write(`own ${round}`);
        expected.push(Buffer.from(`own ${round}`));
      }
      await new Promise(setImmediate);
      for (const { receiver } of pairs) receiver.resume();
      await told;
    }
    await assertReceived(pairs);
    const shared = metrics().sharedCopies - before;
    assert.ok(shared > messages / 2, `${shared} of ${messages} shared a call`);
    close();
  });

  it('arrives whole over connections that end right after it', async () => {
    const { pairs, close } = await connectMany();
    for (let round = 0; round < 20; round++) {
      await broadcast(pairs, Buffer.alloc(900, round), 0);
    }
    const last = Buffer.alloc(900, 'z');
    for (const { sender, expected } of pairs) {
      sender.write(last);
      expected.push(last);
      if (expected.length % 2 === 0) sender.end();
      else sender.destroy();
    }
    const ends = pairs.map(({ receiver }) => once(receiver, 'close'));
    await Promise.all(ends);
    for (const { expected, received } of pairs) {
      assert.ok(Buffer.concat(expected).equals(Buffer.concat(received)), 'other bytes arrived');
    }
    close();
  });

  it('calls back in order where the sockets are full', async () => {
    const { pairs, close } = await connectMany();
    await broadcastUntilShared(pairs);
    const message = Buffer.alloc(20_000, 'm');
    const told = pairs.map((): number[] => []);
    for (const { receiver } of pairs) receiver.pause();
    let writes = 0;
    // Behind a message, in the same turn, something of its own.
    while (pairs.some(({ sender }) => sender.writableLength < 3 * message.length)) {
      for (const chunk of [message, Buffer.from('own')]) {
        const number = writes++;
        for (const [at, { sender, expected }] of pairs.entries()) {
          sender.write(chunk, () => told[at]?.push(number));
          expected.push(chunk);
        }
      }
      await new Promise(setImmediate);
    }
    await assertReceived(pairs);
    await until('all have called back', () => told.every(({ length }) => length >= writes));
    const inOrder = Array.from({ length: writes }, (_, number) => number);
    for (const numbers of told) assert.deepEqual(numbers, inOrder);
    close();
  });

  it('reaches the kernel before HTTP/2 takes a connection over in the same loop', async () => {
    const { pairs, close } = await connectMany();
    await broadcastUntilShared(pairs);
    const other = http2.createServer();
    const message = Buffer.alloc(700, 'm');
    const before = metrics().sharedCopies;
    await withCountedSubmits((submits) => {
      for (const { sender, expected } of pairs) {
        sender.write(message);
        expected.push(message);
        other.emit('connection', sender);
      }
      const shared = metrics().sharedCopies - before;
      assert.ok(shared > CONNECTIONS / 2, `${shared} shared a call`);
      assert.equal(submits(), shared);
    });
    for (const { receiver, expected, received } of pairs) {
      const wanted = Buffer.concat(expected);
      while (Buffer.concat(received).length <= wanted.length) await once(receiver, 'data');
      assert.ok(Buffer.concat(received).subarray(0, wanted.length).equals(wanted));
      receiver.destroy();
    }
    close();
  });

  const losses: Record<string, (memory: ArrayBuffer) => void> = {
    transferred: (memory) => void structuredClone(memory, { transfer: [memory] }),
    // The type is that of ES2024.
    shrunk: (memory) => (memory as unknown as { resize(bytes: number): void }).resize(50),
  };
  for (const [lost, lose] of Object.entries(losses)) {
    for (const taken of [0, 100]) {
      it(`that is ${lost} after the loop fails only on the connection that took ${taken} bytes of it`, async () => {
        const { pairs, close } = await connectMany();
        await broadcastUntilShared(pairs);
        const ends = pairs.map(({ receiver }) => once(receiver, 'close'));
        const codes = new Map<net.Socket, string | undefined>();
        const memory = new (ArrayBuffer as new (bytes: number, options: object) => ArrayBuffer)(
          900,
          {
            maxByteLength: 900,
          },
        );
        const message = Buffer.from(memory).fill('m');
        const bytes = Buffer.from(message);
        const { native } = loadNative() as { native: Native };
        const { queueSend } = native;
        let queued = 0;
        native.queueSend = (fd, head, body, encoding) =>
          queueSend(fd, head, queued++ % 2 === 0 ? body?.subarray(0, taken) : body, encoding);
        const told: Promise<void>[] = [];
        try {
          for (const { sender, expected } of pairs) {
            sender.on('error', () => undefined);
            expected.push(bytes);
            const before = queued;
            const tell = (resolve: () => void): void =>
              void sender.write(message, (error) => {
                codes.set(sender, (error as NodeJS.ErrnoException | null | undefined)?.code);
                resolve();
              });
            told.push(new Promise(tell));
            // The first goes at once.
            if (queued > before && before % 2 === 0)
              expected.splice(-1, 1, bytes.subarray(0, taken));
          }
        } finally {
          native.queueSend = queueSend;
        }
        lose(memory);
        await Promise.all(told);
        assert.ok(queued > CONNECTIONS / 2, `${queued} shared a call`);
        for (const { sender, expected } of pairs) {
          const isWhole = expected[expected.length - 1] === bytes;
          assert.equal(codes.get(sender), isWhole ? undefined : 'ERR_ZC_BUFFER_DETACHED');
          assert.equal(sender.destroyed, !isWhole);
          sender.end();
        }
        await Promise.all(ends);
        for (const { expected, received } of pairs) {
          assert.ok(Buffer.concat(expected).equals(Buffer.concat(received)), 'other bytes arrived');
        }
        close();
      });
    }
  }

  // A proxy answers each CONNECT so, and may hand the connection to HTTP/2, which writes below our methods.
  it('shares no system call when each connection gets it from a callback of its own', async () => {
    const { pairs, close } = await connectMany();
    await broadcastUntilShared(pairs);
    const before = metrics().sharedCopies;
    const established = Buffer.from('HTTP/1.1 200 Connection established\r\n\r\n');
    for (let round = 0; round < 20; round++) {
      const answered = pairs.map(async ({ sender, receiver, expected }) => {
        sender.once('data', () => {
          sender.write(established);
          expected.push(established);
        });
        receiver.write('CONNECT');
        await once(sender, 'data');
      });
      await Promise.all(answered);
    }
    assert.equal(metrics().sharedCopies, before);
    await assertReceived(pairs);
    close();
  });
});
