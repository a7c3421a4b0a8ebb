// What an upgraded socket decides from what its engine tells it. No connection, and a clock of the
// test's own.
import assert from 'node:assert/strict';
import net from 'node:net';
import * as clock from '../../lib/node/clock';
import { resolveOptions } from '../../lib/send/options';
import { TcpUpgrade, type Base } from '../../lib/tcp/upgrade';

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

function upgradeWith(engine: 'auto' | 'msg_zerocopy', threshold?: number): TcpUpgrade {
  const socket = new net.Socket();
  const options = resolveOptions({ engine, ...(threshold !== undefined && { threshold }) });
  return new TcpUpgrade(socket, socket as unknown as Base, options);
}

describe('tcp-upgrade', () => {
  for (const [engine, threshold, expected] of [
    ['auto', undefined, 'kernel-copied'],
    ['auto', 0, 'kernel-copied'],
    ['msg_zerocopy', undefined, 'kernel-copied'],
    ['msg_zerocopy', 0, undefined],
  ] as const) {
    const title = `engine ${engine}, threshold ${threshold ?? 'auto'}`;
    it(`${expected === undefined ? 'goes on' : 'pauses'} where the kernel copies, ${title}`, () => {
      const given = process.env['MSG_ZEROCOPY_THRESHOLD'];
      delete process.env['MSG_ZEROCOPY_THRESHOLD'];
      try {
        const upgrade = upgradeWith(engine, threshold);
        for (let i = 0; i < 8; i++) upgrade.completed(true, 'ordinary');
        assert.equal(upgrade.refusal(), expected);
      } finally {
        if (given !== undefined) process.env['MSG_ZEROCOPY_THRESHOLD'] = given;
      }
    });
  }

  // The pause for want of buffers holds for both; its probe must be judged for both.
  for (const engine of ['auto', 'msg_zerocopy'] as const) {
    it(`resumes after the kernel ran out of buffers, engine ${engine}`, () => {
      withClock((pass) => {
        const upgrade = upgradeWith(engine);
        upgrade.outOfBuffers('enobufs');
        assert.equal(upgrade.refusal(), 'enobufs');
        pass(50);
        assert.equal(upgrade.refusal(), undefined);
        assert.equal(upgrade.sent(), 'probe');
        assert.equal(upgrade.refusal(), 'enobufs');
        // A late notice of a send from before the pause is no verdict.
        upgrade.completed(engine === 'auto', 'ordinary');
        assert.equal(upgrade.refusal(), 'enobufs');
        upgrade.completed(engine === 'msg_zerocopy', 'probe');
        assert.equal(upgrade.refusal(), undefined);
        upgrade.sent();
        assert.equal(upgrade.refusal(), undefined);
      });
    });
  }
});
