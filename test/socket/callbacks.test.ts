// When callbacks fire, in which async context, and what one that throws leaves to the others. Also the
// timeout of a socket, which must not take slow progress for idleness.
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import net from 'node:net';
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises';
import { connect, type ZeroCopyOptions } from '../../lib/index';
import { isolated } from '../helpers/isolated';
import { addressOf, gather, loopback, sha256, STALLING_BYTES } from '../helpers/loopback';
import { until } from '../../scripts/until';

const LARGE = 128 * 1024;
/** Accepted at once over loopback, but far more than a far end that does not read has room for. */
const ACCEPTED_UNREAD = 1024 * 1024;
/** Enough for anything that is not held back to have happened. */
const TURNS = 50;

const ENGINES: readonly ZeroCopyOptions[] = [
  { engine: 'msg_zerocopy' },
  { engine: 'msg_zerocopy', threshold: 1 },
  { engine: 'copy' },
];
const ZERO_COPY = ENGINES.filter(({ engine }) => engine === 'msg_zerocopy');

for (const zeroCopy of ZERO_COPY) {
  describe(`a callback passed with data, ${JSON.stringify(zeroCopy)}`, () => {
    const connections = loopback();

    for (const how of ['write', 'end'] as const) {
      it(`to ${how}() comes at release, however long the peer does not read`, async () => {
        const { sender, receiver } = await connections.pair(zeroCopy);
        const chunk = Buffer.alloc(ACCEPTED_UNREAD, 1);
        let pendingInside: number | undefined;
        const released = new Promise<void>((resolve) => {
          const callback = (): void => {
            pendingInside = sender.zeroCopy.pendingBytes;
            chunk.fill(0xee);
            resolve();
          };
          if (how === 'write') sender.write(chunk, callback);
          else sender.end(chunk, callback);
        });
        if (how === 'write') await until('all is accepted', () => sender.writableLength === 0);
        else await once(sender, 'finish');
        for (let i = 0; i < TURNS; i++) await turn();
        assert.equal(pendingInside, undefined, 'released while the kernel references it');
        assert.ok(sender.zeroCopy.pendingBytes > 0);
        const arrived = gather(receiver);
        await released;
        assert.equal(pendingInside, 0);
        sender.end();
        assert.equal((await arrived).sha256, sha256(Buffer.alloc(ACCEPTED_UNREAD, 1)));
      });
    }

    it("comes at acceptance with callbackAt: 'accept', without waiting for the peer", async () => {
      const { sender, receiver } = await connections.pair({ ...zeroCopy, callbackAt: 'accept' });
      await new Promise((resolve) => sender.write(Buffer.alloc(ACCEPTED_UNREAD, 1), resolve));
      assert.ok(sender.zeroCopy.pendingBytes > 0);
      const arrived = gather(receiver);
      await sender.zeroCopy.flush();
      assert.equal(sender.zeroCopy.pendingBytes, 0);
      sender.end();
      assert.equal((await arrived).bytes, ACCEPTED_UNREAD);
    });
  });
}

for (const zeroCopy of ENGINES) {
  describe(`the async context of callbacks, ${JSON.stringify(zeroCopy)}`, () => {
    const connections = loopback();
    const storage = new AsyncLocalStorage<string>();

    /** Passes a callback within the context `name`; answers the context that it ran in. */
    function contextOf(
      name: string,
      pass: (callback: () => void) => void,
    ): Promise<string | undefined> {
      return new Promise((resolve) => {
        storage.run(name, () => pass(() => resolve(storage.getStore())));
      });
    }

    it('is that of the write, even behind a stalled write', async () => {
      const { sender, receiver } = await connections.pair(zeroCopy);
      const contexts = [
        contextOf('stalled', (callback) => sender.write(Buffer.alloc(STALLING_BYTES), callback)),
        contextOf('large', (callback) => sender.write(Buffer.alloc(LARGE), callback)),
        contextOf('small', (callback) => sender.write('small', callback)),
        contextOf('send', (callback) => void sender.send(Buffer.alloc(LARGE)).then(callback)),
        contextOf('flush', (callback) => void sender.zeroCopy.flush().then(callback)),
        contextOf('end', (callback) => sender.end(Buffer.alloc(LARGE), callback)),
      ];
      void gather(receiver);
      const expected = ['stalled', 'large', 'small', 'send', 'flush', 'end'];
      assert.deepEqual(await Promise.all(contexts), expected);
    });

    it('is that of the write while connecting, and under a cork', async () => {
      const server = await connections.silentServer();
      const accepted = once(server, 'connection') as Promise<[net.Socket]>;
      const sender = connections.own(connect({ ...addressOf(server), zeroCopy }));
      const early = ['one', 'two'].map((name) =>
        contextOf(name, (callback) => sender.write(Buffer.alloc(LARGE), callback)),
      );
      void gather((await accepted)[0]);
      assert.deepEqual(await Promise.all(early), ['one', 'two']);
      sender.cork();
      const corked = ['three', 'four'].map((name) =>
        contextOf(name, (callback) => sender.write(Buffer.alloc(LARGE), callback)),
      );
      storage.run('uncork', () => sender.uncork());
      assert.deepEqual(await Promise.all(corked), ['three', 'four']);
    });

    it('is that of the write when destroy() interrupts it', async () => {
      const { sender, receiver } = await connections.pair(zeroCopy);
      sender.on('error', () => undefined);
      const cut = ['first', 'behind'].map((name) =>
        contextOf(name, (callback) => sender.write(Buffer.alloc(STALLING_BYTES), callback)),
      );
      storage.run('destroy', () => sender.destroy());
      // What was accepted is still to be released.
      void gather(receiver);
      assert.deepEqual(await Promise.all(cut), ['first', 'behind']);
    });
  });

  describe(`a callback that throws, ${JSON.stringify(zeroCopy)}`, () => {
    for (const how of ['one by one', 'corked', 'waiting'] as const) {
      it(`loses none of the others, ${how}`, async () => {
        const { answer, stderr } = await isolated<{ called: number[]; uncaught: string[] }>(
          PROGRAM,
          { env: { THROWING: JSON.stringify({ how, zeroCopy, stalling: STALLING_BYTES }) } },
        );
        const expected = { called: [0, 1, 2, 3, 4], uncaught: ['callback 1', 'callback 3'] };
        assert.deepEqual(answer, expected, stderr);
      });
    }
  });

  describe(`the timeout of a socket, ${JSON.stringify(zeroCopy)}`, () => {
    const connections = loopback();
    /** Many times what lies between two reads of the slow reader. */
    const TIMEOUT_MS = 300;
    const READS = 40;
    const BETWEEN_READS_MS = 20;

    it('fires when nothing is written', async () => {
      const { sender } = await connections.pair(zeroCopy);
      sender.setTimeout(20);
      await once(sender, 'timeout');
    });

    it('fires when a write makes no progress', async () => {
      const { sender } = await connections.pair(zeroCopy);
      sender.write(Buffer.alloc(STALLING_BYTES));
      sender.setTimeout(20);
      await once(sender, 'timeout');
      assert.ok(sender.writableLength > 0);
    });

    it('does not fire while a slow write makes progress', async () => {
      const { sender, receiver } = await connections.pair(zeroCopy);
      const data = Buffer.alloc(STALLING_BYTES, 1);
      sender.setTimeout(TIMEOUT_MS);
      let timeouts = 0;
      sender.on('timeout', () => timeouts++);
      sender.write(data);
      let taken = 0;
      const begun = performance.now();
      for (let i = 1; i <= READS; i++) {
        // Reads in step with `i`, then waits: the pace is what is tested.
        while (taken < (data.length / READS) * i) {
          const chunk = receiver.read() as Buffer | null;
          if (chunk === null) await once(receiver, 'readable');
          else taken += chunk.length;
        }
        await pause(BETWEEN_READS_MS);
      }
      assert.ok(performance.now() - begun > 2 * TIMEOUT_MS);
      assert.equal(taken, data.length);
      assert.equal(timeouts, 0);
    });
  });
}

/** Five writes; the second and the fourth callback throw. Answers which callbacks were called. */
async function PROGRAM({
  zc,
  net: nodeNet,
  events,
  turn: nextTurn,
}: Parameters<Parameters<typeof isolated>[0]>[0]): Promise<{
  called: number[];
  uncaught: string[];
}> {
  const { how, zeroCopy, stalling } = JSON.parse(process.env['THROWING'] ?? '{}') as {
    how: string;
    zeroCopy: ZeroCopyOptions;
    stalling: number;
  };
  // A stream that a thrown callback has broken would keep this program for ever.
  setTimeout(() => process.exit(3), 5_000).unref();
  const uncaught: string[] = [];
  process.on('uncaughtException', (error) => uncaught.push(error.message));
  const server = nodeNet.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  const accepted = events.once(server, 'connection') as Promise<[net.Socket]>;
  await events.once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const sender = zc.connect({ port, host: '127.0.0.1', zeroCopy });
  await events.once(sender, 'connect');
  const [receiver] = await accepted;
  const called: number[] = [];
  if (how === 'waiting') sender.write(Buffer.alloc(stalling));
  if (how === 'corked') sender.cork();
  for (let i = 0; i < 5; i++) {
    sender.write(Buffer.alloc(100_000), () => {
      called.push(i);
      if (i % 2 === 1) throw new Error(`callback ${i}`);
    });
  }
  if (how === 'corked') sender.uncork();
  receiver.resume();
  // Behind everything, so whatever was to be called has been by then.
  const ended = events.once(receiver, 'end');
  sender.end();
  await ended;
  await sender.zeroCopy.flush();
  await nextTurn();
  sender.destroy();
  receiver.destroy();
  server.close();
  return { called, uncaught };
}
