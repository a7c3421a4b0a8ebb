// What headers.offload() finds in frames that Linux sent, and in frames that are damaged.
import assert from 'node:assert/strict';
import { headers } from '../../lib/packet/headers';
import { CAPTURED, captured, RANGE, refuses, tagged, TYPE } from '../helpers/captured-packets';

describe('headers.offload', () => {
  const udp = { headerLength: 42, checksumStart: 34, checksumOffset: 6 };

  it('finds the UDP header behind IPv4 and IPv6, with and without options', () => {
    const at = (checksumStart: number, segmentSize: number) => ({
      gso: 'udp',
      segmentSize,
      headerLength: checksumStart + 8,
      checksumStart,
      checksumOffset: 6,
    });
    assert.deepEqual(headers.offload(captured('udp4'), 4), at(34, 4));
    assert.deepEqual(headers.offload(captured('udp4Options'), 5), at(38, 5));
    assert.deepEqual(headers.offload(captured('udp6'), 8), at(54, 8));
    assert.deepEqual(headers.offload(captured('udp6Options'), 1), at(62, 1));
  });

  it('finds the TCP header and passes over its options', () => {
    const data = (frame: Buffer, lengthAt: number): Buffer => {
      const long = Buffer.concat([frame, Buffer.alloc(3000, 1)]);
      long.writeUInt16BE(long.readUInt16BE(lengthAt) + 3000, lengthAt);
      return long;
    };
    const tcp = { segmentSize: 1448, checksumOffset: 16 };
    assert.deepEqual(headers.offload(data(captured('tcp4'), 16), 1448), {
      ...tcp,
      gso: 'tcp4',
      headerLength: 74,
      checksumStart: 34,
    });
    assert.deepEqual(headers.offload(data(captured('tcp6'), 18), 1448), {
      ...tcp,
      gso: 'tcp6',
      headerLength: 94,
      checksumStart: 54,
    });
    const none = { gso: 'none', segmentSize: 0, checksumOffset: 16 };
    const syn = headers.offload(captured('tcp4'), 1448);
    assert.deepEqual(syn, { ...none, headerLength: 74, checksumStart: 34 });
  });

  it('passes over 802.1Q and 802.1ad tags, even two of them', () => {
    const once = tagged(captured('udp4'));
    const found = { ...udp, gso: 'udp', segmentSize: 4, headerLength: 46, checksumStart: 38 };
    assert.deepEqual(headers.offload(once, 4), found);
    const twice = tagged(once, '88a8');
    const further = { ...found, headerLength: 50, checksumStart: 42 };
    assert.deepEqual(headers.offload(twice, 4), further);
    assert.equal(headers.offload(tagged(captured('tcp6')), 0).checksumStart, 58);
  });

  it('requests no segmentation for segment size 0, or for a single segment', () => {
    const none = { ...udp, gso: 'none', segmentSize: 0 };
    for (const size of [0, 9, 10, 65_535]) {
      assert.deepEqual(headers.offload(captured('udp4'), size), none, `${size}`);
    }
    assert.equal(headers.offload(captured('udp4'), 8).gso, 'udp');
  });

  it("starts at the IP header with { link: 'none' }", () => {
    const four = headers.offload(captured('udp4').subarray(14), 4, { link: 'none' });
    assert.deepEqual([four.checksumStart, four.headerLength, four.gso], [20, 28, 'udp']);
    const six = headers.offload(captured('tcp6').subarray(14), 4, { link: 'none' });
    assert.deepEqual([six.checksumStart, six.headerLength, six.gso], [40, 80, 'none']);
  });

  it('does not count the padding of a short frame as payload', () => {
    const padded = Buffer.concat([captured('udp4'), Buffer.alloc(9)]);
    assert.equal(headers.offload(padded, 9).gso, 'none');
  });

  it('refuses every truncated frame', () => {
    for (const name of Object.keys(CAPTURED) as (keyof typeof CAPTURED)[]) {
      const frame = captured(name);
      if (name.startsWith('icmp')) continue;
      for (let length = 0; length < frame.length; length++) {
        refuses(() => headers.offload(frame.subarray(0, length), 4), RANGE, 'frame');
        if (length <= 14) continue;
        const packet = frame.subarray(14, length);
        refuses(() => headers.offload(packet, 4, { link: 'none' }), RANGE, 'frame');
      }
      const tag = tagged(frame);
      refuses(() => headers.offload(tag.subarray(0, tag.length - 1), 4), RANGE, 'frame');
    }
  });

  it('refuses what is not one whole UDP or TCP packet', () => {
    const broken = (name: keyof typeof CAPTURED, at: number, byte: number): void => {
      const frame = captured(name);
      frame[at] = byte;
      refuses(() => headers.offload(frame, 4), RANGE, 'frame');
    };
    refuses(() => headers.offload(captured('icmp4'), 0), RANGE, 'frame');
    refuses(() => headers.offload(captured('icmp6'), 0), RANGE, 'frame');
    broken('udp4', 13, 0x06); // ARP
    broken('udp4', 14, 0x65); // IPv6 behind the ethertype of IPv4
    broken('udp4', 14, 0x44); // an IP header of 16 bytes
    broken('udp4', 14, 0x4f); // one of 60, of which 37 are there
    broken('udp4', 20, 0x20); // more fragments
    broken('udp4', 21, 0x01); // a later fragment
    broken('udp4', 17, 27); // a total length without room for UDP
    broken('udp6', 20, 44); // a fragment header
    broken('udp6Options', 55, 0xff); // an extension header beyond the end
    broken('tcp4', 46, 0x40); // a TCP header of 16 bytes
    broken('tcp4', 46, 0xf0); // one of 60
  });

  it('refuses bad arguments', () => {
    const frame = captured('udp4');
    refuses(() => headers.offload('frame' as never, 0), TYPE, 'frame');
    refuses(() => headers.offload(frame, undefined as never), TYPE, 'segmentSize');
    refuses(() => headers.offload(frame, 65_536), RANGE, 'segmentSize');
    refuses(() => headers.offload(frame, -1), RANGE, 'segmentSize');
    refuses(() => headers.offload(frame, 0, { link: 'ppp' as never }), RANGE, 'options.link');
    refuses(() => headers.offload(frame, 0, { link: 1 as never }), TYPE, 'options.link');
    refuses(() => headers.offload(frame, 0, null as never), TYPE, 'options');
  });
});
