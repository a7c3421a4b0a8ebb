// When a destroyed connection is given up. The clock and the unacknowledged bytes are the test's.
import assert from 'node:assert/strict';
import { DEFAULT_LINGER_TIMEOUT_MS, Linger } from '../../../lib/policy/linger';

/** Looks when told to until the linger gives up; answers the time. */
function looksUntilAbort(
  linger: Linger,
  startMs: number,
  unacknowledgedAt: (nowMs: number) => number,
): { endMs: number; looks: number } {
  let now = startMs;
  for (let looks = 1; looks < 100_000; looks++) {
    const wait = linger.check(now, unacknowledgedAt(now));
    if (wait === 0) return { endMs: now, looks };
    now += wait;
  }
  throw new Error('never gave up');
}

describe('policy: linger', () => {
  it('waits half a minute by default', () => {
    assert.equal(DEFAULT_LINGER_TIMEOUT_MS, 30_000);
  });

  it('gives up exactly after the timeout without progress, with at most five checks', () => {
    for (const timeout of [1, 3, 10, 1000, 30_000]) {
      const { endMs, looks } = looksUntilAbort(new Linger(timeout, 500, 77), 500, () => 77);
      assert.equal(endMs - 500, timeout);
      assert.ok(looks <= 5, `${looks} looks within ${timeout} ms`);
    }
  });

  it('gives up at once with a timeout of 0', () => {
    assert.equal(new Linger(0, 5, 10).check(5, 10), 0);
  });

  it('starts anew with every notification', () => {
    const linger = new Linger(1000, 0, 10);
    linger.progressed(900);
    assert.ok(linger.check(1000, 10) > 0);
    assert.ok(linger.check(1899, 10) > 0);
    assert.equal(linger.check(1900, 10), 0);
  });

  it('never cuts a slow reader that acknowledges within each timeout', () => {
    const linger = new Linger(1000, 0, 1_000_000);
    // One acknowledgement every 700 ms, then none: given up a timeout after the last look saw it.
    const lastAckMs = 700 * 20;
    const { endMs } = looksUntilAbort(linger, 0, (now) => {
      return 1_000_000 - Math.floor(Math.min(now, lastAckMs) / 700);
    });
    assert.ok(endMs >= lastAckMs + 1000, `ended at ${endMs}`);
    assert.ok(endMs <= lastAckMs + 1000 + 250, `ended at ${endMs}`);
  });

  it('does not count more unacknowledged bytes as progress', () => {
    const linger = new Linger(1000, 0, 10);
    assert.ok(linger.check(999, 20) > 0);
    assert.equal(linger.check(1000, 20), 0);
  });

  it('schedules the next check within the remaining time, never in 0 ms', () => {
    const linger = new Linger(1000, 0, 10);
    assert.equal(linger.check(0, 10), 250);
    assert.equal(linger.check(900, 10), 100);
    assert.equal(linger.check(999.5, 10), 1);
  });
});
