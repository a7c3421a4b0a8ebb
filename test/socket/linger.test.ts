// A destroyed connection keeps its memory until the kernel lets go of it, but not for ever.
import { everywhere, rigPlaceSuite } from '../helpers/tcp-place';

const SCENARIOS = {
  stalled: 'is reset when the reader stalls for lingerTimeoutMs, and everything is released',
  steady: 'is never cut while a slow reader makes progress, however long it takes',
  steadyInOneSend: 'is not cut while it makes progress within one large send',
  lateData: 'is reset when the peer still sends',
  lateDataByNode: 'which is what plain Node does',
} as const;

everywhere('linger', (getPlace) => {
  for (const [name, title] of Object.entries(SCENARIOS)) {
    it(title, async () => {
      const params = { to: getPlace().to(), zeroCopy: { engine: 'msg_zerocopy' as const } };
      await getPlace().runner.run('linger', name as keyof typeof SCENARIOS, params);
    });
  }
});

rigPlaceSuite('linger', (getPlace) => {
  it('releases out-of-order ranges after an abort', async () => {
    const { rig, runner } = getPlace();
    const params = { to: getPlace().to(), zeroCopy: { engine: 'msg_zerocopy' as const } };
    await runner.run('linger', 'open', params);
    rig.setLoss(1000);
    try {
      await runner.run('linger', 'outOfOrder', undefined);
    } finally {
      rig.setLoss(0);
    }
  });
});
