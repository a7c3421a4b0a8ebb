// createPacketSocket().
import { requireReactor } from '../datagram/core.js';
import { PacketSocket } from './socket.js';
import type { PacketMessageListener, PacketSocketOptions, ZeroCopyPacketSocket } from './types.js';

/**
 * Opens a packet socket on one interface. Needs CAP_NET_RAW. With `ring`, frames go from where they
 * were produced (engine `tx_ring`); without, they are copied: mainline Linux has no MSG_ZEROCOPY for
 * packet sockets.
 * Throws: EPERM without the capability, ENODEV for an unknown interface, ERR_ZC_UNAVAILABLE without
 * the addon, ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE, system errors.
 */
export function createPacketSocket(
  options: PacketSocketOptions,
  onMessage?: PacketMessageListener,
): ZeroCopyPacketSocket {
  return new PacketSocket(
    options,
    requireReactor('Packet sockets'),
    onMessage,
  ) as ZeroCopyPacketSocket;
}
