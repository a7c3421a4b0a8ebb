// What one connection has found out about a route holds for the next. Loopback copies every send, so that
// there is something to find out.
import assert from 'node:assert/strict';
import { loopbackSuite } from '../helpers/tcp-place';
import { refusing } from '../helpers/refuse-io-uring';

const KIB = 1024;
/** Notifications looked at before a pause. */
const SAMPLE = 8;
/** What a stream starts with, and a response by either engine. */
const STARTS = { stream: [32 * KIB], response: [64 * KIB, 128 * KIB] };

const WAYS = [
  { name: 'the best engine there is', prefix: [] },
  { name: 'no io_uring', prefix: refusing('EPERM') },
];

loopbackSuite('a route that copies', (getPlace) => {
  for (const { name, prefix } of WAYS) {
    it(`pauses its first connection after a sample, and starts the next one paused, with ${name}`, async () => {
      const place = getPlace();
      // Routes are remembered by a process: this one has seen none.
      const runner = place.startRunner(prefix);
      const to = place.to();
      await runner.run('routes', 'begin', { to });
      const first = await runner.run('routes', 'writeUntil', { state: 'paused', withinMs: 2_000 });
      assert.equal(first.reason, 'kernel-copied');
      assert.deepEqual([first.sends, first.copied], [SAMPLE, SAMPLE]);

      await runner.run('routes', 'backsOff', undefined);
      // A probe is four seconds away.
      const second = await runner.run('routes', 'another', { to });
      assert.equal(second.report.bytes, 256 * KIB);
      assert.equal(second.report.copiedBytes, second.report.bytes);
      assert.equal(second.report.reason, 'kernel-copied');
      assert.deepEqual([second.state, second.says], ['paused', 'kernel-copied']);
      assert.ok(STARTS.stream.includes(second.started.stream as number));
      assert.ok(STARTS.response.includes(second.started.response as number));

      const elsewhere = await runner.run('routes', 'another', { to: { ...to, host: '127.0.0.2' } });
      assert.equal(elsewhere.report.copiedBytes, 0, 'nothing is known of that route');
      assert.equal(elsewhere.state, 'active');
      await runner.run('routes', 'end', undefined);
    });
  }
});
