// The public face of raw sockets.
import type { PacketInfo, PacketInfoOptions } from '../datagram/receive.js';
import type { DatagramOptions } from '../datagram/options.js';
import type { DatagramMessage, DatagramSendCallback, DatagramSurface } from '../datagram/socket.js';
import type { PacketRingOptions } from '../datagram/ring.js';
import type { SendReport } from '../observe/report.js';
import type { BpfInstruction } from '../datagram/socket-filter.js';

export interface RawSocketOptions extends DatagramOptions, PacketInfoOptions {
  family: 4 | 6;
  /** The IP protocol, 0 to 255, or a name. `'raw'` (255) sends any and receives none. */
  protocol: number | 'icmp' | 'icmpv6' | 'tcp' | 'udp' | 'raw';
  /** Messages begin with the IP header (IP_HDRINCL, IPV6_HDRINCL). Default false. */
  headerIncluded?: boolean;
  /**
   * IPv6 without `headerIncluded`: the kernel writes the checksum at this even offset of the payload
   * and verifies it in received packets (IPV6_CHECKSUM). ICMPv6 always has it.
   */
  checksumOffset?: number;
  /** What is received: ICMP types, or what a classic BPF program accepts. Default all. */
  filter?: { icmpTypes?: readonly number[]; program?: readonly BpfInstruction[] };
  /** Sends and receives by this interface only (SO_BINDTODEVICE). */
  interface?: string;
  /**
   * A transmit ring for reserve() and commit(), with `headerIncluded`: packets written in it go out through a packet
   * socket on the route's device, without a copy and past the kernel's IP layer, so also past netfilter and IPsec. By
   * default a slot has room for the MTU of `interface`, or for 1,500 bytes. Default none. Linux 5.0.
   */
  ring?: boolean | PacketRingOptions;
}

export interface RawSendOptions {
  /** An address of the socket's family. Absent on a connected socket. */
  address?: string;
  /** DSCP << 2 | ECN, 0 to 255. Not with `headerIncluded`, which says so itself. */
  tos?: number;
  /** Local address to send from (IP_PKTINFO). */
  source?: string;
  /** Interface to send through, by name or index (IP_PKTINFO). */
  interface?: string | number;
  /** Cancels the send while none of it went out. */
  signal?: AbortSignal;
}

export interface RawDatagram extends Omit<RawSendOptions, 'signal'> {
  data: Uint8Array | readonly Uint8Array[];
}

export interface RawCommitOptions {
  /** An address of the socket's family. Absent on a connected socket. */
  address?: string;
}

export interface RawRemoteInfo extends PacketInfo {
  address: string;
  family: 'IPv4' | 'IPv6';
  /** Bytes of the message. Only a `filter` makes it shorter than the datagram was, and the kernel does not tell. */
  size: number;
}

export type RawMessageListener = (message: Buffer, rinfo: RawRemoteInfo) => void;

/**
 * A raw socket. Events: 'message' (IPv4: with the IP header, as the kernel delivers; IPv6: without),
 * 'listening' after bind(), 'connect', 'error', 'close'. It is open from its creation; datagrams are
 * taken from the first 'message' listener, iterator or bind() on.
 */
export interface ZeroCopyRawSocket extends DatagramSurface<RawRemoteInfo> {
  /** Receives only what is sent to `address`, and sends from it. Default: any. */
  bind(address?: string, callback?: () => void): this;
  connect(address: string, callback?: () => void): void;
  disconnect(): void;
  /** The callback means that the memory is yours again, also with an error. */
  send(message: DatagramMessage, address: string, callback?: DatagramSendCallback): void;
  send(message: DatagramMessage, callback?: DatagramSendCallback): void;
  /** Throws on bad arguments, and sends nothing then. Rejects: system errors, ERR_ZC_*, AbortError. */
  send(message: DatagramMessage, options: RawSendOptions): Promise<SendReport>;
  /** Sends many datagrams with few system calls (sendmmsg); see ZeroCopyUdpSocket.sendMany(). */
  sendMany(
    datagrams: readonly (Uint8Array | RawDatagram)[],
    options?: RawSendOptions,
  ): Promise<SendReport>;
  /** Frames of the ring that reserve() can hand out now; 0 without one. */
  readonly freeFrames: number;
  /**
   * The next free frame of the ring, `length` bytes of it, to be filled with a packet: yours until commit()
   * or discard(). It still holds the packet that was last sent from it. Throws: ERR_ZC_NO_RING,
   * ERR_ZC_RING_FULL, ERR_OUT_OF_RANGE.
   */
  reserve(length: number): Buffer;
  /**
   * Sends reserved packets from where they are. They leave in the order of reserve(): one that is neither committed
   * nor discarded holds up those behind it. Of an IPv4 header length and checksum are filled in, and the source and
   * the identification where they are 0, as the kernel does. Where the ring cannot send there, the raw socket sends all
   * of the call's packets, copied: `report.reason` and `zeroCopy.reason` say why.
   * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE, ERR_ZC_NO_RING; nothing is sent then.
   * @settles when the kernel gave the frames back. They must not be touched after the call. Rejects as send() does, and
   * with ERR_ZC_FRAME_REFUSED when the device's MTU has just become smaller.
   */
  commit(frames: Buffer | readonly Buffer[], options?: RawCommitOptions): Promise<SendReport>;
  /** Gives a reserved frame back unsent. */
  discard(frame: Buffer): void;
  /** Resolves when `freeFrames` is not 0. Rejects when the socket closes, ERR_ZC_NO_RING. */
  ready(): Promise<void>;
  address(): { address: string; family: string };
  /** @param ttl 1 to 255 */
  setTTL(ttl: number): number;
  setBroadcast(on: boolean): void;
}
