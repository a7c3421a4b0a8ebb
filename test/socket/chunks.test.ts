// Writes of many chunks and of none (socket/huge-writes: of more than 31 bits): the bytes that
// arrive are the bytes that were written, in order, and each callback fires once, also in order.
import assert from 'node:assert/strict';
import type { ZeroCopyOptions } from '../../lib/index';
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
