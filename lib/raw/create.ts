// createRawSocket().
import { requireReactor } from '../datagram/core.js';
import { RawSocket } from './socket.js';
import type { RawMessageListener, RawSocketOptions, ZeroCopyRawSocket } from './types.js';

/**
 * Opens a raw socket. Needs CAP_NET_RAW. Mainline Linux has no zero copy for raw sockets
 * (SO_ZEROCOPY answers EOPNOTSUPP): the engine is `copy` then, and `zeroCopy.reason` says
 * 'kernel-unsupported'.
 * Throws: EPERM without the capability, ERR_ZC_UNAVAILABLE without the addon, ERR_INVALID_ARG_TYPE,
 * ERR_OUT_OF_RANGE, system errors.
 */
export function createRawSocket(
  options: RawSocketOptions,
  onMessage?: RawMessageListener,
): ZeroCopyRawSocket {
  return new RawSocket(options, requireReactor('Raw sockets'), onMessage) as ZeroCopyRawSocket;
}
