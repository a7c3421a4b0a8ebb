// Machines whose pages are larger than 4 KiB: pools of whole pages, rings of whole blocks of them.
import assert from 'node:assert/strict';
import { ringShape } from '../../lib/datagram/ring';
import { pinPieces, PoolSlab, unpinPieces } from '../../lib/memory/pool-pins';

const KIB = 1024;
const MIB = 1024 * KIB;

for (const pageBytes of [4 * KIB, 16 * KIB, 64 * KIB]) {
  describe(`with pages of ${pageBytes / KIB} KiB`, () => {
    it('the pieces of a pool are page-aligned, do not overlap, and use all of it', () => {
      const memory = new ArrayBuffer(MIB);
      const slab = new PoolSlab(memory, pageBytes);
      const sizes = [1, pageBytes, pageBytes + 1, 3 * pageBytes];
      const pieces = sizes.map((size) => slab.take(size));
      const pages = pieces.map((piece) => [piece?.firstPage, piece?.endPage]);
      assert.deepEqual(pages, [
        [0, 1],
        [1, 2],
        [2, 4],
        [4, 7],
      ]);
      assert.equal(slab.usedBytes, 7 * pageBytes);
      assert.ok(slab.take(MIB - 7 * pageBytes) !== undefined);
      assert.equal(slab.usedBytes, MIB);
      assert.equal(slab.take(1), undefined);
    });

    it('a piece being sent is pinned, and its neighbours are not', () => {
      const memory = new ArrayBuffer(MIB);
      const slab = new PoolSlab(memory, pageBytes);
      const [first, second, third] = [1, 2 * pageBytes, 1].map((size) => slab.take(size));
      assert.ok(first !== undefined && second !== undefined && third !== undefined);
      const view = new Uint8Array(memory, 2 * pageBytes, 10);
      const pinned = pinPieces([view]);
      assert.deepEqual([first.pins, second.pins, third.pins], [0, 1, 0]);
      slab.free(second);
      assert.equal(slab.usedBytes, 4 * pageBytes, 'the kernel still reads it');
      unpinPieces(pinned ?? []);
      assert.equal(slab.usedBytes, 2 * pageBytes);
    });

    it('the blocks of a packet ring are whole pages that hold a whole number of frames', () => {
      for (const frameSize of [128, 2048, 65_536, 131_072]) {
        for (const frames of [1, 8, 300]) {
          const shape = ringShape({ frames, frameSize }, { mtu: 1500 }, 48, pageBytes);
          assert.equal(shape.blockBytes % pageBytes, 0);
          assert.equal(shape.blockBytes % shape.frameBytes, 0);
          assert.ok(shape.frames >= frames);
          assert.equal((shape.frames * shape.frameBytes) % shape.blockBytes, 0);
        }
      }
    });
  });
}
