// Packet sockets: frames by sendmsg or by the mapped transmit ring, and builders of headers.
// May import datagram, send, memory, native, observe, node and policy; not tcp, udp or raw.
export { createPacketSocket } from './socket.js';
export { headers } from './headers.js';
export type { Offload } from './headers.js';
export type {
  PacketFrame,
  PacketInterface,
  PacketRemoteInfo,
  PacketRingOptions,
  PacketSendOptions,
  PacketSocketOptions,
  VlanTag,
  ZeroCopyPacketSocket,
} from './types.js';
