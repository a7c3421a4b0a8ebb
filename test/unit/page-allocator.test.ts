// The pages of a slab against a model that is simple enough to be right: a list of the owner of each page.
import assert from 'node:assert/strict';
import { PageAllocator } from '../../lib/memory/page-allocator';
import { between, seededRandom } from '../../scripts/random';

const FREE = -1;

interface Run {
  readonly first: number;
  readonly count: number;
}

/** The same as PageAllocator, slow and plain; takes the shortest run that fits. */
class Model {
  readonly owner: number[];

  constructor(pages: number) {
    this.owner = new Array<number>(pages).fill(FREE);
  }

  free(): Run[] {
    const runs: Run[] = [];
    let first = 0;
    for (let page = 0; page <= this.owner.length; page++) {
      if (page < this.owner.length && this.owner[page] === FREE) continue;
      if (page > first) runs.push({ first, count: page - first });
      first = page + 1;
    }
    return runs;
  }

  bestFit(count: number): number {
    const fitting = this.free().filter((run) => run.count >= count);
    return fitting.sort((a, b) => a.count - b.count)[0]?.first ?? -1;
  }

  /** Throws: when one of the pages is taken. */
  occupy(first: number, count: number): void {
    for (let page = first; page < first + count; page++) {
      assert.equal(this.owner[page], FREE, `page ${page} of ${first} + ${count} is taken`);
      this.owner[page] = first;
    }
  }

  vacate(first: number): number {
    let count = 0;
    while (this.owner[first + count] === first) this.owner[first + count++] = FREE;
    return count;
  }

  get freePages(): number {
    return this.owner.filter((owner) => owner === FREE).length;
  }
}

/** Sizes as they come: many small ones, few large ones. */
function pieceSize(random: () => number, most: number): number {
  return Math.min(most, Math.ceil(2 ** (random() * Math.log2(most + 1))));
}

/** Takes one of the taken runs out of the list. */
function pick(random: () => number, taken: number[]): number {
  const at = between(random, 0, taken.length - 1);
  const first = taken[at] as number;
  taken[at] = taken[taken.length - 1] as number;
  taken.pop();
  return first;
}

describe('the page allocator', () => {
  for (const pages of [1, 2, 15, 16, 17, 31, 32, 33, 255, 8192, 262_144]) {
    it(`of ${pages} pages can be taken as one run, and again after it is freed`, () => {
      const runs = new PageAllocator(pages);
      for (let round = 0; round < 3; round++) {
        assert.equal(runs.freePages, pages);
        assert.equal(runs.take(pages + 1), -1);
        assert.equal(runs.take(pages), 0);
        assert.equal(runs.freePages, 0);
        assert.equal(runs.take(1), -1);
        assert.equal(runs.giveBack(0), pages);
      }
    });
  }

  it('find the one run of exactly the right length', () => {
    for (let length = 1; length <= 600; length++) {
      const runs = new PageAllocator(length + 2);
      // A page on either side stays taken, so that nothing is merged.
      assert.equal(runs.take(1), 0);
      assert.equal(runs.take(length), 1);
      assert.equal(runs.take(1), length + 1);
      runs.giveBack(1);
      assert.equal(runs.take(length + 1), -1);
      assert.equal(runs.take(length), 1, `${length} pages`);
    }
  });

  it('find the only long enough run of its size class', () => {
    // 64 to 67 pages are of one class.
    const runs = new PageAllocator(1024);
    const firsts = [64, 65, 67, 66, 64].map((count) => {
      const first = runs.take(count);
      runs.take(1);
      return first;
    });
    runs.take(runs.freePages);
    for (const first of firsts) runs.giveBack(first);
    assert.equal(runs.take(68), -1);
    assert.equal(runs.take(67), firsts[2]);
    assert.equal(runs.take(67), -1);
    assert.equal(runs.take(66), firsts[3]);
  });

  it('merge with free neighbours before, behind, on both sides and on neither', () => {
    const orders = [
      [0, 1, 2],
      [0, 2, 1],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
      [2, 1, 0],
    ];
    for (const order of orders) {
      const runs = new PageAllocator(60);
      const firsts = [runs.take(20), runs.take(20), runs.take(20)];
      for (const index of order) assert.equal(runs.giveBack(firsts[index] as number), 20);
      assert.equal(runs.take(60), 0, `order ${order.join()}`);
    }
  });

  it('refuse to free what is not taken', () => {
    const runs = new PageAllocator(100);
    const first = runs.take(10);
    const second = runs.take(10);
    runs.giveBack(first);
    for (const page of [first, first + 3, second + 3, 50, 99, 100, -1]) {
      assert.throws(() => runs.giveBack(page), /no run is taken/, `page ${page}`);
    }
    runs.giveBack(second);
    for (const page of [first, second]) assert.throws(() => runs.giveBack(page), /no run is taken/);
    assert.equal(runs.freePages, 100);
  });

  for (const [index, pages] of [7, 64, 300, 2000].entries()) {
    it(`agree with the model over many operations on ${pages} pages`, () => {
      const random = seededRandom(0xb00c + index);
      const runs = new PageAllocator(pages);
      const model = new Model(pages);
      const taken: number[] = [];
      for (let step = 0; step < 6_000; step++) {
        // Swings between filling up and running dry.
        const filling = Math.floor(step / 300) % 2 === 0;
        if (random() < (filling ? 0.7 : 0.3)) {
          const count = pieceSize(random, Math.ceil(pages / 4));
          const first = runs.take(count);
          // Whatever fits somewhere is found: what is refused does not fit.
          assert.equal(first === -1, model.bestFit(count) === -1, `${count} pages`);
          if (first === -1) continue;
          model.occupy(first, count);
          taken.push(first);
        } else if (taken.length > 0) {
          const first = pick(random, taken);
          assert.equal(runs.giveBack(first), model.vacate(first));
        }
        assert.equal(runs.freePages, model.freePages);
      }
      while (taken.length > 0) runs.giveBack(pick(random, taken));
      assert.equal(runs.take(pages), 0, 'all is one run again');
    });
  }

  it('do not fragment worse than with best fit', () => {
    const pages = 2048;
    const refused = { real: 0, best: 0 };
    for (let seed = 0; seed < 4; seed++) {
      const random = seededRandom(0xf7a6 + seed);
      const runs = new PageAllocator(pages);
      const best = new Model(pages);
      // Each request is made of both; one in which a request was refused is that much emptier.
      const taken: { real: number; best: number }[] = [];
      let wanted = 0;
      const counts: number[] = [];
      for (let step = 0; step < 4_000; step++) {
        const count = pieceSize(random, 128);
        while (wanted + count > pages * 0.8) {
          const at = between(random, 0, taken.length - 1);
          const [gone] = taken.splice(at, 1) as [{ real: number; best: number }];
          wanted -= counts.splice(at, 1)[0] as number;
          if (gone.real >= 0) runs.giveBack(gone.real);
          if (gone.best >= 0) best.vacate(gone.best);
        }
        const next = { real: runs.take(count), best: best.bestFit(count) };
        if (next.best >= 0) best.occupy(next.best, count);
        if (next.real < 0) refused.real++;
        if (next.best < 0) refused.best++;
        taken.push(next);
        counts.push(count);
        wanted += count;
      }
    }
    const outcome = `${refused.real} of 16,000 requests refused, by the best fit ${refused.best}`;
    assert.ok(refused.real <= refused.best + 80, outcome);
  });

  it('take the same time however many free runs there are', () => {
    // Every other page is free: 131,072 runs. A search through them all would take minutes.
    const pages = 262_144;
    const runs = new PageAllocator(pages);
    for (let page = 0; page < pages; page++) assert.equal(runs.take(1), page);
    for (let page = 0; page < pages; page += 2) runs.giveBack(page);
    for (let step = 0; step < 100_000; step++) {
      assert.equal(runs.take(2), -1);
      const first = runs.take(1);
      assert.equal(first % 2, 0);
      runs.giveBack(first);
    }
    for (let page = 1; page < pages; page += 2) runs.giveBack(page);
    assert.equal(runs.take(pages), 0);
  });
});
