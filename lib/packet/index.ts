// Packet sockets: frames by sendmsg or by the mapped transmit ring, and builders of headers.
// May import datagram, send, memory, native, observe, node and policy; not tcp, udp or raw.
export { createPacketSocket, headers } from './create.js';
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
