// The set of ids that the kernel still references, against a model that nobody can get wrong: a Map
// of 64-bit ids. The kernel's side of it is modulo 2^32.
import assert from 'node:assert/strict';
import { InFlight, type SentEntry } from '../../lib/inflight';
import { between, seededRandom } from '../helpers/prng';

const WRAP = 2 ** 32;

interface Entry extends SentEntry {
  readonly id: number;
}

interface Completion {
  readonly strays: number;
  readonly visited: readonly (readonly [id: number, isFirst: boolean])[];
}

/** The same as InFlight, slow and plain. */
class Model {
  readonly pending = new Map<number, Entry>();
  next: number;

  constructor(firstId: number) {
    this.next = firstId;
  }

  get base(): number {
    let lowest = this.next;
    for (const id of this.pending.keys()) lowest = Math.min(lowest, id);
    return lowest;
  }

  get pendingBytes(): number {
    let bytes = 0;
    for (const entry of this.pending.values()) bytes += entry.bytes;
    return bytes;
  }

  add(bytes: number): Entry {
    const entry = { id: this.next++, bytes };
    this.pending.set(entry.id, entry);
    return entry;
  }

  complete(lo: number, hi: number): Completion {
    const visited: [number, boolean][] = [];
    // A range that begins below the lowest pending id can only be somebody else's.
    const ours = lo >= this.base;
    for (let id = lo; id <= hi; id++) {
      if (ours && this.pending.delete(id)) visited.push([id, id === lo]);
    }
    return { strays: hi - lo + 1 - visited.length, visited };
  }
}

/** Both sides of one run, compared after every operation. */
class Pair {
  readonly real: InFlight<Entry>;
  readonly model: Model;

  constructor(firstId: number) {
    this.real = new InFlight<Entry>(firstId);
    this.model = new Model(firstId);
  }

  add(bytes = 1): void {
    const entry = this.model.add(bytes);
    assert.equal(this.real.add(entry), entry.id);
  }

  /** @param lo first id, 64 bits: told to the real one as the kernel would */
  complete(lo: number, hi: number): void {
    const visited: [number, boolean][] = [];
    const strays = this.real.complete(lo % WRAP, hi % WRAP, (entry, isFirst) => {
      visited.push([entry.id, isFirst]);
    });
    assert.deepEqual({ strays, visited }, this.model.complete(lo, hi));
  }

  compare(): void {
    assert.equal(this.real.nextId, this.model.next);
    assert.equal(this.real.releasedBelow, this.model.base);
    assert.equal(this.real.pendingSends, this.model.pending.size);
    assert.equal(this.real.pendingBytes, this.model.pendingBytes);
  }
}

describe('inflight', () => {
  it('starts empty at the id it is given', () => {
    for (const firstId of [0, 7, WRAP - 1, WRAP, 2 * WRAP + 5]) {
      const inflight = new InFlight(firstId);
      assert.equal(inflight.nextId, firstId);
      assert.equal(inflight.releasedBelow, firstId);
      assert.equal(inflight.pendingSends, 0);
      assert.equal(inflight.pendingBytes, 0);
    }
  });

  it('keeps everything from a hole on pending', () => {
    const pair = new Pair(0);
    for (let i = 0; i < 4; i++) pair.add(10);
    pair.complete(1, 3);
    assert.equal(pair.real.releasedBelow, 0);
    assert.equal(pair.real.pendingBytes, 10);
    pair.complete(0, 0);
    assert.equal(pair.real.releasedBelow, 4);
    pair.compare();
  });

  it('takes one range across the wrap of 32 bits', () => {
    for (const wrap of [WRAP, 2 * WRAP]) {
      const pair = new Pair(wrap - 3);
      for (let i = 0; i < 6; i++) pair.add(i + 1);
      assert.equal((wrap + 1) % WRAP, 1);
      pair.complete(wrap - 2, wrap + 1);
      pair.compare();
      assert.equal(pair.real.releasedBelow, wrap - 3);
      pair.complete(wrap - 3, wrap - 3);
      pair.complete(wrap + 2, wrap + 2);
      assert.equal(pair.real.releasedBelow, wrap + 3);
    }
  });

  it('keeps the entries of both sides of the wrap apart while the ring grows', () => {
    const pair = new Pair(WRAP - 5);
    for (let i = 0; i < 3000; i++) pair.add(i);
    pair.compare();
    for (let id = WRAP + 2994; id >= WRAP - 5; id--) pair.complete(id, id);
    pair.compare();
    assert.equal(pair.real.pendingSends, 0);
  });

  it('counts what was never sent, and what was released before, as strays', () => {
    const pair = new Pair(WRAP - 2);
    for (let i = 0; i < 4; i++) pair.add();
    pair.complete(WRAP - 1, WRAP - 1);
    pair.complete(WRAP - 1, WRAP - 1); // the same again
    pair.complete(WRAP, WRAP + 9); // reaches beyond the last send
    pair.complete(WRAP - 100, WRAP + 5); // begins before the first
    pair.complete(WRAP + 50, WRAP + 60);
    pair.compare();
    assert.equal(pair.real.pendingSends, 1);
    assert.equal(pair.real.releasedBelow, WRAP - 2);
  });

  it('says of the first id of a range that its flag speaks for it, also when that was a stray', () => {
    const inflight = new InFlight<Entry>(0);
    for (let id = 0; id < 3; id++) inflight.add({ id, bytes: 1 });
    inflight.complete(1, 1, () => undefined);
    const seen: [number, boolean][] = [];
    const strays = inflight.complete(1, 2, (entry, isFirst) => seen.push([entry.id, isFirst]));
    assert.deepEqual(seen, [[2, false]]);
    assert.equal(strays, 1);
  });

  const starts = [0, WRAP - 40, WRAP - 1, 2 * WRAP - 40, 2 * WRAP - 1, 1_000_000 * WRAP - 3];
  for (const [index, firstId] of starts.entries()) {
    it(`agrees with the model over 20,000 operations from id ${firstId}`, () => {
      const random = seededRandom(0x5eed + index);
      const pair = new Pair(firstId);
      for (let step = 0; step < 20_000; step++) {
        const { base, next } = pair.model;
        // Swings between filling up and running dry, so that the ring grows and is reused.
        const filling = Math.floor(step / 500) % 2 === 0;
        if (random() < (filling ? 0.7 : 0.3)) pair.add(between(random, 1, 1 << 20));
        else if (random() < 0.9 && next > base) {
          const lo = between(random, base, next - 1);
          pair.complete(lo, Math.min(next - 1, lo + between(random, 0, 6)));
        } else {
          const lo = Math.max(0, between(random, base - 5, next + 5));
          pair.complete(lo, lo + between(random, 0, 8));
        }
        if (step % 64 === 0) pair.compare();
      }
      if (pair.model.next > pair.model.base) pair.complete(pair.model.base, pair.model.next - 1);
      pair.compare();
      assert.equal(pair.real.pendingBytes, 0);
    });
  }
});
