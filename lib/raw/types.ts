// The public face of raw sockets.
import type { PacketInfo, PacketInfoOptions } from '../datagram/receive.js';
import type { DatagramOptions } from '../datagram/options.js';
import type { DatagramMessage, DatagramSendCallback, DatagramSurface } from '../datagram/socket.js';
import type { PacketRingOptions } from '../datagram/ring.js';
import type { SendReport } from '../observe/report.js';
import type { BpfInstruction } from '../datagram/socket-filter.js';

/** Options of createRawSocket(). */
export interface RawSocketOptions extends DatagramOptions, PacketInfoOptions {
  /** IPv4 or IPv6. */
  family: 4 | 6;
  /** The IP protocol, 0 to 255, or a name. `'raw'` (255) sends any and receives none. */
  protocol: number | 'icmp' | 'icmpv6' | 'tcp' | 'udp' | 'raw';
  /** Messages begin with the IP header (IP_HDRINCL, IPV6_HDRINCL). Default false. */
  headerIncluded?: boolean;
  /**
   * IPv6 without `headerIncluded`: the kernel writes the checksum at this offset of the payload, an even number of
   * bytes up to 65,534, and verifies it in received packets (IPV6_CHECKSUM). Default: none; ICMPv6 always has one.
   */
  checksumOffset?: number;
  /** What is received: these ICMP types, 0 to 31 (ICMPv6: 255), and what a classic BPF program accepts. Default all. */
  filter?: { icmpTypes?: readonly number[]; program?: readonly BpfInstruction[] };
  /** The only interface to send and receive through, by name (SO_BINDTODEVICE). Default: any. */
  interface?: string;
  /**
   * A transmit ring for reserve() and commit(), with `headerIncluded`: packets written in it go out through a packet
   * socket on the route's device, without a copy and past the kernel's IP layer, so also past netfilter and IPsec. By
   * default a slot has room for the MTU of `interface`, or for 1,500 bytes. Default none. Linux 5.0.
   */
  ring?: boolean | PacketRingOptions;
}

/** Options of one send, or of all datagrams of a sendMany(). */
export interface RawSendOptions {
  /** An address of the socket's family. Absent on a connected socket. */
  address?: string;
  /** DSCP << 2 | ECN, 0 to 255. Default: the socket's own; with `headerIncluded` the header's. */
  tos?: number;
  /** Local address to send from (IP_PKTINFO). Default: the kernel chooses. */
  source?: string;
  /** Interface to send through, by name or index (IP_PKTINFO). Default: the route's. */
  interface?: string | number;
  /** Cancels the send while none of it went out; later it has no effect. */
  signal?: AbortSignal;
}

/** An item of sendMany() with options of its own. */
export interface RawDatagram extends Omit<RawSendOptions, 'signal'> {
  /** The message, in one piece or several. */
  data: Uint8Array | readonly Uint8Array[];
}

/** Options of commit(). */
export interface RawCommitOptions {
  /** An address of the socket's family. Absent on a connected socket. */
  address?: string;
}

/** The sender of a received message. */
export interface RawRemoteInfo extends PacketInfo {
  /** The sender's address. */
  address: string;
  family: 'IPv4' | 'IPv6';
  /** Bytes of the message. Only a `filter` makes it shorter than the datagram was, which the kernel does not report. */
  size: number;
}

/** A listener for 'message'. The message is yours: nothing else uses its bytes. */
export type RawMessageListener = (message: Buffer, rinfo: RawRemoteInfo) => void;

/**
 * A raw socket. Events: 'message' (IPv4: with the IP header, as the kernel delivers; IPv6: without),
 * 'listening' after bind(), 'connect', 'error', 'close'. It is open from its creation; datagrams are
 * taken from the first 'message' listener, iterator or bind() on.
 */
export interface ZeroCopyRawSocket extends DatagramSurface<RawRemoteInfo> {
  /**
   * Receives only what is sent to `address`, a local address of the socket's family, and sends from it. Default: any.
   * A failure of the system is an 'error'.
   * @throws ERR_SOCKET_ALREADY_BOUND, ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE.
   */
  bind(address?: string, callback?: () => void): this;
  /**
   * Sends to `address` by default, and receives from there only. The callback gets the failure of the system; without a
   * callback it is an 'error'.
   * @throws ERR_SOCKET_DGRAM_IS_CONNECTED, ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE.
   */
  connect(address: string, callback?: () => void): void;
  /** Undoes connect(). Throws: ERR_SOCKET_DGRAM_NOT_CONNECTED. */
  disconnect(): void;
  /**
   * Sends one datagram. The callback means that the memory is yours again, also with an error; without one the datagram
   * is copied.
   * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE, ERR_ZC_BUFFER_DETACHED, ERR_SOCKET_DGRAM_IS_CONNECTED; nothing is sent
   * then.
   */
  send(message: DatagramMessage, address: string, callback?: DatagramSendCallback): void;
  send(message: DatagramMessage, callback?: DatagramSendCallback): void;
  /**
   * The same with a promise, which settles when the memory is yours again.
   * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE, ERR_ZC_BUFFER_DETACHED, ERR_SOCKET_DGRAM_IS_CONNECTED; nothing is sent
   * then.
   * @rejects system errors, ERR_ZC_QUEUE_FULL, ERR_ZC_BUFFER_DETACHED, AbortError.
   */
  send(message: DatagramMessage, options: RawSendOptions): Promise<SendReport>;
  /** Sends many datagrams with few system calls (sendmmsg); see ZeroCopyUdpSocket.sendMany(). */
  sendMany(
    datagrams: readonly (Uint8Array | RawDatagram)[],
    options?: RawSendOptions,
  ): Promise<SendReport>;
  /** Frames of the ring that reserve() can return now: 0 without a ring, and while a send() waits for a frame. */
  readonly freeFrames: number;
  /**
   * The next free frame of the ring, `length` bytes of it, to be filled with a packet. It still holds the packet that
   * was last sent from it.
   * @param length bytes, 1 to what a slot has room for
   * @memory yours until commit() or discard().
   * @throws ERR_ZC_NO_RING, ERR_ZC_RING_FULL, ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE.
   */
  reserve(length: number): Buffer;
  /**
   * Sends reserved packets from where they are. They leave in the order of reserve(): one that is neither committed
   * nor discarded holds up those behind it. Length and checksum of an IPv4 header are filled in, and its source and
   * identification where they are 0, as the kernel does. If the ring cannot send there, the raw socket sends all packets
   * of the call, copied: `report.reason` and `zeroCopy.reason` say why.
   * @memory do not touch the frames after the call.
   * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE, ERR_ZC_NO_RING; nothing is sent then.
   * @settles when the kernel has given the frames back.
   * @rejects as send() does, and with ERR_ZC_FRAME_REFUSED when the device's MTU has just become smaller.
   */
  commit(frames: Buffer | readonly Buffer[], options?: RawCommitOptions): Promise<SendReport>;
  /** Gives a reserved frame back unsent. Throws: ERR_ZC_NO_RING, ERR_INVALID_ARG_TYPE. */
  discard(frame: Buffer): void;
  /** Resolves when `freeFrames` is not 0. Rejects when the socket closes, or with ERR_ZC_NO_RING. */
  ready(): Promise<void>;
  /** The local address. Throws: a system error of getsockname. */
  address(): { address: string; family: string };
  /** Sets the TTL or hop limit of what is sent, 1 to 255, and returns it. Throws: ERR_OUT_OF_RANGE, a system error. */
  setTTL(ttl: number): number;
  /** Allows sends to a broadcast address (SO_BROADCAST). Default false. Throws: a system error. */
  setBroadcast(on: boolean): void;
}
