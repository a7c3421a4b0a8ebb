// Everything at once over the rig, in an order that a seed decides, with loss and without.
import assert from 'node:assert/strict';
import { UDP_FAMILIES, udpRigSuite } from '../helpers/udp-place';

udpRigSuite('datagrams in random order', (getPlace) => {
  for (const type of UDP_FAMILIES) {
    for (const seed of [42, 65_537]) {
      it(`are all delivered, and released once each (${type}, seed ${seed})`, async () => {
        const params = { ...getPlace().params(type), seed, loss: 'none' as const };
        const answer = await getPlace().run('udp-mixed', 'mixed', params);
        assert.ok(answer.kernelCopiedSends < answer.zeroCopySends / 2, JSON.stringify(answer));
      });
    }

    it(`arrive intact or not at all under random loss (${type})`, async () => {
      const { rig } = getPlace();
      rig.setLoss(30);
      try {
        const params = { ...getPlace().params(type), seed: 7, loss: 'some' as const };
        await getPlace().run('udp-mixed', 'mixed', params);
      } finally {
        rig.setLoss(0);
      }
    });
  }
});
