// Two hundred connections at once that end in every way from both sides. The seeds are fixed: what is
// left to chance is the kernel's and the scheduler's timing.
import assert from 'node:assert/strict';
import { everywhere } from '../helpers/tcp-place';

everywhere('churn', (getPlace) => {
  for (const seed of [11, 4711, 271_828]) {
    it(`delivers no wrong byte and leaves nothing behind (seed ${seed})`, async () => {
      const params = { to: getPlace().to(), zeroCopy: { engine: 'msg_zerocopy' as const }, seed };
      const { bytes, openPorts } = await getPlace().runner.run('churn', 'churn', params);
      assert.ok(bytes > 10_000_000, `only ${bytes} bytes arrived`);
      assert.equal(openPorts, 0);
    });
  }

  it('keeps the memory of writes without callbacks until their release', async () => {
    const params = { to: getPlace().to(), zeroCopy: { engine: 'msg_zerocopy' as const }, seed: 1 };
    await getPlace().runner.run('churn', 'retained', params);
  });

  it('leaves the memory of every connection to the garbage collector', async () => {
    const params = { to: getPlace().to(), zeroCopy: { engine: 'msg_zerocopy' as const }, seed: 1 };
    await getPlace().runner.run('churn', 'collectable', params);
  });
});
