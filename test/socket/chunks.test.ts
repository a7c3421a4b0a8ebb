// Writes of many chunks, of none and of one that is larger than a signed 32-bit count: the bytes that
// arrive are the bytes that were written, in order, and each callback fires once, also in order.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { connect, type ZeroCopyOptions } from '../../lib/index';
import { gather, loopback, sha256, type Upgraded } from '../helpers/loopback';
import { between, randomBytes, seededRandom } from '../../scripts/random';

const ENGINES: readonly ZeroCopyOptions[] = [
  { engine: 'msg_zerocopy' },
  { engine: 'msg_zerocopy', threshold: 1 },
  { engine: 'copy' },
  { engine: 'copy', threshold: 1 },
];

/** A packet has 17 fragment slots and one sendmsg(2) takes 1,024 pieces: both are crossed. */
const COUNTS = [0, 1, 17, 18, 1_000, 3_000];

/** Who is large: all chunks, every other one, or the last. */
const SIZES = {
  'large chunks': () => 9_000,
  'large and small chunks': (index: number) => (index % 2 === 0 ? 9_000 : 100),
  'small chunks and a large one': (index: number, count: number) =>
    index === count - 1 ? 70_000 : 50,
} as const;

/** Writes `chunks` under one cork; answers what the callbacks said, in the order they fired. */
function writeCorked(sender: Upgraded, chunks: readonly Uint8Array[]): Promise<string[]> {
  const fired: string[] = [];
  sender.cork();
  const all = chunks.map(
    (chunk, index) =>
      new Promise<void>((resolve) => {
        sender.write(chunk, (error) => {
          fired.push(error ? `${index}: ${error.message}` : String(index));
          // The memory is the writer's again: a premature callback shows as a wrong hash.
          chunk.fill(0xee);
          resolve();
        });
      }),
  );
  sender.uncork();
  return Promise.all(all).then(() => fired);
}

for (const zeroCopy of ENGINES) {
  describe(`a cork, ${JSON.stringify(zeroCopy)}`, () => {
    const connections = loopback();

    for (const count of COUNTS) {
      for (const [what, sizeOf] of Object.entries(SIZES)) {
        if (count === 0 && what !== 'large chunks') continue;
        it(`of ${count} ${what} arrives whole and in order`, async () => {
          const random = seededRandom(count);
          const { sender, receiver } = await connections.pair(zeroCopy);
          const chunks = Array.from({ length: count }, (_, index) =>
            randomBytes(random, sizeOf(index, count)),
          );
          const expected = sha256(...chunks);
          const total = chunks.reduce((bytes, chunk) => bytes + chunk.length, 0);
          const arrived = gather(receiver);
          const fired = await writeCorked(sender, chunks);
          assert.deepEqual(
            fired,
            chunks.map((_, index) => String(index)),
          );
          assert.equal(sender.bytesWritten, total);
          sender.end();
          const { bytes, sha256: hash } = await arrived;
          assert.deepEqual({ bytes, hash }, { bytes: total, hash: expected });
          const { zeroCopyBytes, copiedBytes } = sender.zeroCopy.stats;
          assert.equal(zeroCopyBytes + copiedBytes, total);
          // Seventeen or more large chunks are beyond every threshold here.
          if (zeroCopy.engine === 'msg_zerocopy' && count >= 17) assert.ok(zeroCopyBytes > 0);
          if (zeroCopy.engine === 'copy') assert.equal(zeroCopyBytes, 0);
        });
      }
    }

    it('inside another, with empty chunks in between, arrives whole and in order', async () => {
      const random = seededRandom(7);
      const { sender, receiver } = await connections.pair(zeroCopy);
      const chunks = Array.from({ length: 60 }, (_, index) =>
        randomBytes(random, index % 3 === 0 ? 0 : between(random, 1, 40_000)),
      );
      const expected = sha256(...chunks);
      const arrived = gather(receiver);
      sender.cork();
      const first = writeCorked(sender, chunks.slice(0, 30));
      const second = writeCorked(sender, chunks.slice(30));
      sender.uncork();
      const fired = [...(await first), ...(await second)];
      assert.equal(fired.length, chunks.length);
      sender.end();
      assert.equal((await arrived).sha256, expected);
    });
  });
}

/** More than 2^31 - 1 bytes: beyond INT_MAX, and beyond what one system call takes (0x7ffff000). */
const HUGE_BYTES = 2 ** 31;
/** A prime, so that no lost or doubled piece of a power of two keeps the pattern in step. */
const PERIOD_BYTES = 1_048_573;

// Runs as a program of its own. Prints its port, then how many bytes came and how many were not the
// pattern that their offset asks for.
const RECEIVER = `
const net = require('node:net');
const period = ${PERIOD_BYTES};
let pattern = Buffer.alloc(0);
process.stdin.on('data', (part) => (pattern = Buffer.concat([pattern, part])));
process.stdin.once('end', () => {
  const twice = Buffer.concat([pattern, pattern]);
  const server = net.createServer((socket) => {
    server.close();
    let bytes = 0;
    let wrong = 0;
    socket.on('data', (chunk) => {
      for (let at = 0; at < chunk.length; at += period) {
        const part = chunk.subarray(at, at + period);
        const from = (bytes + at) % period;
        if (!part.equals(twice.subarray(from, from + part.length))) wrong += part.length;
      }
      bytes += chunk.length;
    });
    socket.once('error', (error) => (wrong = error.message));
    socket.once('close', () => console.log(JSON.stringify({ bytes, wrong })));
  });
  server.listen(0, '127.0.0.1', () => console.log(JSON.stringify(server.address())));
});
`;

interface Receiver {
  readonly port: number;
  readonly arrived: Promise<{ bytes: number; wrong: number | string }>;
}

const receivers = new Set<ReturnType<typeof spawn>>();

async function startReceiver(pattern: Uint8Array): Promise<Receiver> {
  const child = spawn(process.execPath, ['-e', RECEIVER], { stdio: ['pipe', 'pipe', 'inherit'] });
  receivers.add(child);
  child.once('close', () => receivers.delete(child));
  (child.stdin as Writable).end(pattern);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const arrived = once(child.stdout, 'data').then(
    ([answer]) =>
      JSON.parse((answer as Buffer).toString()) as { bytes: number; wrong: number | string },
  );
  return { port: (JSON.parse(line.toString()) as { port: number }).port, arrived };
}

describe('a write of 2 GiB', () => {
  const connections = loopback();
  const pattern = randomBytes(seededRandom(31), PERIOD_BYTES);
  let huge: Uint8Array | undefined;

  before(() => {
    huge = new Uint8Array(HUGE_BYTES);
    huge.set(pattern);
    // Doubling what is there costs one pass over the memory.
    for (let filled = PERIOD_BYTES; filled < HUGE_BYTES; filled *= 2) {
      huge.copyWithin(filled, 0, Math.min(filled, HUGE_BYTES - filled));
    }
  });
  after(() => (huge = undefined));
  afterEach(() => {
    for (const receiver of receivers) receiver.kill('SIGKILL');
  });

  for (const zeroCopy of [{ engine: 'msg_zerocopy' }, { engine: 'copy' }] as const) {
    it(`arrives whole, engine ${zeroCopy.engine}`, async () => {
      const { port, arrived } = await startReceiver(pattern);
      const sender = connections.own(connect({ port, host: '127.0.0.1', zeroCopy }));
      const handedBack = new Promise<Error | null | undefined>((resolve) =>
        sender.write(huge as Uint8Array, resolve),
      );
      assert.equal(sender.writableLength, HUGE_BYTES);
      assert.equal((await handedBack) ?? null, null);
      assert.equal(sender.zeroCopy.pendingBytes, 0);
      assert.equal(sender.bytesWritten, HUGE_BYTES);
      const { zeroCopyBytes, copiedBytes } = sender.zeroCopy.stats;
      assert.equal(zeroCopyBytes + copiedBytes, HUGE_BYTES);
      if (zeroCopy.engine === 'msg_zerocopy') assert.ok(zeroCopyBytes > HUGE_BYTES / 2);
      sender.end();
      assert.deepEqual(await arrived, { bytes: HUGE_BYTES, wrong: 0 });
    });
  }

  it('between small chunks of one cork arrives whole, engine msg_zerocopy', async () => {
    const { port, arrived } = await startReceiver(pattern);
    const zeroCopy = { engine: 'msg_zerocopy' } as const;
    const sender = connections.own(connect({ port, host: '127.0.0.1', zeroCopy }));
    await once(sender, 'connect');
    // What comes in front continues the pattern, so that the receiver needs to know nothing more.
    const [head, body] = [pattern.subarray(0, 100), (huge as Uint8Array).subarray(100)];
    const from = HUGE_BYTES % PERIOD_BYTES;
    const tail = pattern.subarray(from, from + 200);
    const report = await sender.send([head, body, tail]);
    assert.equal(report.bytes, HUGE_BYTES + 200);
    const { zeroCopyBytes, copiedBytes, kernelCopiedBytes, unknownBytes } = report;
    assert.equal(zeroCopyBytes + copiedBytes + kernelCopiedBytes + unknownBytes, report.bytes);
    sender.end();
    assert.deepEqual(await arrived, { bytes: HUGE_BYTES + 200, wrong: 0 });
  });
});
