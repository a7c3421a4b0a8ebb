// Every way to send datagrams where the kernel really sends from the program's memory, with loss and
// without: what arrives is right.
import assert from 'node:assert/strict';
import { UDP_FAMILIES, udpRigSuite } from '../helpers/udp-place';
import { FORCED } from '../helpers/udp-session';
import { WAY_TITLES } from '../helpers/udp-way-titles';
import type { WayName } from '../helpers/udp-ways';

/** Ways in which some datagrams must travel uncopied. */
const UNCOPIED = new Set(['callback', 'slice', 'promise', 'pieces', 'many', 'manyBare']);
const UNCOPIED_ROWS = new Set(['segments', 'manySegments']);

udpRigSuite('datagrams', (getPlace) => {
  for (const type of UDP_FAMILIES) {
    describe(type, () => {
      for (const [way, title] of Object.entries(WAY_TITLES)) {
        for (const connected of ['no', 'yes'] as const) {
          const params = () => ({
            ...getPlace().params(type),
            way: way as WayName,
            connected,
            zeroCopy: FORCED,
            seed: way.length,
          });
          const how = connected === 'yes' ? ', connected' : '';

          it(`${title}${how}`, async () => {
            const sent = await getPlace().run('udp-modes', 'oneWay', params());
            if (UNCOPIED.has(way)) assert.ok(sent.kernelCopiedSends < sent.zeroCopySends);
            if (UNCOPIED_ROWS.has(way)) assert.equal(sent.kernelCopiedSends, 0);
            assert.equal(sent.softwareSegments, 0);
          });

          it(`${title}${how}, and nothing wrong under random loss`, async () => {
            const { rig } = getPlace();
            rig.setLoss(50);
            try {
              await getPlace().run('udp-modes', 'oneWay', { ...params(), loss: 'some' });
            } finally {
              rig.setLoss(0);
            }
          });
        }
      }
    });
  }
});
