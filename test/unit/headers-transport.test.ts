// UDP and ICMP headers compared with packets that Linux sent with its own, and with the one property that every
// right checksum has: together with what it covers it adds up to 0xffff.
import assert from 'node:assert/strict';
import { headers, type UdpHeader } from '../../lib/packet/headers';
import { between, seededRandom } from '../../scripts/random';
import {
  captured,
  hex,
  MAC,
  PAYLOAD,
  plainSum,
  PORTS,
  pseudo4,
  pseudo6,
  RANGE,
  refuses,
  TYPE,
  V4,
  V6,
} from '../helpers/captured-packets';

describe('headers.udp', () => {
  it('builds the header of captured datagrams, checksum included', () => {
    const four = headers.udp({ ...V4, ...PORTS, payload: PAYLOAD });
    assert.equal(hex(four), hex(captured('udp4').subarray(34, 42)));
    const six = headers.udp({ ...V6, ...PORTS, payload: PAYLOAD, checksum: 'full' });
    assert.equal(hex(six), hex(captured('udp6').subarray(54, 62)));
  });

  it('builds whole frames together with the other functions', () => {
    const ip = { ...V4, protocol: 17, identification: 0x6f0c, dontFragment: true };
    const frame = [
      headers.ethernet({ ...MAC, protocol: 0x0800 }),
      headers.ipv4({ ...ip, payloadLength: 8 + PAYLOAD.length }),
      headers.udp({ ...V4, ...PORTS, payload: PAYLOAD }),
      PAYLOAD,
    ];
    assert.equal(hex(...frame), hex(captured('udp4')));
  });

  it('covers a payload in parts, odd-sized and empty ones included', () => {
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

  it('makes pseudo header, header and any payload add up to 0xffff', () => {
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

  it('never writes a computed checksum as 0, which would mean none', () => {
    for (const addresses of [V4, V6]) {
      const zeroes = headers.udp({ ...addresses, ...PORTS, payload: new Uint8Array(2) });
      // With the checksum itself as payload the sum is 0xffff, and its complement 0.
      const payload = zeroes.subarray(6, 8);
      assert.equal(headers.udp({ ...addresses, ...PORTS, payload }).readUInt16BE(6), 0xffff);
    }
  });

  it("writes with 'offload' the partial sum that a device completes", () => {
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

  it('accepts as much as a packet holds, and no more', () => {
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
