// Packet sockets: frames by sendmsg or by the mapped transmit ring, and builders of headers.
// May import datagram, send, memory, native, observe, node and policy; not tcp, udp or raw.
// The rest of this room is loaded when a program first wants a socket, as that of udp/ is.
/* eslint-disable @typescript-eslint/no-require-imports */
import type { Headers } from './headers.js';
import type { PacketMessageListener, PacketSocketOptions, ZeroCopyPacketSocket } from './types.js';

export type {
  Headers as PacketHeaders,
  Offload,
  EthernetHeader,
  IcmpEchoHeader,
  Ipv4Header,
  Ipv6Header,
  OffloadOptions,
  UdpHeader,
} from './headers.js';
export type { PacketRingOptions } from '../datagram/ring.js';
export type * from './types.js';

/**
 * Opens a packet socket on one interface. Needs CAP_NET_RAW. With `ring`, frames go from where they
 * were produced (engine `tx_ring`); without, they are copied: mainline Linux has no MSG_ZEROCOPY for
 * packet sockets.
 * @param options the interface, and more
 * @param onMessage a listener for 'message'
 * @throws EPERM without the capability, ENODEV for an unknown interface, ERR_ZC_UNAVAILABLE without
 * the addon, ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE, system errors.
 */
export function createPacketSocket(
  options: PacketSocketOptions,
  onMessage?: PacketMessageListener,
): ZeroCopyPacketSocket {
  const { openPacketSocket } = require('./socket.js') as typeof import('./socket.js');
  return openPacketSocket(options, onMessage);
}

function builders(): Headers {
  return (require('./headers.js') as typeof import('./headers.js')).headers;
}

/** Builds headers, and computes checksums, for sockets whose program writes its own. */
export const headers: Headers = {
  internetChecksum: (...parts) => builders().internetChecksum(...parts),
  ethernet: (header) => builders().ethernet(header),
  ipv4: (header) => builders().ipv4(header),
  ipv6: (header) => builders().ipv6(header),
  udp: (header) => builders().udp(header),
  icmpEcho: (header) => builders().icmpEcho(header),
  offload: (...args) => builders().offload(...args),
};
