// UDP: node:dgram's surface on a descriptor of our own, and on dgram itself where the addon does not load.
// May import datagram, send, memory, native, observe, node and policy; not tcp, raw or packet.
// The rest of this room is loaded when a program first wants a socket: most never do, and reading and compiling it
// costs more than a TCP connection needs.
/* eslint-disable @typescript-eslint/no-require-imports */
import type { UdpMessageListener, UdpSocketOptions, ZeroCopyUdpSocket } from './types.js';

export type {
  SendData as UdpMessage,
  UdpBindSyncOptions,
  UdpDatagram,
  UdpMessageListener,
  UdpRemoteInfo,
  UdpSendOptions,
  UdpSocketOptions,
  ZeroCopyUdpSocket,
} from './types.js';

/**
 * node:dgram's createSocket(), with zero copy, segmentation, batches and more.
 * @param options the type, `'udp4'` or `'udp6'`, or options with it
 * @param onMessage a listener for 'message'
 * @throws ERR_SOCKET_BAD_TYPE, ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE; without the addon
 * ERR_ZC_UNAVAILABLE for a sendBlockList, where node:dgram has none. The first call of a process that has no file
 * descriptor left: EMFILE, and nothing else is affected.
 */
export function createUdpSocket(
  options: 'udp4' | 'udp6' | UdpSocketOptions,
  onMessage?: UdpMessageListener,
): ZeroCopyUdpSocket {
  const { openUdpSocket } = require('./open.js') as typeof import('./open.js');
  return openUdpSocket(options, onMessage);
}
