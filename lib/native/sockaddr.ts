// Socket addresses: text as users write it, and the bytes of sockaddr_in, sockaddr_in6 and
// sockaddr_ll as the kernel reads them. Pure but for the names of interfaces.
import { isIP } from 'node:net';
import { endianness } from 'node:os';
import ipaddr from 'ipaddr.js';
import type { Native, NativeInterface } from './binding.js';
import type { KernelConstants } from './binding-constants.js';

export interface SocketAddress {
  readonly address: string;
  readonly family: 'IPv4' | 'IPv6';
  readonly port: number;
}

/** Names and indexes of network interfaces; 0 or undefined where there is none. */
export interface InterfaceNames {
  index(name: string): number;
  name(index: number): string | undefined;
}

/** The interfaces of this network namespace. */
export function interfaceNames(native: Pick<Native, 'findInterface'>): InterfaceNames {
  const find = (key: string | number): NativeInterface | undefined => {
    const found = native.findInterface(key);
    return typeof found === 'number' ? undefined : found;
  };
  return { index: (name) => find(name)?.index ?? 0, name: (index) => find(index)?.name };
}

type AddressFamilies = Pick<KernelConstants, 'AF_INET' | 'AF_INET6' | 'AF_PACKET'>;

const SOCKADDR_IN_BYTES = 16;
const SOCKADDR_IN6_BYTES = 28;
const SOCKADDR_LL_BYTES = 20;
const littleEndian = endianness() === 'LE';

function writeHost16(into: Buffer, value: number, at: number): void {
  if (littleEndian) into.writeUInt16LE(value, at);
  else into.writeUInt16BE(value, at);
}

function writeHost32(into: Buffer, value: number, at: number): void {
  if (littleEndian) into.writeUInt32LE(value, at);
  else into.writeUInt32BE(value, at);
}

function readHost16(from: Buffer, at: number): number {
  return littleEndian ? from.readUInt16LE(at) : from.readUInt16BE(at);
}

function readHost32(from: Buffer, at: number): number {
  return littleEndian ? from.readUInt32LE(at) : from.readUInt32BE(at);
}

/** The 4 or 16 bytes of an address; undefined when it is none. A zone (`%eth0`) is left out. */
export function addressBytes(address: string): Buffer | undefined {
  if (isIP(address) === 0) return undefined;
  // ipaddr.js 2.5 reads `::192.0.2.1` as `::ffff:192.0.2.1`, which is another address (RFC 4291, 2.5.5).
  const plain = address.replace(/%.*$/, '').replace(/^::(?=\d+\.)/, '::0:');
  return Buffer.from(ipaddr.parse(plain).toByteArray());
}

const MAPPED = Buffer.from('00000000000000000000ffff', 'hex');

/** Whether the bytes of an IPv6 address, from `at` on, are those of a mapped IPv4 address. */
export function isMapped(bytes: Uint8Array, at = 0): boolean {
  return bytes.length >= at + 16 && MAPPED.equals(bytes.subarray(at, at + MAPPED.length));
}

/** Whether a sockaddr_in6 names a mapped IPv4 address: the kernel sends there by IPv4. */
export function isMappedName(name: Uint8Array): boolean {
  return name.length === SOCKADDR_IN6_BYTES && isMapped(name, 8);
}

/**
 * Encodes an address.
 * @param version of the socket: an IPv6 socket takes IPv6 addresses only, as node:dgram's does
 * @returns undefined when `address` is not of that version
 */
export function encodeAddress(
  address: string,
  port: number,
  version: 4 | 6,
  families: AddressFamilies,
  names: InterfaceNames,
): Buffer | undefined {
  const bytes = addressBytes(address);
  if (bytes === undefined || bytes.length !== (version === 4 ? 4 : 16)) return undefined;
  if (version === 4) {
    const name = Buffer.alloc(SOCKADDR_IN_BYTES);
    writeHost16(name, families.AF_INET, 0);
    name.writeUInt16BE(port, 2);
    bytes.copy(name, 4);
    return name;
  }
  const name = Buffer.alloc(SOCKADDR_IN6_BYTES);
  writeHost16(name, families.AF_INET6, 0);
  name.writeUInt16BE(port, 2);
  bytes.copy(name, 8);
  writeHost32(name, scopeOf(address, names), 24);
  return name;
}

/** The interface index of `fe80::1%eth0` or `fe80::1%2`; 0 without a zone. */
export function scopeOf(address: string, names: InterfaceNames): number {
  const zone = address.split('%', 2)[1];
  if (zone === undefined) return 0;
  return names.index(zone) || Number.parseInt(zone, 10) || 0;
}

/** Decodes sockaddr_in or sockaddr_in6; undefined for another family. */
export function decodeAddress(
  name: Buffer,
  families: AddressFamilies,
  names: InterfaceNames,
): SocketAddress | undefined {
  if (name.length < SOCKADDR_IN_BYTES) return undefined;
  const family = readHost16(name, 0);
  const port = name.readUInt16BE(2);
  if (family === families.AF_INET) {
    return { address: formatAddress(name.subarray(4, 8)), family: 'IPv4', port };
  }
  if (family !== families.AF_INET6 || name.length < SOCKADDR_IN6_BYTES) return undefined;
  const bytes = name.subarray(8, 24);
  let address = formatAddress(bytes);
  const scope = readHost32(name, 24);
  // Node appends the interface to link-local addresses (src/tcp_wrap.cc:AddressToJS).
  if (scope > 0 && bytes[0] === 0xfe && ((bytes[1] as number) & 0xc0) === 0x80) {
    address += `%${names.name(scope) ?? scope}`;
  }
  return { address, family: 'IPv6', port };
}

/** The text of 4 or 16 bytes, as inet_ntop(3) writes it. */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const parsed = ipaddr.fromByteArray([...bytes]) as ipaddr.IPv6;
  if (parsed.isIPv4MappedAddress()) return `::ffff:${parsed.toIPv4Address().toString()}`;
  // An IPv4-compatible address (libuv:src/inet.c, inet_ntop6: exactly six words of zeros in front).
  if (bytes.subarray(0, 12).every((byte) => byte === 0) && bytes.subarray(12, 14).some(Boolean)) {
    return `::${bytes.subarray(12).join('.')}`;
  }
  return parsed.toRFC5952String();
}

// --- sockaddr_ll ---------------------------------------------------------------------------------

export interface LinkAddress {
  readonly interfaceIndex: number;
  /** Ethertype. */
  readonly protocol: number;
  /** PACKET_HOST, …; of received frames. */
  readonly packetType: number;
  /** Six bytes as `aa:bb:cc:dd:ee:ff`. */
  readonly address: string;
}

export function encodeLinkAddress(
  interfaceIndex: number,
  protocol: number,
  address: Uint8Array | undefined,
  families: AddressFamilies,
): Buffer {
  const name = Buffer.alloc(SOCKADDR_LL_BYTES);
  writeHost16(name, families.AF_PACKET, 0);
  name.writeUInt16BE(protocol, 2);
  writeHost32(name, interfaceIndex, 4);
  if (address !== undefined) {
    name[11] = address.length;
    name.set(address, 12);
  }
  return name;
}

export function decodeLinkAddress(name: Buffer): LinkAddress {
  return {
    protocol: name.readUInt16BE(2),
    interfaceIndex: readHost32(name, 4),
    packetType: name[10] as number,
    address: formatMac(name.subarray(12, 12 + Math.min(name[11] as number, 6))),
  };
}

/** struct sockaddr_nl. @param groups multicast groups as a mask */
export function encodeNetlinkName(groups: number, { AF_NETLINK }: KernelConstants): Buffer {
  const name = Buffer.alloc(12);
  writeHost16(name, AF_NETLINK, 0);
  writeHost32(name, groups, 8);
  return name;
}

/** The 4 or 16 bytes of the address in a sockaddr_in or sockaddr_in6, and the zone's interface index. */
export function addressIn(name: Buffer, version: 4 | 6): { bytes: Buffer; scope: number } {
  if (version === 4) return { bytes: name.subarray(4, 8), scope: 0 };
  return { bytes: name.subarray(8, 24), scope: readHost32(name, 24) };
}

const MAC = /^[0-9a-f]{2}(?:(?::[0-9a-f]{2}){5}|(?:-[0-9a-f]{2}){5})$/i;

/** The six bytes of `aa:bb:cc:dd:ee:ff`; undefined when it is none. */
export function macBytes(address: string): Uint8Array | undefined {
  if (!MAC.test(address)) return undefined;
  return Uint8Array.from(address.split(/[:-]/), (part) => Number.parseInt(part, 16));
}

export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

// --- structures of socket options ----------------------------------------------------------------

/** struct ip_mreq (8 bytes), or ip_mreq_source (12) with the source behind the interface. */
export function ipMembership(
  group: Uint8Array,
  interfaceAddress: Uint8Array,
  source?: Uint8Array,
): Buffer {
  const parts = [group, interfaceAddress];
  if (source !== undefined) parts.push(source);
  return Buffer.concat(parts);
}

/** struct ipv6_mreq. */
export function ipv6Membership(group: Uint8Array, interfaceIndex: number): Buffer {
  const value = Buffer.alloc(20);
  value.set(group, 0);
  writeHost32(value, interfaceIndex, 16);
  return value;
}

/** struct group_source_req: the interface, and two sockaddr_storage of 128 bytes each. */
export function groupSource(interfaceIndex: number, group: Buffer, source: Buffer): Buffer {
  const value = Buffer.alloc(8 + 2 * 128);
  writeHost32(value, interfaceIndex, 0);
  group.copy(value, 8);
  source.copy(value, 8 + 128);
  return value;
}

/** struct packet_mreq for promiscuous mode. */
export function packetMembership(interfaceIndex: number, type: number): Buffer {
  const value = Buffer.alloc(16);
  writeHost32(value, interfaceIndex, 0);
  writeHost16(value, type, 4);
  return value;
}

/** An unsigned 32-bit number in the machine's order. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  writeHost32(bytes, value >>> 0, 0);
  return bytes;
}
