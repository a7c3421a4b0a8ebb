// Socket addresses: what is written is read back, texts are Node's, and no bytes of the kernel's or of a
// peer's make a decoder throw.
import assert from 'node:assert/strict';
import { isIP, SocketAddress } from 'node:net';
import {
  addressBytes,
  decodeAddress,
  decodeLinkAddress,
  encodeAddress,
  encodeLinkAddress,
  formatAddress,
  formatMac,
  type InterfaceNames,
  macBytes,
} from '../../lib/native/sockaddr';
import { eachLife, LIVES_TIMEOUT_MS } from '../helpers/lives';
import { between, randomBytes } from '../../scripts/random';

const FAMILIES = { AF_INET: 2, AF_INET6: 10, AF_PACKET: 17 };
const SOCKADDR_LL_BYTES = 20;

/** Interfaces 1 to 9 have a name, and no other. */
const NAMES: InterfaceNames = {
  index: (name) => (/^eth[1-9]$/.test(name) ? Number(name.slice(3)) : 0),
  name: (index) => (index >= 1 && index <= 9 ? `eth${index}` : undefined),
};

/** Sixteen bytes with runs of zeros and the prefixes that texts treat as special. */
function ipv6Bytes(random: () => number): Buffer {
  const bytes = randomBytes(random, 16);
  for (let word = 0; word < 8; word++) {
    const choice = random();
    if (choice < 0.5) bytes.fill(0, word * 2, word * 2 + 2);
    else if (choice < 0.6) bytes.writeUInt16BE(between(random, 0, 15), word * 2);
  }
  const prefix = between(random, 0, 6);
  if (prefix === 0) bytes.fill(0, 0, 12);
  if (prefix === 1) bytes.fill(0, 0, 10).fill(0xff, 10, 12);
  if (prefix === 2) bytes.writeUInt16BE(0xfe80, 0);
  if (prefix === 3) bytes.fill(0, 0, between(random, 1, 16));
  return bytes;
}

/** As Node reads and writes it (inet_ntop of libuv). */
function nodeText(text: string, family: 'ipv4' | 'ipv6'): string {
  return new SocketAddress({ address: text, family }).address;
}

describe('socket addresses', () => {
  it('format any bytes as Node does, and parse that text back to the same bytes', () => {
    eachLife((random) => {
      const four = randomBytes(random, 4);
      assert.equal(formatAddress(four), nodeText(four.join('.'), 'ipv4'));
      assert.deepEqual(addressBytes(formatAddress(four)), four);
      const six = ipv6Bytes(random);
      const plain = (six.toString('hex').match(/.{4}/g) as string[]).join(':');
      const text = formatAddress(six);
      assert.equal(text, nodeText(plain, 'ipv6'), plain);
      assert.deepEqual(addressBytes(text), six, text);
      assert.deepEqual(addressBytes(plain), six, plain);
    });
  }).timeout(LIVES_TIMEOUT_MS);

  it('are decoded as they were encoded', () => {
    eachLife((random) => {
      const port = between(random, 0, 0xffff);
      const four = formatAddress(randomBytes(random, 4));
      const name4 = encodeAddress(four, port, 4, FAMILIES, NAMES) as Buffer;
      const read4 = { address: four, family: 'IPv4', port };
      assert.deepEqual(decodeAddress(name4, FAMILIES, NAMES), read4);
      assert.equal(encodeAddress(four, port, 6, FAMILIES, NAMES), undefined);

      const bytes = ipv6Bytes(random);
      const isLinkLocal = bytes.readUInt16BE(0) >> 6 === 0xfe80 >> 6;
      const zone = between(random, 1, 12);
      const zoned = `${formatAddress(bytes)}${isLinkLocal ? `%${NAMES.name(zone) ?? zone}` : ''}`;
      const name6 = encodeAddress(zoned, port, 6, FAMILIES, NAMES) as Buffer;
      const read6 = { address: zoned, family: 'IPv6', port };
      assert.deepEqual(decodeAddress(name6, FAMILIES, NAMES), read6);
      assert.equal(encodeAddress(zoned, port, 4, FAMILIES, NAMES), undefined);
    });
  }).timeout(LIVES_TIMEOUT_MS);

  it('decode any bytes to an address or to nothing', () => {
    eachLife((random) => {
      const name = randomBytes(random, between(random, 0, 32));
      if (name.length > 1 && random() < 0.8) {
        name.writeUInt16LE(random() < 0.5 ? FAMILIES.AF_INET : FAMILIES.AF_INET6, 0);
      }
      const read = decodeAddress(name, FAMILIES, NAMES);
      if (read === undefined) return;
      assert.equal(isIP(read.address), read.family === 'IPv4' ? 4 : 6);
      assert.ok(read.port >= 0 && read.port <= 0xffff);
    });
  }).timeout(LIVES_TIMEOUT_MS);

  it('refuse text that is no address', () => {
    const alphabet = '0123456789abcdefg:.%/ ';
    eachLife((random) => {
      const letters = Array.from({ length: between(random, 0, 24) }, () => {
        return alphabet[between(random, 0, alphabet.length - 1)];
      });
      const text = letters.join('');
      const expected = new Map([
        [0, undefined],
        [4, 4],
        [6, 16],
      ]);
      assert.equal(addressBytes(text)?.length, expected.get(isIP(text)), text);
    });
  }).timeout(LIVES_TIMEOUT_MS);

  it('decode link-layer addresses as they were encoded', () => {
    eachLife((random) => {
      const protocol = between(random, 0, 0xffff);
      const index = between(random, 0, 2 ** 32 - 1);
      const mac = randomBytes(random, 6);
      assert.deepEqual(Buffer.from(macBytes(formatMac(mac)) as Uint8Array), mac);
      const written = encodeLinkAddress(index, protocol, mac, FAMILIES);
      const read = { protocol, interfaceIndex: index, packetType: 0, address: formatMac(mac) };
      assert.deepEqual(decodeLinkAddress(written), read);

      const any = decodeLinkAddress(randomBytes(random, SOCKADDR_LL_BYTES));
      assert.match(any.address, /^([0-9a-f]{2}(:[0-9a-f]{2}){0,5})?$/);
    });
  }).timeout(LIVES_TIMEOUT_MS);
});
