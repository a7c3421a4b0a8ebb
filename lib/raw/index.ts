// Raw IP sockets.
// May import datagram, send, memory, native, observe, node and policy; not tcp, udp or packet.
// The rest of this room is loaded when a program first wants a socket, as that of udp/ is.
/* eslint-disable @typescript-eslint/no-require-imports */
import type { RawMessageListener, RawSocketOptions, ZeroCopyRawSocket } from './types.js';

export type * from './types.js';

/**
 * Opens a raw socket. Needs CAP_NET_RAW. Mainline Linux has no MSG_ZEROCOPY for raw sockets
 * (SO_ZEROCOPY answers EOPNOTSUPP): the engine is `copy` then, and `zeroCopy.reason` says
 * 'kernel-unsupported'. With `ring`, packets are sent from where they were written (engine `tx_ring`).
 * @param options family and protocol, and more
 * @param onMessage a listener for 'message'
 * @throws EPERM without the capability, ERR_ZC_UNAVAILABLE without the addon, ERR_INVALID_ARG_TYPE,
 * ERR_OUT_OF_RANGE, system errors.
 */
export function createRawSocket(
  options: RawSocketOptions,
  onMessage?: RawMessageListener,
): ZeroCopyRawSocket {
  const { openRawSocket } = require('./socket.js') as typeof import('./socket.js');
  return openRawSocket(options, onMessage);
}
