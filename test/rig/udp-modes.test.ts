// Every way to send datagrams where the kernel really sends from the program's memory, with loss and
// without: what arrives is right.
import assert from 'node:assert/strict';
import { UDP_FAMILIES, udpRigSuite } from '../helpers/udp-place';
import type { UdpFamily } from '../helpers/udp-receiver';
import { FORCED } from '../helpers/udp-session';
import { WAY_TITLES, type WayName } from '../helpers/udp-ways';
import type { WayParams } from '../scenarios/udp-modes';

/** Ways in which some datagrams must travel uncopied. */
const UNCOPIED = new Set(['callback', 'slice', 'promise', 'pieces', 'many', 'manyBare']);
const UNCOPIED_ROWS = new Set(['segments', 'manySegments']);

const CONNECTED = { no: '', yes: ', connected' } as const;

udpRigSuite('datagrams', (getPlace) => {
  const eachWay = (
    type: UdpFamily,
    test: (title: string, way: WayName, params: () => WayParams) => void,
  ): void => {
    for (const [way, title] of Object.entries(WAY_TITLES)) {
      for (const connected of ['no', 'yes'] as const) {
        test(`${title}${CONNECTED[connected]}`, way as WayName, () => ({
          ...getPlace().params(type),
          way: way as WayName,
          connected,
          zeroCopy: FORCED,
          seed: way.length,
        }));
      }
    }
  };

  for (const type of UDP_FAMILIES) {
    describe(type, () => {
      eachWay(type, (title, way, params) => {
        it(title, async () => {
          const sent = await getPlace().run('udp-modes', 'oneWay', params());
          if (UNCOPIED.has(way)) assert.ok(sent.kernelCopiedSends < sent.zeroCopySends);
          if (UNCOPIED_ROWS.has(way)) assert.equal(sent.kernelCopiedSends, 0);
          assert.equal(sent.softwareSegments, 0);
        });
      });

      // Behind all of the others: a datagram that lost a fragment waits for it, and takes one of a later
      // datagram that happens to have its 16-bit id (RFC 4963), which is then lost as well.
      eachWay(type, (title, _way, params) => {
        it(`${title}, intact or not at all under random loss`, async () => {
          const { rig } = getPlace();
          rig.setLoss(50);
          try {
            await getPlace().run('udp-modes', 'oneWay', { ...params(), loss: 'some' });
          } finally {
            rig.setLoss(0);
          }
        });
      });
    });
  }
});
