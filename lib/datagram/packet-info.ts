// What a received IP datagram tells beside its sender, where the socket asked for it.
import type { DatagramWords } from './metadata.js';
import { formatAddress } from '../native/sockaddr.js';

export interface ExtraOptions {
  /** Fills `rinfo.destination` and `rinfo.interfaceIndex` (IP_PKTINFO). Default false. */
  packetInfo?: boolean;
  /** Fills `rinfo.tos` (IP_RECVTOS, IPV6_RECVTCLASS). Default false. */
  receiveTos?: boolean;
}

export interface ExtraInfo {
  /** The local address that it was sent to. */
  destination?: string;
  /** The interface that it came in by. */
  interfaceIndex?: number;
  /** DSCP << 2 | ECN. */
  tos?: number;
}

/** Adds to `rinfo` what the options ask for. */
export function addExtras(
  rinfo: ExtraInfo,
  words: DatagramWords,
  slot: number,
  options: ExtraOptions,
): void {
  if (options.receiveTos) {
    const tos = words.tos(slot);
    if (tos !== undefined) rinfo.tos = tos;
  }
  if (!options.packetInfo) return;
  const destination = words.destination(slot);
  if (destination !== undefined) rinfo.destination = formatAddress(destination);
  rinfo.interfaceIndex = words.interfaceIndex(slot);
}
