// The process budget after refusals, as a table of what happened when.
import assert from 'node:assert/strict';
import { WorkingBudget } from '../../../lib/policy/budget';

const MIB = 1024 * 1024;

describe('working budget', () => {
  it('is the whole budget until the kernel refuses', () => {
    const budget = new WorkingBudget(64 * MIB, 'charged');
    assert.equal(budget.shrunk, false);
    assert.equal(budget.bytes(0), 64 * MIB);
  });

  it('shrinks below what was pinned when the kernel refused more, and recovers over seconds', () => {
    const budget = new WorkingBudget(64 * MIB, 'charged');
    budget.refused(32 * MIB, 1_000);
    assert.equal(budget.shrunk, true);
    assert.equal(budget.bytes(1_000), 24 * MIB);
    assert.equal(budget.bytes(2_000), 30 * MIB);
    let before = 0;
    for (let ms = 1_000; ms < 5_000; ms += 100) {
      assert.ok(budget.bytes(ms) > before);
      before = budget.bytes(ms);
    }
    assert.equal(budget.bytes(6_000), 64 * MIB);
    assert.equal(budget.shrunk, false);
    assert.equal(budget.bytes(1e9), 64 * MIB);
  });

  it('shrinks again from the size it has recovered to', () => {
    const budget = new WorkingBudget(64 * MIB, 'charged');
    budget.refused(32 * MIB, 0);
    budget.refused(40 * MIB, 1_000);
    assert.equal(budget.bytes(1_000), 30 * MIB);
  });

  it('never falls below 1 MiB, or the whole of a smaller budget', () => {
    const budget = new WorkingBudget(64 * MIB, 'charged');
    for (let i = 0; i < 50; i++) budget.refused(0, i);
    assert.equal(budget.bytes(49), MIB);
    const small = new WorkingBudget(65_536, 'charged');
    small.refused(0, 0);
    assert.equal(small.bytes(0), 65_536);
  });

  it('does not change when pinned memory is not charged, because the cause is another', () => {
    const budget = new WorkingBudget(64 * MIB, 'free');
    budget.refused(MIB, 0);
    assert.equal(budget.bytes(0), 64 * MIB);
  });
});
