// What is filled in of the IP headers of packets that go past the kernel's raw socket.
import assert from 'node:assert/strict';
import { headers } from '../../lib/index';
import { completeIpv4, Identifications, isIpv6To } from '../../lib/raw/header';
import { addressBytes } from '../../lib/native/sockaddr';

const SOURCE = '192.0.2.1';
const DESTINATION = '198.51.100.2';
const bytes = (address: string): Buffer => addressBytes(address) as Buffer;
const FROM = bytes(SOURCE);
const TO = bytes(DESTINATION);

function packetWith(fields: Partial<Parameters<typeof headers.ipv4>[0]>, payload = 32): Buffer {
  const ends = { source: SOURCE, destination: DESTINATION };
  const header = headers.ipv4({ ...ends, protocol: 253, payloadLength: payload, ...fields });
  return Buffer.concat([header, Buffer.alloc(payload, 0xab)]);
}

function complete(packet: Buffer, from: Buffer | null = FROM, first = 76): boolean {
  const source = from ?? undefined;
  // As in a ring: behind other memory, at an even place.
  const at = 34;
  const buffer = new ArrayBuffer(2048);
  const memory = { bytes: new Uint8Array(buffer), words: new Uint16Array(buffer) };
  memory.bytes.fill(0x77).set(packet, at);
  const ends = { destination: TO, source };
  const done = completeIpv4(memory, at, packet.length, ends, new Identifications(first));
  const around = Buffer.from(buffer);
  around.copy(packet, 0, at);
  around.fill(0x77, at, at + packet.length);
  assert.deepEqual(around, Buffer.alloc(2048, 0x77));
  return done;
}

describe('the IPv4 header of a packet in a ring', () => {
  it('is unchanged when no field is missing', () => {
    const packet = packetWith({ identification: 5, tos: 4, ttl: 9 });
    const before = Buffer.from(packet);
    assert.equal(complete(packet), true);
    assert.deepEqual(packet, before);
  });

  it('gets its length and checksum, and its source and identification where they are 0', () => {
    const packet = packetWith({});
    packet.fill(0xff, 2, 4);
    packet.fill(0xff, 10, 12);
    packet.fill(0, 12, 16);
    assert.equal(complete(packet), true);
    assert.deepEqual(packet, packetWith({ identification: 77 }));
  });

  it('gets no identification where it must not be fragmented', () => {
    const packet = packetWith({ dontFragment: true });
    const before = Buffer.from(packet);
    assert.equal(complete(packet), true);
    assert.deepEqual(packet, before);
  });

  it('may have a source of its own', () => {
    const packet = packetWith({ source: '203.0.113.9', identification: 1 });
    assert.equal(complete(packet, null), true);
    assert.deepEqual(packet.subarray(12, 16), bytes('203.0.113.9'));
  });

  it('has a correct checksum whatever it contains, options included', () => {
    for (let seed = 0; seed < 500; seed++) {
      const packet = Buffer.alloc(20 + 4 * (seed % 11) + 8);
      for (let at = 0; at < packet.length; at++) packet[at] = (seed * 151 + at * 197) & 0xff;
      if (seed % 3 === 0) packet.fill(0xff);
      packet[0] = 0x45 + (seed % 11);
      TO.copy(packet, 16);
      assert.equal(complete(packet), true);
      assert.equal(headers.internetChecksum(packet.subarray(0, 20 + 4 * (seed % 11))), 0);
    }
  });

  for (const [title, spoil] of [
    ['to somewhere else', (packet: Buffer) => packet.writeUInt8(3, 19)],
    ['shorter than a header', (packet: Buffer) => packet.writeUInt8(0x44, 0)],
    ['longer than the packet', (packet: Buffer) => packet.writeUInt8(0x4f, 0)],
  ] as const) {
    it(`is left to the kernel, unchanged, when it is ${title}`, () => {
      const packet = packetWith({}, 8);
      spoil(packet);
      const before = Buffer.from(packet);
      assert.equal(complete(packet), false);
      assert.deepEqual(packet, before);
    });
  }

  it('is left to the kernel when it has no source and none is known', () => {
    const packet = packetWith({});
    packet.fill(0, 12, 16);
    const before = Buffer.from(packet);
    assert.equal(complete(packet, null), false);
    assert.deepEqual(packet, before);
  });
});

describe('identifications of packets', () => {
  it('are never 0, which would request a number', () => {
    const numbers = new Identifications(0xfffe);
    assert.deepEqual([numbers.next(), numbers.next(), numbers.next()], [0xffff, 1, 2]);
  });
});

describe('the IPv6 header of a packet in a ring', () => {
  const header = headers.ipv6({
    source: '2001:db8::1',
    destination: '2001:db8::2',
    protocol: 59,
    payloadLength: 0,
  });

  it('names the destination', () => {
    const memory = { bytes: Buffer.concat([Buffer.alloc(8), header]), words: new Uint16Array() };
    assert.equal(isIpv6To(memory, 8, bytes('2001:db8::2')), true);
    assert.equal(isIpv6To(memory, 8, bytes('2001:db8::1')), false);
  });
});
