// What earns memory a place in the ring's table, as tables of numbers.
import assert from 'node:assert/strict';
import {
  earnsRegistration,
  fitsRegistration,
  registeredBytes,
  registrationBudget,
} from '../../../lib/policy/registration';

const KIB = 1024;
const MIB = 1024 * KIB;

describe('memory that is sent again and again', () => {
  for (const [sent, size, expected] of [
    [15 * MIB, MIB, false],
    [16 * MIB, MIB, true],
    [16 * 64 * KIB, 64 * KIB, true],
    // A slice of much memory: pinning all of it for the slice would not pay.
    [100 * 64 * KIB, 32 * MIB, false],
    [512 * MIB, 32 * MIB, true],
  ] as const) {
    it(`of ${size} bytes, ${sent} sent: ${expected ? 'earns' : 'does not earn'} it`, () => {
      assert.equal(earnsRegistration(sent, size), expected);
    });
  }

  it('pins whole pages, wherever it begins', () => {
    for (const pageBytes of [4096, 16 * KIB, 64 * KIB]) {
      assert.equal(registeredBytes(1, pageBytes), 2 * pageBytes);
      assert.equal(registeredBytes(pageBytes, pageBytes), 2 * pageBytes);
      assert.equal(registeredBytes(pageBytes + 1, pageBytes), 3 * pageBytes);
      assert.equal(registeredBytes(MIB, pageBytes), MIB + pageBytes);
    }
  });

  for (const [size, budget, expected] of [
    [MIB, 256 * MIB, true],
    [16 * MIB - 4096, 256 * MIB, true],
    [16 * MIB, 256 * MIB, false],
    // RLIMIT_MEMLOCK as it is on most systems.
    [508 * KIB, 8 * MIB, true],
    [512 * KIB, 8 * MIB, false],
    [64 * KIB, 64 * KIB, false],
  ] as const) {
    it(`of ${size} bytes ${expected ? 'fits' : 'does not fit'} into a budget of ${budget}`, () => {
      assert.equal(fitsRegistration(size, budget, 4096), expected);
    });
  }

  it('fits less where pages are larger', () => {
    assert.equal(fitsRegistration(16 * MIB - 64 * KIB, 256 * MIB, 64 * KIB), true);
    assert.equal(fitsRegistration(16 * MIB - 4096, 256 * MIB, 64 * KIB), false);
    assert.equal(fitsRegistration(16 * MIB - 4096, 256 * MIB, 16 * KIB), false);
  });

  it('takes a quarter of what may be pinned', () => {
    assert.equal(registrationBudget(256 * MIB), 64 * MIB);
    assert.equal(registrationBudget(0), 0);
  });
});
