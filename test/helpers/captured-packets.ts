// Packets that Linux sent with its own headers, and checksums by the letter of the RFCs, to compare headers with.
import assert from 'node:assert/strict';

export const TYPE = 'ERR_INVALID_ARG_TYPE';
export const RANGE = 'ERR_OUT_OF_RANGE';

/** Frames captured on a veth whose checksum offload was switched off (Linux 6.18). */
export const CAPTURED = {
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

export const V4 = { source: '192.0.2.1', destination: '192.0.2.2' };
export const V6 = { source: '2001:db8::1', destination: '2001:db8::2' };
export const MAC = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
export const PORTS = { sourcePort: 40000, destinationPort: 9 };
export const PAYLOAD = Buffer.from('zero copy');

export function captured(name: keyof typeof CAPTURED): Buffer {
  return Buffer.from(CAPTURED[name], 'hex');
}

export function hex(...parts: readonly Uint8Array[]): string {
  return Buffer.concat(parts).toString('hex');
}

/** The sum of RFC 1071 as its text says it, word by word over one buffer. */
export function plainSum(data: Buffer): number {
  const even = data.length % 2 === 0 ? data : Buffer.concat([data, Buffer.alloc(1)]);
  let sum = 0;
  for (let at = 0; at < even.length; at += 2) {
    sum += even.readUInt16BE(at);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

/** The pseudo header of an IPv4 packet's transport, by the letter of RFC 768. */
export function pseudo4(packet: Buffer): Buffer {
  const rest = Buffer.from([0, packet.readUInt8(9), 0, 0]);
  rest.writeUInt16BE(packet.readUInt16BE(2) - 20, 2);
  return Buffer.concat([packet.subarray(12, 20), rest]);
}

/** The pseudo header of an IPv6 packet's transport, by the letter of RFC 8200. */
export function pseudo6(packet: Buffer): Buffer {
  const rest = Buffer.from([0, 0, 0, 0, 0, 0, 0, packet.readUInt8(6)]);
  rest.writeUInt16BE(packet.readUInt16BE(4), 2);
  return Buffer.concat([packet.subarray(8, 40), rest]);
}

/** An 802.1Q or 802.1ad tag put into a frame. */
export function tagged(frame: Buffer, tpid = '8100'): Buffer {
  return Buffer.concat([
    frame.subarray(0, 12),
    Buffer.from(`${tpid}002a`, 'hex'),
    frame.subarray(12),
  ]);
}

export function refuses(call: () => unknown, code: string, mentions: string): void {
  assert.throws(call, (error: NodeJS.ErrnoException) => {
    assert.equal(error.code, code, error.message);
    assert.ok(error.message.includes(`"${mentions}"`), error.message);
    return true;
  });
}
