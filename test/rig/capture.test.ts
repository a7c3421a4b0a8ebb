// A capture on the sender's device makes the kernel copy every send. That costs more than a plain
// write, so mode 'auto' pauses, says why, and returns soon after the capture has ended.
import assert from 'node:assert/strict';
import { rigPlaceSuite } from '../helpers/tcp-place';

rigPlaceSuite("engine 'auto'", (getPlace) => {
  it('pauses while a capture runs, and resumes within seconds after it', async () => {
    const { rig, runner, ...place } = {
      rig: getPlace().rig,
      runner: getPlace().runner,
      to: getPlace().to(),
    };
    await runner.run('capture', 'begin', place);
    const first = await runner.run('capture', 'streamUntil', { state: 'active', withinMs: 5000 });
    assert.deepEqual([first.reason, first.stats.kernelCopiedSends], [undefined, 0]);
    assert.ok(first.stats.zeroCopySends > 0);

    const capture = await rig.capture('sender');
    const during = await runner.run('capture', 'streamUntil', { state: 'paused', withinMs: 5000 });
    assert.equal(during.reason, 'kernel-copied');
    assert.ok(during.stats.kernelCopiedSends > 0);
    await capture.stop();

    const after = await runner.run('capture', 'streamUntil', { state: 'active', withinMs: 6000 });
    assert.equal(after.reason, undefined);
    const more = await runner.run('capture', 'streamUntil', { state: 'active', withinMs: 5000 });
    assert.equal(more.stats.kernelCopiedSends, more.before.kernelCopiedSends);
    assert.ok(more.stats.zeroCopySends > more.before.zeroCopySends);

    const { report, written, errors, fallbacks, resumes } = await runner.run(
      'capture',
      'end',
      undefined,
    );
    assert.deepEqual(report, { bytes: written, wrong: 0, end: 'end' });
    assert.deepEqual(errors, []);
    assert.ok(fallbacks.length > 0 && fallbacks.every((reason) => reason === 'kernel-copied'));
    assert.equal(resumes, 1);
  });
});
