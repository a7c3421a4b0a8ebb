// Frames larger than the device's, which the kernel or the device cuts up, and checksums it finishes.
import { packetSuites, plainPacketSuite } from '../helpers/packet-place';

packetSuites('offload of packet sockets', (getPlace) => {
  for (const family of [4, 6] as const) {
    for (const by of ['ring', 'send'] as const) {
      for (const device of ['able', 'unable'] as const) {
        const how = `IPv${family}, by ${by}, the device ${device}`;
        const params = { family, by, device };

        it(`cuts frames of 64 KB into datagrams: ${how}`, () =>
          getPlace().runner.run('packet-offload', 'superFrames', params));

        it(`cuts several at once: ${how}`, () =>
          getPlace().runner.run('packet-offload', 'superBatch', params));

        it(`cuts into segments of any size: ${how}`, () =>
          getPlace().runner.run('packet-offload', 'segmentSizes', params));

        it(`finishes checksums: ${how}`, () =>
          getPlace().runner.run('packet-offload', 'checksums', params));
      }
    }
  }
});

plainPacketSuite('offloads of packet sockets: refusals and TCP', (getPlace) => {
  for (const by of ['ring', 'send'] as const) {
    it(`refuses inconsistent offloads, and keeps working: ${by}`, () =>
      getPlace().runner.run('packet-offload', 'wrong', { by }));

    it(`refuses frames that are too large: ${by}`, () =>
      getPlace().runner.run('packet-offload', 'tooLong', { by }));

    for (const family of [4, 6] as const) {
      it(`cuts TCP streams into segments: IPv${family}, by ${by}`, () =>
        getPlace().runner.run('packet-offload', 'tcpSegments', { family, by, device: 'unable' }));
    }
  }

  it('refuses offloads without the virtio header', () =>
    getPlace().runner.run('packet-offload', 'notAsked'));
});
