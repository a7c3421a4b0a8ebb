// Settings of a UDP socket: addresses, TTL, broadcast, multicast. Errors are those of node:dgram, which come from libuv
// (src/unix/udp.c).
import { isIP, type AddressInfo } from 'node:net';
import { constants } from 'node:os';
import { IpSocket } from '../datagram/ip-socket.js';
import { invalidType, nodeError, systemError } from '../errors.js';
import type { Native } from '../native/binding.js';
import {
  addressBytes,
  encodeAddress,
  groupSource,
  interfaceNames,
  ipMembership,
  ipv6Membership,
  uint32,
} from '../native/sockaddr.js';
import type { UdpRemoteInfo } from './types.js';

const { EBADF, EINVAL } = constants.errno;
const ANY = Buffer.alloc(4);

type Change = 'add' | 'drop';

export abstract class UdpSettings extends IpSocket<UdpRemoteInfo> {
  protected abstract readonly isConnected: boolean;
  /** Binds an unbound socket, as joining a group does. */
  protected abstract bindForMembership(): void;

  address(): AddressInfo {
    return this.nameOf('getsockname', (native, port) => native.localName(port));
  }

  remoteAddress(): AddressInfo {
    this.core.checkRunning();
    if (!this.isConnected) {
      throw nodeError('ERR_SOCKET_DGRAM_NOT_CONNECTED', 'Not connected');
    }
    return this.nameOf('getpeername', (native, port) => native.peerName(port));
  }

  setTTL(ttl: unknown): number {
    const { kernel } = this.core.native;
    return this.#setHops('setTTL', ttl, 1, kernel.IP_TTL, kernel.IPV6_UNICAST_HOPS);
  }

  setMulticastTTL(ttl: unknown): number {
    const { kernel } = this.core.native;
    return this.#setHops(
      'setMulticastTTL',
      ttl,
      0,
      kernel.IP_MULTICAST_TTL,
      kernel.IPV6_MULTICAST_HOPS,
    );
  }

  #setHops(syscall: string, ttl: unknown, least: number, name4: number, name6: number): number {
    if (typeof ttl !== 'number') throw invalidType('ttl', 'of type number', ttl);
    if (!this.core.isAttached || this.core.isClosed) throw systemError(-EBADF, syscall);
    if (!(ttl >= least && ttl <= 255)) throw systemError(-EINVAL, syscall);
    this.setByVersion(syscall, name4, name6, ttl);
    return ttl;
  }

  setMulticastLoopback(on: unknown): unknown {
    const { IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP } = this.core.native.kernel;
    const value = on ? 1 : 0;
    this.setByVersion('setMulticastLoopback', IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP, value);
    return on;
  }

  setMulticastInterface(address: unknown): void {
    this.core.checkRunning();
    if (typeof address !== 'string') {
      throw invalidType('interfaceAddress', 'of type string', address);
    }
    this.#check('setMulticastInterface', (native, port) =>
      chooseInterface(native, port, this.version, address),
    );
  }

  addMembership(group: string, through?: string): void {
    this.#changeMembership('add', group, through);
  }

  dropMembership(group: string, through?: string): void {
    this.#changeMembership('drop', group, through);
  }

  #changeMembership(change: Change, group: string, through: string | undefined): void {
    this.core.checkRunning();
    if (!group) throw missingArgument('multicastAddress');
    this.bindForMembership();
    this.#check(`${change}Membership`, (native, port) =>
      changeMembership(native, port, change, group, through),
    );
  }

  addSourceSpecificMembership(source: string, group: string, through?: string): void {
    this.#changeSourceMembership('add', source, group, through);
  }

  dropSourceSpecificMembership(source: string, group: string, through?: string): void {
    this.#changeSourceMembership('drop', source, group, through);
  }

  #changeSourceMembership(
    change: Change,
    source: unknown,
    group: unknown,
    through: string | undefined,
  ): void {
    this.core.checkRunning();
    if (typeof source !== 'string') throw invalidType('sourceAddress', 'of type string', source);
    if (typeof group !== 'string') throw invalidType('groupAddress', 'of type string', group);
    this.bindForMembership();
    this.#check(`${change}SourceSpecificMembership`, (native, port) =>
      changeSourceMembership(native, port, change, group, source, through),
    );
  }

  #check(syscall: string, ask: (native: Native, port: number) => number): void {
    const result = this.core.withPort(ask);
    if (result < 0) throw systemError(result, syscall);
  }
}

function missingArgument(name: string): Error {
  return Object.assign(new TypeError(`The "${name}" argument must be specified`), {
    code: 'ERR_MISSING_ARGS',
  });
}

/** Joins or leaves a group. @returns 0, or -errno */
function changeMembership(
  native: Native,
  port: number,
  change: Change,
  group: string,
  through: string | undefined,
): number {
  const { kernel } = native;
  const bytes = addressBytes(group);
  if (bytes === undefined) return -EINVAL;
  if (bytes.length === 4) {
    const local = through === undefined ? ANY : addressBytes(through);
    if (local?.length !== 4) return -EINVAL;
    const name = change === 'add' ? kernel.IP_ADD_MEMBERSHIP : kernel.IP_DROP_MEMBERSHIP;
    return native.setOption(port, kernel.SOL_IP, name, ipMembership(bytes, local));
  }
  const scope = scopeFrom(native, through);
  if (scope === undefined) return -EINVAL;
  const name = change === 'add' ? kernel.IPV6_ADD_MEMBERSHIP : kernel.IPV6_DROP_MEMBERSHIP;
  return native.setOption(port, kernel.SOL_IPV6, name, ipv6Membership(bytes, scope));
}

// libuv reads an interface from the zone of an IPv6 address, such as `::%eth0`. A zone that names none
// stands for none, also a number (src/uv-common.c:uv_ip6_addr).
function scopeFrom(native: Native, through: string | undefined): number | undefined {
  const [host, zone] = (through ?? '::').split(/%(.*)/s);
  if (isIP(host as string) !== 6) return undefined;
  return zone === undefined ? 0 : interfaceNames(native).index(zone);
}

/** Joins or leaves a group for one source. @returns 0, or -errno */
function changeSourceMembership(
  native: Native,
  port: number,
  change: Change,
  group: string,
  source: string,
  through: string | undefined,
): number {
  const { kernel } = native;
  const groupBytes = addressBytes(group);
  const sourceBytes = addressBytes(source);
  if (groupBytes === undefined || sourceBytes?.length !== groupBytes.length) return -EINVAL;
  if (groupBytes.length === 4) {
    const local = through === undefined ? ANY : addressBytes(through);
    if (local?.length !== 4) return -EINVAL;
    const name =
      change === 'add' ? kernel.IP_ADD_SOURCE_MEMBERSHIP : kernel.IP_DROP_SOURCE_MEMBERSHIP;
    return native.setOption(
      port,
      kernel.SOL_IP,
      name,
      ipMembership(groupBytes, local, sourceBytes),
    );
  }
  const names = interfaceNames(native);
  const scope = scopeFrom(native, through);
  const groupName = encodeAddress(group, 0, 6, kernel, names);
  const sourceName = encodeAddress(source, 0, 6, kernel, names);
  if (scope === undefined || groupName === undefined || sourceName === undefined) return -EINVAL;
  const name = change === 'add' ? kernel.MCAST_JOIN_SOURCE_GROUP : kernel.MCAST_LEAVE_SOURCE_GROUP;
  return native.setOption(port, kernel.SOL_IPV6, name, groupSource(scope, groupName, sourceName));
}

/** Chooses the interface for outgoing multicast. @returns 0, or -errno */
function chooseInterface(native: Native, port: number, version: 4 | 6, through: string): number {
  const { kernel } = native;
  if (version === 4) {
    const bytes = addressBytes(through);
    if (bytes?.length !== 4) return -EINVAL;
    return native.setOption(port, kernel.SOL_IP, kernel.IP_MULTICAST_IF, bytes);
  }
  const scope = scopeFrom(native, through);
  if (scope === undefined) return -EINVAL;
  return native.setOption(port, kernel.SOL_IPV6, kernel.IPV6_MULTICAST_IF, uint32(scope));
}
