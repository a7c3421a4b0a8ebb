// The histogram of metrics(), as tables.
import assert from 'node:assert/strict';
import { LatencyHistogram } from '../../lib/observe/histogram';

function countsOf(...milliseconds: number[]): Map<number, number> {
  const histogram = new LatencyHistogram();
  for (const one of milliseconds) histogram.observe(one);
  return new Map(histogram.snapshot().buckets.map(({ le, count }) => [le, count]));
}

describe('a latency histogram', () => {
  it('has ascending buckets, and a last one for everything', () => {
    const bounds = [...countsOf().keys()];
    assert.deepEqual(
      bounds,
      [...bounds].sort((a, b) => a - b),
    );
    assert.equal(bounds[0], 10e-6);
    assert.equal(bounds.at(-2), 10);
    assert.equal(bounds.at(-1), Infinity);
  });

  it('is evenly spaced over six orders of magnitude', () => {
    const bounds = [...countsOf().keys()].slice(0, -1);
    for (let i = 1; i < bounds.length; i++) {
      const ratio = (bounds[i] as number) / (bounds[i - 1] as number);
      assert.ok(ratio > 1.9 && ratio < 2.6, `${bounds[i]} is ${ratio} of the bound before it`);
    }
  });

  it('counts an observation from the first bucket that bounds it', () => {
    const cases: readonly [number, number, number][] = [
      // milliseconds, largest bound without it, smallest with it
      [0, 0, 10e-6],
      [0.01, 0, 10e-6],
      [0.011, 10e-6, 25e-6],
      [1, 500e-6, 1e-3],
      [1.0001, 1e-3, 2.5e-3],
      [10_000, 5, 10],
      [10_000.5, 10, Infinity],
      [1e9, 10, Infinity],
    ];
    for (const [milliseconds, without, from] of cases) {
      for (const [le, count] of countsOf(milliseconds)) {
        assert.equal(count, le >= from ? 1 : 0, `${milliseconds} ms at le=${le}`);
        assert.ok(le <= without || le >= from);
      }
    }
  });

  it('sums in seconds, and its last bucket equals its count', () => {
    const histogram = new LatencyHistogram();
    for (let i = 1; i <= 1_000; i++) histogram.observe(i);
    const { count, sum, buckets } = histogram.snapshot();
    assert.equal(count, 1_000);
    assert.ok(Math.abs(sum - 500.5) < 1e-9, String(sum));
    assert.equal(buckets.at(-1)?.count, 1_000);
    assert.equal(buckets.find(({ le }) => le === 0.1)?.count, 100);
  });

  it('gives snapshots that later observations do not change', () => {
    const histogram = new LatencyHistogram();
    const before = histogram.snapshot();
    histogram.observe(5);
    assert.deepEqual([before.count, histogram.snapshot().count], [0, 1]);
    assert.ok(Object.isFrozen(before) && Object.isFrozen(before.buckets));
  });
});
