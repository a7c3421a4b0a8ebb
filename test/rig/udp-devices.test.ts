// Rows of segments over devices that cannot do what GSO and zero copy ask of them.
import assert from 'node:assert/strict';
import type { RigFeature } from '../../scripts/rig';
import { UDP_FAMILIES, udpRigSuite } from '../helpers/udp-place';

udpRigSuite('segmented sends', (getPlace) => {
  for (const type of UDP_FAMILIES) {
    it(`are not copied where the device supports everything (${type})`, async () => {
      const sent = await getPlace().run('udp-devices', 'rows', getPlace().params(type));
      assert.deepEqual([sent.softwareSegments, sent.kernelCopiedSends], [0, 0]);
    });

    for (const feature of ['tx', 'sg', 'gso', 'tso'] as const satisfies RigFeature[]) {
      it(`arrive intact without the sender's '${feature}' (${type})`, async () => {
        const { rig } = getPlace();
        rig.setFeature('sender', feature, 'off');
        try {
          const sent = await getPlace().run('udp-devices', 'rows', getPlace().params(type));
          // Kernels before 6.11 refuse GSO without checksum offload; then the package cuts, and nothing is lost.
          if (feature === 'gso' || feature === 'tso') assert.equal(sent.softwareSegments, 0);
        } finally {
          // Switching checksums off takes the others along.
          for (const on of ['tx', 'sg', 'gso', 'tso'] as const) rig.setFeature('sender', on, 'on');
        }
      });
    }

    it(`are copied when zero copy is off (${type})`, async () => {
      const options = { zeroCopy: { engine: 'copy' as const } };
      const params = { ...getPlace().params(type), options };
      const sent = await getPlace().run('udp-devices', 'rows', params);
      assert.deepEqual([sent.softwareSegments, sent.zeroCopySends], [0, 0]);
    });
  }

  it('are copied by the kernel while a capture runs', async () => {
    const capture = await getPlace().rig.capture('sender');
    const sent = await getPlace().run('udp-devices', 'rows', getPlace().params('udp4'));
    await capture.stop();
    assert.ok(sent.kernelCopiedSends > 0);
  });
});
