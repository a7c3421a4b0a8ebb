// Checksums, Ethernet and IP headers compared with packets that Linux sent with its own, and with the examples
// of the RFCs.
import assert from 'node:assert/strict';
import { headers } from '../../lib/packet/headers';
import { between, seededRandom } from '../../scripts/random';
import {
  captured,
  hex,
  MAC,
  PAYLOAD,
  plainSum,
  pseudo6,
  RANGE,
  refuses,
  TYPE,
  V4,
  V6,
} from '../helpers/captured-packets';

describe('headers.internetChecksum', () => {
  it('agrees with the example of RFC 1071', () => {
    const example = Buffer.from('0001f203f4f5f6f7', 'hex');
    assert.equal(headers.internetChecksum(example), ~0xddf2 & 0xffff);
    // Section 2.1: the order of the words does not matter, and neither does grouping them.
    const [first, second] = [example.subarray(0, 3), example.subarray(3)];
    assert.equal(headers.internetChecksum(first, second), 0x220d);
  });

  it('treats no bytes as zero, and a last odd byte as the first of its word', () => {
    assert.equal(headers.internetChecksum(), 0xffff);
    assert.equal(headers.internetChecksum(Buffer.alloc(0)), 0xffff);
    assert.equal(headers.internetChecksum(Buffer.from([0x12])), 0xedff);
    assert.equal(headers.internetChecksum(Buffer.from([0x12]), Buffer.from([0x34])), 0xedcb);
  });

  it('does not depend on how the bytes are split', () => {
    const random = seededRandom(1071);
    for (let round = 0; round < 200; round++) {
      const data = Buffer.from(
        Array.from({ length: between(random, 0, 60) }, () => random() * 256),
      );
      const parts: Buffer[] = [];
      for (let at = 0; at < data.length;) {
        const end = Math.min(data.length, at + between(random, 0, 7));
        parts.push(data.subarray(at, end));
        at = end;
      }
      assert.equal(headers.internetChecksum(...parts), ~plainSum(data) & 0xffff, `round ${round}`);
    }
  });

  it('carries sums of more than 32 bits', () => {
    const ones = Buffer.alloc(1_000_000, 0xff);
    assert.equal(headers.internetChecksum(ones), 0);
    assert.equal(headers.internetChecksum(ones, Buffer.from([0x00, 0x01])), 0xfffe);
    assert.equal(headers.internetChecksum(new Uint8Array(70_000), Buffer.from([1])), 0xfeff);
  });

  it('is zero over every captured header that contains its checksum', () => {
    for (const name of ['udp4', 'udp4Marked', 'icmp4', 'tcp4'] as const) {
      assert.equal(headers.internetChecksum(captured(name).subarray(14, 34)), 0, name);
      if (name === 'icmp4') assert.equal(headers.internetChecksum(captured(name).subarray(34)), 0);
    }
    for (const name of ['udp6', 'icmp6', 'tcp6'] as const) {
      const packet = captured(name).subarray(14);
      assert.equal(headers.internetChecksum(pseudo6(packet), packet.subarray(40)), 0, name);
    }
  });

  it('refuses what is not bytes', () => {
    refuses(() => headers.internetChecksum('abc' as never), TYPE, 'parts[0]');
    refuses(() => headers.internetChecksum(PAYLOAD, new Uint16Array(2) as never), TYPE, 'parts[1]');
  });
});

describe('headers.ethernet', () => {
  it('builds the header of captured frames', () => {
    const built = headers.ethernet({ ...MAC, protocol: 0x86dd });
    assert.equal(hex(built), hex(captured('udp6').subarray(0, 14)));
    const hyphens = { source: '02-00-00-00-00-01', destination: '02-00-00-00-00-02' };
    assert.equal(hex(headers.ethernet({ ...hyphens, protocol: 0x86dd })), hex(built));
    const broadcast = headers.ethernet({ ...MAC, destination: 'FF:ff:FF:ff:FF:ff', protocol: 0 });
    assert.equal(hex(broadcast), 'ffffffffffff0200000000010000');
  });

  it('refuses bad addresses and ethertypes', () => {
    const good = { ...MAC, protocol: 0x0800 };
    for (const source of ['', '02:00', '02:00:00:00:00:0g', '02:00-00:00:00:01', '020000000001']) {
      refuses(() => headers.ethernet({ ...good, source }), RANGE, 'header.source');
    }
    refuses(
      () => headers.ethernet({ ...good, destination: 1 as never }),
      TYPE,
      'header.destination',
    );
    refuses(() => headers.ethernet({ ...good, protocol: 65_536 }), RANGE, 'header.protocol');
    refuses(() => headers.ethernet({ ...good, protocol: '8' as never }), TYPE, 'header.protocol');
    refuses(() => headers.ethernet(undefined as never), TYPE, 'header');
  });
});

describe('headers.ipv4', () => {
  it('builds the header of captured packets, checksum included', () => {
    const plain = { ...V4, protocol: 17, identification: 0x6f0c, dontFragment: true };
    const built = headers.ipv4({ ...plain, payloadLength: 17 });
    assert.equal(hex(built), hex(captured('udp4').subarray(14, 34)));
    const marked = { ...V4, protocol: 17, identification: 0x6f0d, tos: 0xb8, ttl: 7 };
    const expected = hex(captured('udp4Marked').subarray(14, 34));
    assert.equal(hex(headers.ipv4({ ...marked, payloadLength: 18 })), expected);
  });

  it('has the documented defaults', () => {
    const built = headers.ipv4({ ...V4, protocol: 253, payloadLength: 0 });
    assert.equal(hex(built.subarray(0, 10)), '450000140000000040fd');
    assert.equal(headers.internetChecksum(built), 0);
  });

  it('accepts the largest and the smallest values, and refuses the next ones', () => {
    const good = { ...V4, protocol: 255, payloadLength: 65_515 };
    const most = { ...good, ttl: 255, tos: 255, identification: 65_535, dontFragment: false };
    const built = headers.ipv4(most);
    assert.equal(hex(built.subarray(0, 10)), '45ffffffffff0000ffff');
    assert.equal(headers.internetChecksum(built), 0);
    for (const [name, value] of Object.entries(most)) {
      if (typeof value !== 'number') continue;
      for (const bad of [value + 1, -1, 0.5, NaN, Infinity]) {
        refuses(() => headers.ipv4({ ...good, [name]: bad }), RANGE, `header.${name}`);
      }
      refuses(() => headers.ipv4({ ...good, [name]: '1' }), TYPE, `header.${name}`);
      refuses(() => headers.ipv4({ ...good, [name]: null }), TYPE, `header.${name}`);
    }
    refuses(() => headers.ipv4({ ...good, dontFragment: 1 as never }), TYPE, 'header.dontFragment');
  });

  it('accepts addresses in strict dotted decimal only', () => {
    const good = { ...V4, protocol: 1, payloadLength: 0 };
    for (const source of [
      '',
      '1',
      '127.1',
      '0x7f.0.0.1',
      '192.0.2.256',
      '192.0.2.01',
      '::1',
      'a',
    ]) {
      refuses(() => headers.ipv4({ ...good, source }), RANGE, 'header.source');
    }
    refuses(() => headers.ipv4({ ...good, destination: '::1' }), RANGE, 'header.destination');
    refuses(() => headers.ipv4({ ...good, source: undefined as never }), TYPE, 'header.source');
    refuses(() => headers.ipv4({ ...good, protocol: undefined as never }), TYPE, 'header.protocol');
    refuses(() => headers.ipv4(null as never), TYPE, 'header');
  });
});

describe('headers.ipv6', () => {
  it('builds the header of captured packets', () => {
    const built = headers.ipv6({ ...V6, protocol: 58, payloadLength: 17, flowLabel: 0xd135e });
    assert.equal(hex(built), hex(captured('icmp6').subarray(14, 54)));
  });

  it('has the documented defaults, and accepts the largest values', () => {
    const built = headers.ipv6({ ...V6, protocol: 59, payloadLength: 0 });
    assert.equal(hex(built.subarray(0, 8)), '6000000000003b40');
    const good = { ...V6, protocol: 255, payloadLength: 65_535 };
    const most = { ...good, hopLimit: 255, trafficClass: 255, flowLabel: 0xfffff };
    assert.equal(hex(headers.ipv6(most).subarray(0, 8)), '6fffffffffffffff');
    for (const [name, value] of Object.entries(most)) {
      if (typeof value !== 'number') continue;
      for (const bad of [value + 1, -1, 1.5]) {
        refuses(() => headers.ipv6({ ...good, [name]: bad }), RANGE, `header.${name}`);
      }
      refuses(() => headers.ipv6({ ...good, [name]: true }), TYPE, `header.${name}`);
    }
  });

  it('parses every notation of an address, and ignores its zone', () => {
    const forms: Record<string, string> = {
      '::': '00000000000000000000000000000000',
      '::1': '00000000000000000000000000000001',
      '1::': '00010000000000000000000000000000',
      '2001:DB8:0:0:8:800:200c:417A': '20010db80000000000080800200c417a',
      '1:2:3:4:5:6:7::': '00010002000300040005000600070000',
      '::2:3:4:5:6:7:8': '00000002000300040005000600070008',
      '::ffff:192.0.2.1': '00000000000000000000ffffc0000201',
      '::192.0.2.1': '000000000000000000000000c0000201',
      '64:ff9b::192.0.2.33': '0064ff9b0000000000000000c0000221',
      '1:2:3:4:5:6:192.0.2.1': '000100020003000400050006c0000201',
      'fe80::1%eth0': 'fe800000000000000000000000000001',
      'fe80::1%br-0.7': 'fe800000000000000000000000000001',
    };
    for (const [source, bytes] of Object.entries(forms)) {
      const built = headers.ipv6({ ...V6, source, protocol: 0, payloadLength: 0 });
      assert.equal(hex(built.subarray(8, 24)), bytes, source);
    }
    for (const source of ['', ':', '1:::2', '::g', '192.0.2.1', '1:2:3', '[::1]', '::1/64']) {
      const call = (): Buffer => headers.ipv6({ ...V6, source, protocol: 0, payloadLength: 0 });
      refuses(call, RANGE, 'header.source');
    }
  });
});
