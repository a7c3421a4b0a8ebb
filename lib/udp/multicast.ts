// Multicast of UDP sockets: group memberships and outgoing interfaces as options of the kernel's.
// Errors are those of node:dgram, which come from libuv (src/unix/udp.c).
import { isIP } from 'node:net';
import { constants } from 'node:os';
import type { Native } from '../native/binding.js';
import { interfaceNames } from '../datagram/core.js';
import {
  addressBytes,
  encodeAddress,
  groupSource,
  ipMembership,
  ipv6Membership,
  uint32,
} from '../native/sockaddr.js';

const { EINVAL } = constants.errno;
const ANY = Buffer.alloc(4);

export type Change = 'add' | 'drop';

/** Joins or leaves a group. @returns 0, or -errno */
export function changeMembership(
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
export function changeSourceMembership(
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

/** Chooses the interface that multicast goes out by. @returns 0, or -errno */
export function chooseInterface(
  native: Native,
  port: number,
  version: 4 | 6,
  through: string,
): number {
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
