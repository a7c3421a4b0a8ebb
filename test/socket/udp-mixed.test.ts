// Everything at once over loopback, in an order that a seed decides.
import assert from 'node:assert/strict';
import { UDP_FAMILIES, udpLoopbackSuite } from '../helpers/udp-place';

udpLoopbackSuite('datagrams in random order', (getPlace) => {
  for (const type of UDP_FAMILIES) {
    for (const seed of [3, 1729]) {
      it(`are all delivered, and released once each (${type}, seed ${seed})`, async () => {
        const params = { ...getPlace().params(type), seed, loss: 'none' as const };
        const { sends, failed, zeroCopySends } = await getPlace().run('udp-mixed', 'mixed', params);
        assert.ok(sends > 5000 && failed > 50 && zeroCopySends > 500, `${sends}, ${failed}`);
      });
    }
  }
});
