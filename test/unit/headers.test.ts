// Headers compared with packets that Linux sent with its own, with the examples of the RFCs, and with
// the one property that every right checksum has: together with what it covers it adds up to 0xffff.
import assert from 'node:assert/strict';
import { headers, type UdpHeader } from '../../lib/packet/headers';
import { between, seededRandom } from '../../scripts/random';

const TYPE = 'ERR_INVALID_ARG_TYPE';
const RANGE = 'ERR_OUT_OF_RANGE';

/** Frames captured on a veth whose checksum offload was switched off (Linux 6.18). */
const CAPTURED = {
  udp4:
    '0200000000020200000000010800' +
    '450000256f0c4000401147b8c0000201c0000202' +
    '9c4000090011e9d57a65726f20636f7079',
  /** TOS 0xb8, TTL 7, fragmentation allowed. */
  udp4Marked:
    '0200000000020200000000010800' +
    '45b800266f0d00000711bffec0000201c0000202' +
    '9c4000090012e9b27a65726f20636f707921',
  /** With the router alert option. */
  udp4Options:
    '0200000000020200000000010800' +
    '46b8002c6f0e000007112af3c0000201c000020294040000' +
    '9c40000900148ae077697468206f7074696f6e73',
  udp6:
    '02000000000202000000000186dd' +
    '600daa690011114020010db800000000000000000000000120010db8000000000000000000000002' +
    '9c400009001112657a65726f20636f7079',
  /** With a destination options header. */
  udp6Options:
    '02000000000202000000000186dd' +
    '600daa69001c3c4020010db800000000000000000000000120010db8000000000000000000000002' +
    '1100010400000000' +
    '9c4000090014b36f77697468206f7074696f6e73',
  icmp4:
    '0200000000020200000000010800' +
    '45000025d7f440004001dedfc0000201c0000202' +
    '0800eb3412340001616263646566676869',
  icmp6:
    '02000000000202000000000186dd' +
    '600d135e00113a4020010db800000000000000000000000120010db8000000000000000000000002' +
    '8000177412340001616263646566676869',
  /** A SYN, with 20 bytes of options. */
  tcp4:
    '0200000000020200000000010800' +
    '4500003cc27840004006f43fc0000201c0000202' +
    '9c410050cd46f38400000000a002faf017d60000020405b40402080a231530c0000000000103030a',
  tcp6:
    '02000000000202000000000186dd' +
    '600d3f190028064020010db800000000000000000000000120010db8000000000000000000000002' +
    '9c410050fbc0116400000000a002fd2049e70000020405a00402080ac22339ba000000000103030a',
} as const;

const V4 = { source: '192.0.2.1', destination: '192.0.2.2' };
const V6 = { source: '2001:db8::1', destination: '2001:db8::2' };
const MAC = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
const PORTS = { sourcePort: 40000, destinationPort: 9 };
const PAYLOAD = Buffer.from('zero copy');

function captured(name: keyof typeof CAPTURED): Buffer {
  return Buffer.from(CAPTURED[name], 'hex');
}

function hex(...parts: readonly Uint8Array[]): string {
  return Buffer.concat(parts).toString('hex');
}

/** The sum of RFC 1071 as its text says it, word by word over one buffer. */
function plainSum(data: Buffer): number {
  const even = data.length % 2 === 0 ? data : Buffer.concat([data, Buffer.alloc(1)]);
  let sum = 0;
  for (let at = 0; at < even.length; at += 2) {
    sum += even.readUInt16BE(at);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

/** The pseudo header of an IPv4 packet's transport, by the letter of RFC 768. */
function pseudo4(packet: Buffer): Buffer {
  const rest = Buffer.from([0, packet.readUInt8(9), 0, 0]);
  rest.writeUInt16BE(packet.readUInt16BE(2) - 20, 2);
  return Buffer.concat([packet.subarray(12, 20), rest]);
}

/** The pseudo header of an IPv6 packet's transport, by the letter of RFC 8200. */
function pseudo6(packet: Buffer): Buffer {
  const rest = Buffer.from([0, 0, 0, 0, 0, 0, 0, packet.readUInt8(6)]);
  rest.writeUInt16BE(packet.readUInt16BE(4), 2);
  return Buffer.concat([packet.subarray(8, 40), rest]);
}

/** An 802.1Q or 802.1ad tag put into a frame. */
function tagged(frame: Buffer, tpid = '8100'): Buffer {
  return Buffer.concat([
    frame.subarray(0, 12),
    Buffer.from(`${tpid}002a`, 'hex'),
    frame.subarray(12),
  ]);
}

function refuses(call: () => unknown, code: string, mentions: string): void {
  assert.throws(call, (error: NodeJS.ErrnoException) => {
    assert.equal(error.code, code, error.message);
    assert.ok(error.message.includes(`"${mentions}"`), error.message);
    return true;
  });
}

describe('headers.internetChecksum', () => {
  it('agrees with the example of RFC 1071', () => {
    const example = Buffer.from('0001f203f4f5f6f7', 'hex');
    assert.equal(headers.internetChecksum(example), ~0xddf2 & 0xffff);
    // Section 2.1: the order of the words does not matter, and neither does grouping them.
    const [first, second] = [example.subarray(0, 3), example.subarray(3)];
    assert.equal(headers.internetChecksum(first, second), 0x220d);
  });

  it('takes nothing for zero, and one byte for the first of its word', () => {
    assert.equal(headers.internetChecksum(), 0xffff);
    assert.equal(headers.internetChecksum(Buffer.alloc(0)), 0xffff);
    assert.equal(headers.internetChecksum(Buffer.from([0x12])), 0xedff);
    assert.equal(headers.internetChecksum(Buffer.from([0x12]), Buffer.from([0x34])), 0xedcb);
  });

  it('does not depend on where the bytes are divided', () => {
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

  it('carries what more than 32 bits of sum hold', () => {
    const ones = Buffer.alloc(1_000_000, 0xff);
    assert.equal(headers.internetChecksum(ones), 0);
    assert.equal(headers.internetChecksum(ones, Buffer.from([0x00, 0x01])), 0xfffe);
    assert.equal(headers.internetChecksum(new Uint8Array(70_000), Buffer.from([1])), 0xfeff);
  });

  it('is zero over every captured header that holds its own', () => {
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

  it('takes the largest and the smallest values, and refuses the next ones', () => {
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

  it('takes addresses in strict dotted decimal only', () => {
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

  it('has the documented defaults, and takes the largest values', () => {
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

  it('reads every way of writing an address, and leaves its zone out', () => {
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

describe('headers.udp', () => {
  it('builds the header of captured datagrams, checksum included', () => {
    const four = headers.udp({ ...V4, ...PORTS, payload: PAYLOAD });
    assert.equal(hex(four), hex(captured('udp4').subarray(34, 42)));
    const six = headers.udp({ ...V6, ...PORTS, payload: PAYLOAD, checksum: 'full' });
    assert.equal(hex(six), hex(captured('udp6').subarray(54, 62)));
  });

  it('builds whole frames, together with the others', () => {
    const ip = { ...V4, protocol: 17, identification: 0x6f0c, dontFragment: true };
    const frame = [
      headers.ethernet({ ...MAC, protocol: 0x0800 }),
      headers.ipv4({ ...ip, payloadLength: 8 + PAYLOAD.length }),
      headers.udp({ ...V4, ...PORTS, payload: PAYLOAD }),
      PAYLOAD,
    ];
    assert.equal(hex(...frame), hex(captured('udp4')));
  });

  it('covers a payload in parts, of odd lengths and empty', () => {
    for (const addresses of [V4, V6]) {
      const whole = headers.udp({ ...addresses, ...PORTS, payload: PAYLOAD });
      const parts = [PAYLOAD.subarray(0, 1), PAYLOAD.subarray(1, 1), PAYLOAD.subarray(1)];
      assert.equal(hex(headers.udp({ ...addresses, ...PORTS, payload: parts })), hex(whole));
    }
    const empty = headers.udp({ ...V4, ...PORTS, payload: [] });
    assert.equal(empty.readUInt16BE(4), 8);
    const ip = headers.ipv4({ ...V4, protocol: 17, payloadLength: 8 });
    assert.equal(plainSum(Buffer.concat([pseudo4(ip), empty])), 0xffff);
  });

  it('adds up to 0xffff with pseudo header and payload, whatever they are', () => {
    const random = seededRandom(768);
    for (let round = 0; round < 100; round++) {
      const length = between(random, 0, 1500);
      const payload = Buffer.from(Array.from({ length }, () => random() * 256));
      const ports = {
        sourcePort: between(random, 0, 65_535),
        destinationPort: between(random, 0, 65_535),
      };
      const ip = { protocol: 17, payloadLength: 8 + length };
      const four = headers.udp({ ...V4, ...ports, payload });
      const pseudo = pseudo4(headers.ipv4({ ...V4, ...ip }));
      assert.equal(plainSum(Buffer.concat([pseudo, four, payload])), 0xffff);
      const six = headers.udp({ ...V6, ...ports, payload });
      const pseudoSix = pseudo6(headers.ipv6({ ...V6, ...ip }));
      assert.equal(plainSum(Buffer.concat([pseudoSix, six, payload])), 0xffff);
    }
  });

  it('never writes a computed checksum as 0, which would say that there is none', () => {
    for (const addresses of [V4, V6]) {
      const zeroes = headers.udp({ ...addresses, ...PORTS, payload: new Uint8Array(2) });
      // With the checksum itself as payload the sum is 0xffff, and its complement 0.
      const payload = zeroes.subarray(6, 8);
      assert.equal(headers.udp({ ...addresses, ...PORTS, payload }).readUInt16BE(6), 0xffff);
    }
  });

  it("writes with 'offload' what a device completes to the checksum", () => {
    for (const [addresses, name, at] of [
      [V4, 'udp4', 34],
      [V6, 'udp6', 54],
    ] as const) {
      const frame = captured(name);
      const built = headers.udp({ ...addresses, ...PORTS, payload: PAYLOAD, checksum: 'offload' });
      const pseudo = at === 34 ? pseudo4(frame.subarray(14)) : pseudo6(frame.subarray(14));
      assert.equal(built.readUInt16BE(6), plainSum(pseudo));
      // As a device does: sum from checksumStart to the end, complement, put at checksumOffset.
      const finished = headers.internetChecksum(built, PAYLOAD);
      assert.equal(finished, frame.readUInt16BE(at + 6));
    }
  });

  it("leaves the checksum out with 'none', over IPv4 only", () => {
    const options: UdpHeader = { ...V4, ...PORTS, payload: PAYLOAD, checksum: 'none' };
    assert.equal(hex(headers.udp(options)), '9c40000900110000');
    refuses(() => headers.udp({ ...options, ...V6 }), RANGE, 'header.checksum');
    refuses(() => headers.udp({ ...options, checksum: 'half' as never }), RANGE, 'header.checksum');
    refuses(() => headers.udp({ ...options, checksum: true as never }), TYPE, 'header.checksum');
  });

  it('takes as much as a packet holds, and no more', () => {
    for (const [addresses, most] of [
      [V4, 65_507],
      [V6, 65_527],
    ] as const) {
      const fits = headers.udp({ ...addresses, ...PORTS, payload: new Uint8Array(most) });
      assert.equal(fits.readUInt16BE(4), most + 8);
      const payload = [new Uint8Array(most), new Uint8Array(1)];
      refuses(() => headers.udp({ ...addresses, ...PORTS, payload }), RANGE, 'header.payload');
    }
  });

  it('refuses bad ports, payloads and addresses of two families', () => {
    const good = { ...V4, ...PORTS, payload: PAYLOAD };
    refuses(() => headers.udp({ ...good, sourcePort: 65_536 }), RANGE, 'header.sourcePort');
    refuses(() => headers.udp({ ...good, destinationPort: -1 }), RANGE, 'header.destinationPort');
    refuses(() => headers.udp({ ...good, sourcePort: '1' as never }), TYPE, 'header.sourcePort');
    refuses(() => headers.udp({ ...good, payload: 'text' as never }), TYPE, 'header.payload');
    refuses(() => headers.udp({ ...good, payload: ['a'] as never }), TYPE, 'header.payload');
    refuses(() => headers.udp({ ...good, destination: '::1' }), RANGE, 'header.destination');
    refuses(() => headers.udp({ ...good, source: '::1' }), RANGE, 'header.destination');
    refuses(() => headers.udp({ ...good, source: 'localhost' }), RANGE, 'header.source');
  });
});

describe('headers.icmpEcho', () => {
  const echo = { identifier: 0x1234, sequence: 1, payload: Buffer.from('abcdefghi') };

  it('builds the header of captured requests, checksum included', () => {
    const four = headers.icmpEcho({ ...echo, family: 4, kind: 'request' });
    assert.equal(hex(four), hex(captured('icmp4').subarray(34, 42)));
    const six = headers.icmpEcho({ ...echo, ...V6, family: 6, kind: 'request' });
    assert.equal(hex(six), hex(captured('icmp6').subarray(54, 62)));
  });

  it('builds replies', () => {
    const four = headers.icmpEcho({ ...echo, family: 4, kind: 'reply' });
    assert.equal(hex(four.subarray(0, 2)), '0000');
    assert.equal(headers.internetChecksum(four, echo.payload), 0);
    const six = headers.icmpEcho({ ...echo, ...V6, family: 6, kind: 'reply' });
    assert.equal(hex(six.subarray(0, 2)), '8100');
    const ip = headers.ipv6({ ...V6, protocol: 58, payloadLength: 17 });
    assert.equal(headers.internetChecksum(pseudo6(ip), six, echo.payload), 0);
  });

  it('needs both addresses for ICMPv6, and none for ICMP', () => {
    const six = { ...echo, family: 6, kind: 'request' } as const;
    refuses(() => headers.icmpEcho(six), TYPE, 'header.source');
    refuses(() => headers.icmpEcho({ ...six, source: '::1' }), TYPE, 'header.destination');
    refuses(() => headers.icmpEcho({ ...six, ...V4 }), RANGE, 'header.source');
  });

  it('refuses other families and kinds, and numbers out of range', () => {
    const good = { ...echo, family: 4, kind: 'request' } as const;
    refuses(() => headers.icmpEcho({ ...good, family: 5 as never }), RANGE, 'header.family');
    refuses(() => headers.icmpEcho({ ...good, family: '4' as never }), TYPE, 'header.family');
    refuses(() => headers.icmpEcho({ ...good, kind: 'ping' as never }), RANGE, 'header.kind');
    refuses(() => headers.icmpEcho({ ...good, identifier: 65_536 }), RANGE, 'header.identifier');
    refuses(() => headers.icmpEcho({ ...good, sequence: -1 }), RANGE, 'header.sequence');
    refuses(() => headers.icmpEcho({ ...good, payload: null as never }), TYPE, 'header.payload');
    const payload = new Uint8Array(65_508);
    refuses(() => headers.icmpEcho({ ...good, payload }), RANGE, 'header.payload');
  });
});

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

  it('passes over 802.1Q and 802.1ad tags, also two of them', () => {
    const once = tagged(captured('udp4'));
    const found = { ...udp, gso: 'udp', segmentSize: 4, headerLength: 46, checksumStart: 38 };
    assert.deepEqual(headers.offload(once, 4), found);
    const twice = tagged(once, '88a8');
    const further = { ...found, headerLength: 50, checksumStart: 42 };
    assert.deepEqual(headers.offload(twice, 4), further);
    assert.equal(headers.offload(tagged(captured('tcp6')), 0).checksumStart, 58);
  });

  it('cuts nothing for segment size 0, and nothing that is one segment', () => {
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

  it('does not take the padding of a short frame for payload', () => {
    const padded = Buffer.concat([captured('udp4'), Buffer.alloc(9)]);
    assert.equal(headers.offload(padded, 9).gso, 'none');
  });

  it('refuses every frame that ends too early', () => {
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
