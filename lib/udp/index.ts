// UDP: node:dgram's surface on a descriptor of our own, and on dgram itself where the addon does not load.
// May import datagram, send, memory, native, observe, node and policy; not tcp, raw or packet.
export { createUdpSocket } from './create.js';
export type {
  SendData as UdpMessage,
  UdpDatagram,
  UdpMessageListener,
  UdpRemoteInfo,
  UdpSendOptions,
  UdpSocketOptions,
  ZeroCopyUdpSocket,
} from './types.js';
