// The public face of packet sockets.
import type { DatagramOptions } from '../datagram/options.js';
import type { DatagramMessage, DatagramSendCallback, DatagramSurface } from '../datagram/socket.js';
import type { Offload } from './headers.js';
import type { SendReport } from '../observe/report.js';
import type { PacketRingOptions } from '../datagram/ring.js';
import type { BpfInstruction } from '../datagram/socket-filter.js';

export interface PacketSocketOptions extends DatagramOptions {
  /** The interface to send and receive by: name or index. */
  interface: string | number;
  /** `'raw'` (default): frames with their link header. `'dgram'`: the kernel builds and strips it. */
  type?: 'raw' | 'dgram';
  /**
   * Ethertype of what is received, and of what `'dgram'` sends by default; `'all'` receives every
   * frame, in and out, which makes the kernel copy zero-copy sends of all sockets on the interface.
   * Default 0: receives nothing.
   */
  protocol?: number | 'all';
  /** A transmit ring (PACKET_TX_RING) for reserve() and commit(). Default none. */
  ring?: boolean | PacketRingOptions;
  /** Frames carry offloads (PACKET_VNET_HDR). With `type: 'raw'` only. Default false. */
  virtioHeader?: boolean;
  /** Sends past the queueing discipline (PACKET_QDISC_BYPASS). Default false. Linux 3.14. */
  qdiscBypass?: boolean;
  /** Does not receive what this host sends (PACKET_IGNORE_OUTGOING). Default false. Linux 4.20. */
  ignoreOutgoing?: boolean;
  /** Receives frames to other hosts as well while the socket is open. Default false. */
  promiscuous?: boolean;
  /** Receives what a classic BPF program accepts. */
  filter?: { program: readonly BpfInstruction[] };
}

export interface PacketSendOptions {
  /** Destination as `aa:bb:cc:dd:ee:ff`, for `type: 'dgram'`. */
  address?: string;
  /** Ethertype. Default: the socket's; a raw frame says it itself. */
  protocol?: number;
  /** What a device does to the frame; needs `virtioHeader`. See headers.offload(). */
  offload?: Offload;
  /** Cancels the send while none of it went out. */
  signal?: AbortSignal;
}

export interface PacketFrame extends Omit<PacketSendOptions, 'signal'> {
  data: Uint8Array | readonly Uint8Array[];
}

export interface VlanTag {
  /** The tag's ethertype: 0x8100, or 0x88a8 (IEEE 802.1ad). */
  readonly tpid: number;
  /** Priority << 13 | drop eligible << 12 | VLAN. */
  readonly tci: number;
}

export interface PacketRemoteInfo {
  interface: string;
  interfaceIndex: number;
  /** Ethertype; of a tagged frame that of what the outermost tag is in front of. */
  protocol: number;
  packetType: 'host' | 'broadcast' | 'multicast' | 'otherhost' | 'outgoing';
  /** The sender's link address. */
  address: string;
  /** Bytes of the message. */
  size: number;
  /** The outermost VLAN tag, with `protocol: 'all'`. The message contains it, except with type 'dgram'. */
  vlan?: VlanTag;
  /** The frame was longer: the filter cut it, or it has more than 65,856 bytes (a large GSO packet). */
  truncated?: true;
  /** With `virtioHeader`: what is left to do to the frame. */
  offload?: Offload;
}

export interface PacketInterface {
  readonly name: string;
  readonly index: number;
  /** As it was when it was looked at last: at first, and when a frame seemed too long. */
  readonly mtu: number;
  readonly address: string;
}

export type PacketMessageListener = (frame: Buffer, rinfo: PacketRemoteInfo) => void;

/**
 * A packet socket. Events: 'message', 'listening', 'error', 'close'. It is bound to its interface from
 * its creation; frames are taken from the first 'message' listener or iterator on.
 */
export interface ZeroCopyPacketSocket extends DatagramSurface<PacketRemoteInfo> {
  readonly interface: PacketInterface;
  /** Ring frames that reserve() can hand out now; 0 without a ring. */
  readonly freeFrames: number;
  /** The callback means that the memory is yours again, also with an error. */
  send(frame: DatagramMessage, callback?: DatagramSendCallback): void;
  /** Throws on bad arguments, and sends nothing then. Rejects: system errors, ERR_ZC_*, AbortError. */
  send(frame: DatagramMessage, options: PacketSendOptions): Promise<SendReport>;
  /** Sends many frames with few system calls; see ZeroCopyUdpSocket.sendMany(). */
  sendMany(
    frames: readonly (Uint8Array | PacketFrame)[],
    options?: PacketSendOptions,
  ): Promise<SendReport>;
  /**
   * The next free ring frame, `length` bytes of it, to be filled: yours until commit() or discard().
   * What it holds is what was sent from it last. Throws: ERR_ZC_RING_FULL, ERR_OUT_OF_RANGE.
   */
  reserve(length: number): Buffer;
  /**
   * Sends reserved frames from where they are. Frames go out in the order of reserve(): one that is
   * neither committed nor discarded holds up those behind it.
   * @settles when the kernel gave the frames back. They must not be touched after the call.
   */
  commit(frames: Buffer | readonly Buffer[], options?: PacketSendOptions): Promise<SendReport>;
  /** Gives a reserved frame back unsent. */
  discard(frame: Buffer): void;
  /** Resolves when `freeFrames` is not 0. Rejects when the socket closes. */
  ready(): Promise<void>;
}
