// Memory that the kernel can read and cannot pin: memfd_secret(2), as mappings of devices. Plain Node sends
// it; a zero-copy send of it fails with EFAULT, and so it goes by copy.
import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { metrics, type SendReport, type ZeroCopyOptions } from '../../lib/index';
import { errnoName } from '../../lib/errors';
import { compiled } from '../helpers/compiled';
import { openSockets } from '../helpers/dgram-behaviours-open';
import { Heard } from '../helpers/heard';
import { uringSuite } from '../helpers/suites';
import { gather, loopback, sha256, STALLING_BYTES, type Upgraded } from '../helpers/loopback';

// Memory that is not like other memory (see odd-memory.c).
interface OddMemory {
  /** Can be read and not pinned: memfd_secret(2). */
  secret(bytes: number): ArrayBuffer | number;
  /** It cannot be read. */
  unreadable(bytes: number): ArrayBuffer | number;
}

function load(): OddMemory {
  const loaded = { exports: {} as OddMemory };
  process.dlopen(loaded, compiled('odd-memory', ['-shared', '-fPIC']));
  return loaded.exports;
}

function bufferOver(memory: ArrayBuffer | number): Buffer {
  if (typeof memory === 'number') throw new Error(errnoName(memory));
  return Buffer.from(memory);
}

/** A buffer over memory that the kernel can read and not pin. */
function secretBuffer(bytes: number): Buffer {
  return bufferOver(load().secret(bytes));
}

/** A buffer of unreadable memory. */
function unreadableBuffer(bytes: number): Buffer {
  return bufferOver(load().unreadable(bytes));
}

/** Tests that need secret memory: Linux 5.14, and on by default from 6.5 on (secretmem.enable). */
function secretSuite(title: string, body: () => void): void {
  describe(title, () => {
    const tried = load().secret(4096);
    if (typeof tried !== 'number') return body();
    it(`skipped: no memfd_secret here: ${errnoName(tried)}`);
  });
}

const LARGE = 256 * 1024;
const REASON = 'unpinnable-memory';

/** Of other memory, which may be pinned. */
function plain(bytes = LARGE): Buffer {
  return randomFillSync(Buffer.alloc(bytes));
}

function secret(bytes = LARGE): Buffer {
  return randomFillSync(secretBuffer(bytes));
}

/** Sends and overwrites what is released. */
async function send(sender: Upgraded, chunk: Buffer): Promise<SendReport> {
  const report = await sender.send(chunk);
  chunk.fill(0xee);
  return report;
}

function wayOf({ bytes, copiedBytes, reason }: SendReport): string {
  if (copiedBytes === 0) return 'uncopied';
  return copiedBytes === bytes ? `copied: ${reason}` : `in part: ${copiedBytes} of ${bytes}`;
}

function tcpTests(engine: 'msg_zerocopy' | 'io_uring'): void {
  const connections = loopback();
  const zeroCopy: ZeroCopyOptions = { engine, threshold: 16 * 1024 };

  it('is copied with a reason, and other memory goes without copying', async () => {
    const fallbacks = new Heard<{ reason: string }>('fallback');
    const { sender, receiver } = await connections.pair(zeroCopy);
    const arrived = gather(receiver);
    const chunks = [plain(), secret(), plain(), secret()];
    const expected = sha256(...chunks);
    const ways: string[] = [];
    for (const chunk of chunks) ways.push(wayOf(await send(sender, chunk)));
    assert.deepEqual(ways, ['uncopied', `copied: ${REASON}`, 'uncopied', `copied: ${REASON}`]);
    const { engine: now, state, stats } = sender.zeroCopy;
    assert.deepEqual([now, state], [engine, 'active']);
    assert.equal(stats.unpinnableSends, 2);
    sender.end();
    assert.equal((await arrived).sha256, expected);
    fallbacks.stop();
    assert.deepEqual(
      fallbacks.messages.map(({ reason }) => reason),
      [REASON, REASON],
    );
  });

  it('is found among other chunks of a write, which are not copied', async () => {
    const { sender, receiver } = await connections.pair(zeroCopy);
    const arrived = gather(receiver);
    const hidden = secret();
    const writes = [
      [plain(), hidden, plain(), plain(100), hidden],
      [plain(100), hidden.subarray(4096), plain(100), plain(), plain()],
    ];
    const expected = sha256(...writes.flat());
    for (const chunks of writes) {
      sender.cork();
      const reports = chunks.map((chunk) => sender.send(chunk));
      sender.uncork();
      const ways = (await Promise.all(reports)).map(wayOf);
      const wanted = chunks.map((chunk) => {
        if (chunk.length === 100) return 'copied: below-threshold';
        return chunk.buffer === hidden.buffer ? `copied: ${REASON}` : 'uncopied';
      });
      assert.deepEqual(ways, wanted);
    }
    sender.end();
    assert.equal((await arrived).sha256, expected);
  });

  it('costs one failed system call, however often it is sent', async () => {
    const before = metrics().fallbacks[REASON] ?? 0;
    const { sender, receiver } = await connections.pair(zeroCopy);
    const arrived = gather(receiver);
    const hidden = secret(4 * LARGE);
    for (let i = 0; i < 100; i++) {
      await sender.send(hidden.subarray(i * 1000, i * 1000 + LARGE));
    }
    assert.equal(metrics().fallbacks[REASON], before + 1);
    const { copiedBytes, unpinnableSends } = sender.zeroCopy.stats;
    assert.equal(copiedBytes, 100 * LARGE);
    assert.ok(unpinnableSends >= 100, 'those that wait for space go in parts');
    sender.end();
    assert.equal((await arrived).bytes, 100 * LARGE);
  });

  it('is sent in parts when the socket is full', async () => {
    const { sender, receiver } = await connections.pair(zeroCopy);
    const hidden = secret(4 * 1024 * 1024);
    const before = plain();
    const chunks: Buffer[] = [];
    for (let bytes = 0; bytes < STALLING_BYTES; bytes += hidden.length) chunks.push(hidden, before);
    const expected = sha256(...chunks);
    const released = chunks.map((chunk) => new Promise((resolve) => sender.write(chunk, resolve)));
    sender.end();
    const arrived = await gather(receiver);
    assert.equal(arrived.sha256, expected);
    for (const error of await Promise.all(released)) assert.equal(error ?? null, null);
  });

  it('is distinguished from unreadable memory, whose write fails', async () => {
    const { sender, receiver } = await connections.pair(zeroCopy);
    const before = plain();
    const expected = sha256(before);
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => sender.once('error', resolve));
    const arrived = gather(receiver);
    await sender.send(before);
    const written = new Promise<NodeJS.ErrnoException>((resolve) =>
      sender.write(unreadableBuffer(LARGE), resolve as (error?: Error | null) => void),
    );
    for (const { code, syscall } of [await written, await failed]) {
      assert.deepEqual([code, syscall], ['EFAULT', 'write']);
    }
    assert.equal((await arrived).sha256, expected);
  });
}

secretSuite('memory that cannot be pinned, by MSG_ZEROCOPY', () => tcpTests('msg_zerocopy'));
uringSuite('io_uring', () =>
  secretSuite('memory that cannot be pinned, by the ring', () => tcpTests('io_uring')),
);

secretSuite('memory that cannot be pinned, in datagrams', () => {
  const sockets = openSockets();
  const zeroCopy = { engine: 'msg_zerocopy', threshold: 1024 } as const;
  const SIZE = 30_000;

  it('is copied with a reason, and other memory goes without copying', async () => {
    const sink = await sockets.sink();
    const socket = await sockets.connectedTo(sink, { zeroCopy });
    const chunks = [plain(SIZE), secret(SIZE), plain(SIZE), secret(SIZE)];
    const expected = chunks.map((chunk) => sha256(chunk));
    const ways: string[] = [];
    for (const chunk of chunks) {
      ways.push(wayOf(await socket.send(chunk, {})));
      chunk.fill(0xee);
    }
    assert.deepEqual(ways, ['uncopied', `copied: ${REASON}`, 'uncopied', `copied: ${REASON}`]);
    assert.deepEqual(
      (await sink.next(4)).map((message) => sha256(message)),
      expected,
    );
    assert.equal(socket.zeroCopy.stats.unpinnableSends, 2);
    assert.equal(socket.zeroCopy.state, 'active');
  });

  it('is sent among others of a batch, in order, with one failed system call', async () => {
    const sink = await sockets.sink();
    const socket = await sockets.connectedTo(sink, { zeroCopy });
    const before = metrics().fallbacks[REASON] ?? 0;
    const hidden = secret(20 * SIZE);
    const chunks = Array.from({ length: 20 }, (_, i) =>
      i % 3 === 0 ? plain(SIZE) : hidden.subarray(i * SIZE, (i + 1) * SIZE),
    );
    const expected = chunks.map((chunk) => sha256(chunk));
    const report = await socket.sendMany(chunks);
    assert.deepEqual(
      (await sink.next(20)).map((message) => sha256(message)),
      expected,
    );
    assert.equal(report.copiedBytes, 13 * SIZE);
    const { unpinnableSends, zeroCopySends } = socket.zeroCopy.stats;
    assert.deepEqual([unpinnableSends, zeroCopySends], [13, 7]);
    assert.equal(metrics().fallbacks[REASON], before + 1);
  });

  it('is sent when a datagram is gathered from it and other memory', async () => {
    const sink = await sockets.sink();
    const socket = await sockets.connectedTo(sink, { zeroCopy });
    const parts = [plain(8), secret(SIZE), plain(5000)];
    const expected = sha256(...parts);
    assert.equal(wayOf(await socket.send(parts, {})), `copied: ${REASON}`);
    const [message] = await sink.next(1);
    assert.equal(sha256(message as Buffer), expected);
    assert.equal(wayOf(await socket.send(plain(SIZE), {})), 'uncopied');
    assert.equal(socket.zeroCopy.stats.unpinnableSends, 1);
  });

  it('is distinguished from unreadable memory, whose send fails', async () => {
    const sink = await sockets.sink();
    const socket = await sockets.connectedTo(sink, { zeroCopy });
    const failed = socket.send(unreadableBuffer(SIZE), {});
    await assert.rejects(failed, { code: 'EFAULT', syscall: 'send' });
    const after = plain(SIZE);
    await socket.send(after, {});
    const [message] = await sink.next(1);
    assert.equal(sha256(message as Buffer), sha256(after));
  });
});
