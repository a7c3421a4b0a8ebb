// The public face of packet sockets.
import type { DatagramOptions } from '../datagram/options.js';
import type { DatagramMessage, DatagramSendCallback, DatagramSurface } from '../datagram/socket.js';
import type { Offload } from './headers.js';
import type { SendReport } from '../observe/report.js';
import type { PacketRingOptions } from '../datagram/ring.js';
import type { BpfInstruction } from '../datagram/socket-filter.js';

/** Options of createPacketSocket(). */
export interface PacketSocketOptions extends DatagramOptions {
  /** The interface to send and receive through, by name or index. */
  interface: string | number;
  /** `'raw'` (default): frames with their link header. `'dgram'`: the kernel builds and strips it. */
  type?: 'raw' | 'dgram';
  /**
   * Ethertype of what is received, and of what `'dgram'` sends by default, 0 to 65,535. `'all'` receives every frame, in
   * and out, for which the kernel copies the zero-copy sends of all sockets on the interface. Default 0: receives
   * nothing.
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
  /** Receives only what a classic BPF program of 1 to 4,096 instructions accepts. Default: all. */
  filter?: { program: readonly BpfInstruction[] };
}

/** Options of one send, or of all frames of a sendMany() or commit(). */
export interface PacketSendOptions {
  /** The destination's link address, such as `02:00:00:00:00:01`. Needed with `type: 'dgram'`, absent otherwise. */
  address?: string;
  /** Ethertype, 0 to 65,535. Default: the socket's; with `type: 'raw'` the frame's. */
  protocol?: number;
  /** What a device does to the frame; needs `virtioHeader`. See headers.offload(). */
  offload?: Offload;
  /** Cancels the send while none of it went out; later it has no effect. */
  signal?: AbortSignal;
}

/** An item of sendMany() with options of its own. */
export interface PacketFrame extends Omit<PacketSendOptions, 'signal'> {
  /** The frame, in one piece or several. */
  data: Uint8Array | readonly Uint8Array[];
}

/** A tag of IEEE 802.1Q or 802.1ad. */
export interface VlanTag {
  /** The tag's ethertype: 0x8100, or 0x88a8 (IEEE 802.1ad). */
  readonly tpid: number;
  /** Priority << 13 | drop eligible << 12 | VLAN. */
  readonly tci: number;
}

/** How a frame was received. */
export interface PacketRemoteInfo {
  /** Name of the interface. */
  interface: string;
  /** Index of the interface that received it. */
  interfaceIndex: number;
  /** Ethertype; of a tagged frame the one behind the outermost tag. */
  protocol: number;
  /** To whom the frame was sent, as the kernel sees it; `'outgoing'`: by this host. */
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

/** The interface of a packet socket. */
export interface PacketInterface {
  readonly name: string;
  readonly index: number;
  /** Bytes. Read when the socket is opened, and again when a frame seems too long. */
  readonly mtu: number;
  /** Its link address, such as `02:00:00:00:00:01`. */
  readonly address: string;
}

/** A listener for 'message'. The frame is yours: nothing else uses its bytes. */
export type PacketMessageListener = (frame: Buffer, rinfo: PacketRemoteInfo) => void;

/**
 * A packet socket. Events: 'message', 'listening', 'error', 'close'. It is bound to its interface from
 * its creation; frames are taken from the first 'message' listener or iterator on.
 */
export interface ZeroCopyPacketSocket extends DatagramSurface<PacketRemoteInfo> {
  /** The interface that it is bound to. */
  readonly interface: PacketInterface;
  /** Ring frames that reserve() can return now: 0 without a ring, and while a send() waits for a frame. */
  readonly freeFrames: number;
  /**
   * Sends one frame, which mainline Linux copies. The callback means that the memory is yours again, also with an error.
   * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE, ERR_ZC_BUFFER_DETACHED, EMSGSIZE for a frame longer than the MTU;
   * nothing is sent then.
   */
  send(frame: DatagramMessage, callback?: DatagramSendCallback): void;
  /**
   * The same with a promise, which settles when the memory is yours again.
   * @throws as the other; nothing is sent then.
   * @rejects system errors, ERR_ZC_QUEUE_FULL, ERR_ZC_BUFFER_DETACHED, AbortError.
   */
  send(frame: DatagramMessage, options: PacketSendOptions): Promise<SendReport>;
  /** Sends many frames with few system calls; see ZeroCopyUdpSocket.sendMany(). */
  sendMany(
    frames: readonly (Uint8Array | PacketFrame)[],
    options?: PacketSendOptions,
  ): Promise<SendReport>;
  /**
   * The next free frame of the ring, `length` bytes of it, to be filled. It still holds the frame that was last sent
   * from it.
   * @param length bytes, 1 to what a slot has room for
   * @memory yours until commit() or discard().
   * @throws ERR_ZC_NO_RING, ERR_ZC_RING_FULL, ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE.
   */
  reserve(length: number): Buffer;
  /**
   * Sends reserved frames from where they are. Frames go out in the order of reserve(): one that is
   * neither committed nor discarded holds up those behind it.
   * @memory do not touch the frames after the call.
   * @throws ERR_ZC_NO_RING, and as send() does; nothing is sent then.
   * @settles when the kernel has given the frames back.
   * @rejects ENOBUFS when the device's queue stays full for a second, ERR_ZC_FRAME_REFUSED, other system errors,
   * AbortError.
   */
  commit(frames: Buffer | readonly Buffer[], options?: PacketSendOptions): Promise<SendReport>;
  /** Gives a reserved frame back unsent. Throws: ERR_ZC_NO_RING, ERR_INVALID_ARG_TYPE. */
  discard(frame: Buffer): void;
  /** Resolves when `freeFrames` is not 0. Rejects when the socket closes, or with ERR_ZC_NO_RING. */
  ready(): Promise<void>;
}
