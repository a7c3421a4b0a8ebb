// What a connection concludes from what the kernel says of its sends. No connection, and a clock of the
// test's own.
import assert from 'node:assert/strict';
import net from 'node:net';
import * as clock from '../../lib/node/clock';
import { Health } from '../../lib/send/health';

/** Runs `body` with the time in its hands. */
function withClock(body: (pass: (ms: number) => void) => void): void {
  let now = 5_000;
  const { nowMs } = clock;
  Object.assign(clock, { nowMs: () => now });
  try {
    body((ms) => (now += ms));
  } finally {
    Object.assign(clock, { nowMs });
  }
}

function fresh(insists: boolean): Health {
  const health = new Health(new net.Socket());
  health.follow(insists);
  return health;
}

describe('the health of a connection', () => {
  for (const insists of [false, true]) {
    const title = insists ? 'goes on for a program that insists' : 'pauses';
    it(`${title} where the kernel copied eight sends`, () => {
      withClock((pass) => {
        const health = fresh(insists);
        health.record(8, 8, undefined, insists);
        assert.equal(health.refusal(), insists ? undefined : 'kernel-copied');
        // Another connection of the same route would start with the pause: it ends here.
        pass(60_000);
        if (insists) return;
        assert.equal(health.refusal(), undefined);
        health.probed();
        health.record(1, 0, 'sent', insists);
        assert.equal(health.state, 'active');
      });
    });
  }

  it('stays active when fewer than half of many sends were copied', () => {
    withClock(() => {
      const health = fresh(false);
      health.record(1_000, 300, undefined, false);
      assert.equal(health.refusal(), undefined);
    });
  });

  // The pause for want of buffers holds for both; its probe must be judged for both.
  for (const insists of [false, true]) {
    it(`resumes after the kernel ran out of buffers, ${insists ? 'insisting' : 'by default'}`, () => {
      withClock((pass) => {
        const health = fresh(insists);
        health.outOfBuffers('enobufs');
        assert.equal(health.refusal(), 'enobufs');
        pass(50);
        assert.equal(health.refusal(), undefined);
        assert.equal(health.probes, true);
        health.probed();
        assert.equal(health.refusal(), 'enobufs');
        // A late notice of a send from before the pause is no verdict.
        health.record(1, 0, undefined, insists);
        assert.equal(health.refusal(), 'enobufs');
        health.record(1, 1, 'copied', insists);
        assert.equal(health.refusal(), undefined);
        assert.equal(health.probes, false);
      });
    });
  }
});
