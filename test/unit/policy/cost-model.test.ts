// What a stretch of work should cost, learned from others that had another composition.
import assert from 'node:assert/strict';
import { CostModel, type Work } from '../../../lib/policy/cost-model';
import { between, seededRandom } from '../../helpers/prng';

interface Costs {
  perWrite: number;
  perByte: number;
}

function costOf({ perWrite, perByte }: Costs, { writes, bytes }: Work): number {
  return perWrite * writes + perByte * bytes;
}

/** Stretches whose writes are small on average in some and large in others. */
function mixedStretch(random: () => number): Work {
  const writes = between(random, 80, 120);
  return { writes, bytes: writes * between(random, 1_000, 300_000) };
}

function assertNear(actual: number | undefined, expected: number, tolerance: number): void {
  assert.ok(actual !== undefined, 'nothing was predicted');
  const off = Math.abs(actual - expected) / expected;
  assert.ok(off <= tolerance, `${actual} is ${off} away from ${expected}`);
}

describe('policy: cost model', () => {
  it('predicts nothing before it has seen four stretches', () => {
    const model = new CostModel();
    const work = { writes: 96, bytes: 96 * 65_536 };
    for (let seen = 0; seen < 4; seen++) {
      assert.equal(model.predict(work), undefined, `after ${seen}`);
      model.learn(work, 1_000_000);
    }
    assertNear(model.predict(work), 1_000_000, 1e-9);
  });

  const table: readonly [name: string, costs: Costs][] = [
    ['writes and bytes', { perWrite: 9_000, perByte: 0.1 }],
    ['bytes alone', { perWrite: 0, perByte: 0.25 }],
    ['writes alone', { perWrite: 20_000, perByte: 0 }],
  ];
  for (const [name, costs] of table) {
    it(`learns from mixed stretches what ${name} cost`, () => {
      const random = seededRandom(1);
      const model = new CostModel();
      for (let i = 0; i < 20; i++) {
        const work = mixedStretch(random);
        model.learn(work, costOf(costs, work));
      }
      for (const work of [
        { writes: 96, bytes: 96 * 1_024 },
        { writes: 96, bytes: 96 * 1_048_576 },
        { writes: 500, bytes: 500 * 65_536 },
      ]) {
        assertNear(model.predict(work), costOf(costs, work), 1e-6);
      }
    });
  }

  it('is off by a few per cent when what it learned from was noisy', () => {
    const costs = { perWrite: 9_000, perByte: 0.1 };
    const random = seededRandom(2);
    const model = new CostModel();
    for (let i = 0; i < 100; i++) {
      const work = mixedStretch(random);
      model.learn(work, costOf(costs, work) * (0.95 + 0.1 * random()));
    }
    const work = { writes: 96, bytes: 96 * 65_536 };
    assertNear(model.predict(work), costOf(costs, work), 0.03);
  });

  it('goes by writes where all stretches had the same mix', () => {
    const model = new CostModel();
    const size = 65_536;
    for (const writes of [96, 97, 98, 99, 100, 101]) {
      model.learn({ writes, bytes: writes * size }, writes * 12_000);
    }
    assertNear(model.predict({ writes: 200, bytes: 200 * size }), 200 * 12_000, 1e-9);
  });

  it('never predicts nothing or less', () => {
    const model = new CostModel();
    // Larger stretches that cost less: bytes come out with a negative price.
    for (let i = 1; i <= 6; i++) {
      model.learn({ writes: 96, bytes: i * 1_000_000 }, 10_000_000 - i * 1_500_000);
    }
    const predicted = model.predict({ writes: 96, bytes: 40_000_000 });
    assert.ok(predicted !== undefined && predicted > 0, `${predicted}`);
  });

  it('forgets: after 200 stretches of other costs these alone count', () => {
    const random = seededRandom(3);
    const model = new CostModel();
    const before = { perWrite: 9_000, perByte: 0.1 };
    const after = { perWrite: 5_000, perByte: 0.3 };
    for (let i = 0; i < 400; i++) {
      const work = mixedStretch(random);
      model.learn(work, costOf(i < 200 ? before : after, work));
    }
    const work = { writes: 96, bytes: 96 * 65_536 };
    assertNear(model.predict(work), costOf(after, work), 0.02);
  });
});
