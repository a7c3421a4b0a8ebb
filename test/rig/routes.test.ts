// A capture on the sender's device makes the kernel copy. What one connection found out about that, and
// about its end, holds for others of the route.
import assert from 'node:assert/strict';
import { rigPlaceSuite } from '../helpers/tcp-place';

rigPlaceSuite('connections of a route', (getPlace) => {
  it('start paused while a capture runs, and active once one has noticed its end', async () => {
    const place = getPlace();
    const runner = place.startRunner();
    const params = { to: place.to() };
    await runner.run('routes', 'begin', params);
    const before = await runner.run('routes', 'another', params);
    assert.deepEqual([before.state, before.report.copiedBytes], ['active', 0]);
    assert.equal(before.report.kernelCopiedBytes, 0);
    for (const bytes of [before.thresholds.stream, before.thresholds.response]) {
      assert.ok(typeof bytes === 'number' && bytes >= 8192 && bytes <= 2 ** 21, `${bytes}`);
    }

    const capture = await place.rig.capture('sender');
    const during = await runner.run('routes', 'writeUntil', { state: 'paused', withinMs: 2_000 });
    assert.equal(during.reason, 'kernel-copied');
    assert.ok(during.copied > 0);
    await runner.run('routes', 'backsOff', undefined);
    const meanwhile = await runner.run('routes', 'another', params);
    assert.deepEqual([meanwhile.state, meanwhile.report.reason], ['paused', 'kernel-copied']);
    assert.equal(meanwhile.report.copiedBytes, meanwhile.report.bytes);
    await capture.stop();

    const after = await runner.run('routes', 'writeUntil', { state: 'active', withinMs: 6_000 });
    assert.deepEqual([after.reason, after.sends, after.copied], [undefined, 1, 0]);
    const next = await runner.run('routes', 'another', params);
    assert.deepEqual([next.state, next.report.copiedBytes], ['active', 0]);
    assert.equal(next.report.kernelCopiedBytes, 0);
    await runner.run('routes', 'end', undefined);
  });
});
