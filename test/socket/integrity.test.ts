// A great deal of data, and every byte of it right, although each buffer is overwritten and used again
// the moment it is released.
import assert from 'node:assert/strict';
import { loopbackSuite, type TcpPlace, rigPlaceSuite } from '../helpers/tcp-place';

const MIB = 1024 * 1024;

type Outcome = Awaited<ReturnType<typeof transfer>>;

function transfer(
  place: TcpPlace,
  mebibytes: number,
  zeroCopy: { engine: 'auto' | 'msg_zerocopy' },
) {
  const params = { to: place.to(), totalBytes: mebibytes * MIB, zeroCopy };
  return place.runner.run('integrity', 'mixed', params);
}

function assertIntact(outcome: Outcome): void {
  const { report, written, errors, outOfOrder, stats } = outcome;
  assert.deepEqual(report, { bytes: written, wrong: 0, end: 'end' });
  assert.deepEqual({ errors, outOfOrder }, { errors: [], outOfOrder: 0 });
  assert.deepEqual([outcome.pendingBytes, outcome.pendingSends], [0, 0]);
  assert.deepEqual([stats.strayNotifications, stats.detachedBuffers, stats.enobufs], [0, 0, 0]);
  assert.equal(stats.notifications, stats.zeroCopySends);
}

rigPlaceSuite('integrity', (getPlace) => {
  it('delivers 1 GiB uncopied', async () => {
    const outcome = await transfer(getPlace(), 1024, { engine: 'auto' });
    assertIntact(outcome);
    assert.equal(outcome.stats.kernelCopiedSends, 0);
    assert.equal(outcome.state, 'active');
    assert.ok(outcome.stats.zeroCopyBytes > 900 * MIB, `${outcome.stats.zeroCopyBytes} bytes`);
  });

  // What is lost is sent again from the same memory, and later sends are released before it.
  it('delivers every byte under random loss', async () => {
    const { rig } = getPlace();
    rig.setLoss(20);
    try {
      const outcome = await transfer(getPlace(), 64, { engine: 'auto' });
      assertIntact(outcome);
      assert.equal(outcome.stats.kernelCopiedSends, 0);
      assert.ok(outcome.stats.zeroCopySends > 100, `${outcome.stats.zeroCopySends} sends`);
    } finally {
      rig.setLoss(0);
    }
  });
});

loopbackSuite('integrity', (getPlace) => {
  it('delivers 512 MiB that the kernel copies', async () => {
    const outcome = await transfer(getPlace(), 512, { engine: 'msg_zerocopy' });
    assertIntact(outcome);
    assert.ok(outcome.stats.kernelCopiedSends > 0);
    assert.equal(outcome.state, 'active');
  });

  it('delivers 512 MiB, and pauses by itself where the kernel copies', async () => {
    const outcome = await transfer(getPlace(), 512, { engine: 'auto' });
    assertIntact(outcome);
    assert.ok(outcome.stats.copiedBytes > 256 * MIB, `${outcome.stats.copiedBytes} bytes copied`);
    assert.notEqual(outcome.state, 'active');
  });
});
