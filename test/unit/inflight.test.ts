// The set of ids that the kernel still references.
import assert from 'node:assert/strict';
import { InFlight } from '../../lib/datagram/inflight';
import { type Entry, InFlightPair, WRAP } from '../helpers/inflight-model';
import { seededRandom } from '../../scripts/random';

describe('ids in flight', () => {
  it('start empty at the given id', () => {
    for (const firstId of [0, 7, WRAP - 1, WRAP, 2 * WRAP + 5]) {
      const inflight = new InFlight(firstId);
      assert.equal(inflight.nextId, firstId);
      assert.equal(inflight.releasedBelow, firstId);
      assert.equal(inflight.pendingSends, 0);
      assert.equal(inflight.pendingBytes, 0);
    }
  });

  it('stay pending from a gap on', () => {
    const pair = new InFlightPair(0);
    for (let i = 0; i < 4; i++) pair.add(10);
    pair.complete(1, 3);
    assert.equal(pair.real.releasedBelow, 0);
    assert.equal(pair.real.pendingBytes, 10);
    pair.complete(0, 0);
    assert.equal(pair.real.releasedBelow, 4);
    pair.compare();
  });

  it('are released by one range across the 32-bit wrap', () => {
    for (const wrap of [WRAP, 2 * WRAP]) {
      const pair = new InFlightPair(wrap - 3);
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

  it('stay distinct on both sides of the wrap while the ring grows', () => {
    const pair = new InFlightPair(WRAP - 5);
    for (let i = 0; i < 3000; i++) pair.add(i);
    pair.compare();
    for (let id = WRAP + 2994; id >= WRAP - 5; id--) pair.complete(id, id);
    pair.compare();
    assert.equal(pair.real.pendingSends, 0);
  });

  it('count ids never sent, and those released before, as strays', () => {
    const pair = new InFlightPair(WRAP - 2);
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

  it("apply a range's flag to its first id only, even when that was a stray", () => {
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
    it(`agree with the model over 20,000 operations from id ${firstId}`, () => {
      const random = seededRandom(0x5eed + index);
      const pair = new InFlightPair(firstId);
      for (let step = 0; step < 20_000; step++) {
        // Swings between filling up and running dry, so that the ring grows and is reused.
        const filling = Math.floor(step / 500) % 2 === 0;
        pair.step(random, filling ? 0.7 : 0.3);
        if (step % 64 === 0) pair.compare();
      }
      pair.finish();
    });
  }
});
