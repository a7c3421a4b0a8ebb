// struct virtio_net_hdr: what is written for a frame is read back, and any header of a peer's is read.
import assert from 'node:assert/strict';
import type { Offload } from '../../lib/packet/headers';
import { readVirtioHeader, VIRTIO_HEADER_BYTES, VirtioHeaders } from '../../lib/packet/offload';
import { eachLife, LIVES_TIMEOUT_MS } from '../helpers/lives';
import { between, randomBytes } from '../../scripts/random';

// include/uapi/linux/virtio_net.h
const NUMBERS = {
  VIRTIO_NET_HDR_F_NEEDS_CSUM: 1,
  VIRTIO_NET_HDR_GSO_NONE: 0,
  VIRTIO_NET_HDR_GSO_TCPV4: 1,
  VIRTIO_NET_HDR_GSO_TCPV6: 4,
  VIRTIO_NET_HDR_GSO_UDP_L4: 5,
};
const GSOS = ['none', 'tcp4', 'tcp6', 'udp'] as const;

describe('virtio headers', () => {
  it('are decoded as they were encoded, and refused when they point outside the frame', () => {
    eachLife((random) => {
      const headers = new VirtioHeaders(NUMBERS);
      for (let i = 0; i < 20; i++) {
        const frameBytes = between(random, 60, 70_000);
        const offload: Offload = {
          gso: GSOS[between(random, 0, 3)] as Offload['gso'],
          segmentSize: between(random, 1, 0xffff),
          headerLength: between(random, 1, 60),
          checksumStart: between(random, 0, 80),
          checksumOffset: between(random, 0, 20),
        };
        if (offload.checksumStart + offload.checksumOffset + 2 > frameBytes) {
          assert.throws(() => headers.of(offload, frameBytes), { code: 'ERR_OUT_OF_RANGE' });
          continue;
        }
        const written = Buffer.from(headers.of(offload, frameBytes));
        assert.equal(written.length, VIRTIO_HEADER_BYTES);
        const asksNothing =
          offload.gso === 'none' && offload.checksumStart + offload.checksumOffset === 0;
        assert.deepEqual(readVirtioHeader(written, NUMBERS), asksNothing ? undefined : offload);
      }
    });
  }).timeout(LIVES_TIMEOUT_MS);

  it('are decoded from any bytes', () => {
    eachLife((random) => {
      const read = readVirtioHeader(randomBytes(random, VIRTIO_HEADER_BYTES), NUMBERS);
      if (read === undefined) return;
      assert.ok(GSOS.includes(read.gso));
      for (const field of ['segmentSize', 'headerLength', 'checksumStart'] as const) {
        assert.ok(read[field] >= 0 && read[field] <= 0xffff, field);
      }
    });
  }).timeout(LIVES_TIMEOUT_MS);
});
