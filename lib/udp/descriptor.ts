// The descriptor of a UDP socket: opened, or taken over from whoever opened it.
import { fstatSync } from 'node:fs';
import { systemError } from '../errors.js';
import type { Native } from '../native/binding.js';
import type { UdpSocketOptions } from './types.js';

/** @returns its port, with the options of the socket set. Throws: a system error, ERR_INVALID_FD_TYPE. */
export function openDescriptor(
  native: Native,
  version: 4 | 6,
  options: UdpSocketOptions,
  fd: number | undefined,
): number {
  const { kernel } = native;
  const domain = version === 4 ? kernel.AF_INET : kernel.AF_INET6;
  const port =
    fd === undefined ? native.openDatagram(domain, kernel.SOCK_DGRAM, 0) : native.adoptDatagram(fd);
  if (port < 0) throw fd === undefined ? systemError(port, 'bind') : invalidDescriptor(fd);
  const { gro, reuseAddr, reusePort, ipv6Only, packetInfo, receiveTos } = options;
  const set = (level: number, name: number): void => {
    native.setOption(port, level, name, 1);
  };
  const [level, info, tos] =
    version === 4
      ? [kernel.SOL_IP, kernel.IP_PKTINFO, kernel.IP_RECVTOS]
      : [kernel.SOL_IPV6, kernel.IPV6_RECVPKTINFO, kernel.IPV6_RECVTCLASS];
  if (fd === undefined) {
    if (reuseAddr) set(kernel.SOL_SOCKET, kernel.SO_REUSEADDR);
    if (reusePort) set(kernel.SOL_SOCKET, kernel.SO_REUSEPORT);
    if (ipv6Only && version === 6) set(kernel.SOL_IPV6, kernel.IPV6_V6ONLY);
  }
  if (gro) set(kernel.SOL_UDP, kernel.UDP_GRO);
  if (packetInfo) set(level, info);
  if (receiveTos) set(level, tos);
  // Datagrams of IPv4 peers to an IPv6 socket report their TOS at the IPv4 level.
  if (receiveTos && version === 6) set(kernel.SOL_IP, kernel.IP_RECVTOS);
  return port;
}

/** The type that node:dgram reports for a descriptor that is no UDP socket. */
function invalidDescriptor(fd: number): Error {
  let type = 'UNKNOWN';
  try {
    const stats = fstatSync(fd);
    if (stats.isFile() || stats.isCharacterDevice()) type = 'FILE';
    else if (stats.isFIFO()) type = 'PIPE';
    else if (stats.isSocket()) type = 'TCP';
  } catch {
    // Not open.
  }
  return Object.assign(new TypeError(`Unsupported fd type: ${type}`), {
    code: 'ERR_INVALID_FD_TYPE',
  });
}
