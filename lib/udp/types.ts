// The public face of UDP sockets.
import type dgram from 'node:dgram';
import type { AddressInfo, BlockList } from 'node:net';
import type { PacketInfo, PacketInfoOptions, Arrival } from '../datagram/receive.js';
import type { DatagramOptions } from '../datagram/options.js';
import type { DatagramControl } from '../datagram/socket.js';
import type { SendReport } from '../observe/report.js';

/** Options of node:dgram's createSocket(), and more. */
export interface UdpSocketOptions
  extends
    Omit<dgram.SocketOptions, 'signal' | 'recvBufferSize' | 'sendBufferSize'>,
    DatagramOptions,
    PacketInfoOptions {
  /** SO_REUSEPORT: several sockets share a port, and the kernel spreads what arrives over them. Default false. */
  reusePort?: boolean;
  /** Datagrams from these addresses are dropped. Default: none. */
  receiveBlockList?: BlockList;
  /** Sends to these addresses fail with ERR_IP_BLOCKED. Default: none. */
  sendBlockList?: BlockList;
  /**
   * UDP_GRO: the kernel passes consecutive datagrams of one sender in one piece. `true` delivers them one by one
   * all the same, `'whole'` in one piece, with `rinfo.segmentSize`. Default false. Linux 5.0.
   */
  gro?: boolean | 'whole';
}

/** Options of one send, or of all datagrams of a sendMany(). */
export interface UdpSendOptions {
  /** 1 to 65,535. Absent on a connected socket. */
  port?: number;
  /** Host name or address; default 127.0.0.1 or ::1. Absent on a connected socket. */
  address?: string;
  /**
   * UDP_SEGMENT: the device, or the kernel in front of it, cuts the message into datagrams of so many bytes, 1 to
   * 65,507; together at most 128 datagrams and 65,507 bytes. Where the route refuses that, this package cuts. Default:
   * one datagram. Linux 4.18.
   */
  segmentSize?: number;
  /** DSCP << 2 | ECN, 0 to 255. Default: the socket's own. */
  tos?: number;
  /** Local address to send from (IP_PKTINFO). Default: the kernel chooses. */
  source?: string;
  /** Interface to send through, by name or index (IP_PKTINFO). Default: the route's. */
  interface?: string | number;
  /** Cancels the send while none of it went out; later it has no effect. */
  signal?: AbortSignal;
}

/** An item of sendMany() with options of its own. */
export interface UdpDatagram extends Omit<UdpSendOptions, 'signal'> {
  /** The payload, in one piece or several. */
  data: Uint8Array | readonly Uint8Array[];
}

/** The sender of a received message, and what is known of its way. */
export interface UdpRemoteInfo extends dgram.RemoteInfo, PacketInfo {
  /** With `gro: 'whole'`: the message is several datagrams of this size, the last perhaps shorter. */
  segmentSize?: number;
}

/** A listener for 'message'. The message is yours: nothing else uses its bytes. */
export type UdpMessageListener = (message: Buffer, rinfo: UdpRemoteInfo) => void;

/** Options of bindSync(). */
export interface UdpBindSyncOptions {
  /** Default 0: any that is free. */
  port?: number | undefined;
  /** An address, not a host name. Default: all. */
  address?: string | undefined;
}

/** One datagram, in one piece or several; text is encoded as UTF-8. */
export type SendData =
  string | NodeJS.ArrayBufferView | readonly (string | NodeJS.ArrayBufferView)[];

/**
 * node:dgram's Socket on a descriptor of its own. Differences: a callback of send() means that the
 * buffer is yours again, also with an error; 'close' comes when the kernel holds none of the socket's
 * memory; workers of node:cluster do not share the descriptor: use `reusePort`.
 */
export interface ZeroCopyUdpSocket extends dgram.Socket, AsyncIterable<Arrival<UdpRemoteInfo>> {
  /** What the socket does at present, and how its bytes travelled. */
  readonly zeroCopy: DatagramControl;
  /** dgram's signatures, whose callback means that the memory is yours again, and one that returns a promise. */
  send: dgram.Socket['send'] & {
    /**
     * Sends one datagram, or with `segmentSize` many.
     * @memory do not change the message until the promise settles, also when it rejects.
     * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE and dgram's errors for bad arguments; nothing is sent then.
     * @rejects system errors as dgram's, ERR_ZC_QUEUE_FULL, ERR_ZC_BUFFER_DETACHED, AbortError.
     */
    (message: SendData, options: UdpSendOptions): Promise<SendReport>;
  };
  /**
   * bind(), done when it returns; 'listening' follows. @returns what address() answers
   * @throws what bind() emits as an 'error', ERR_SOCKET_ALREADY_BOUND, ERR_SOCKET_BAD_PORT, ERR_INVALID_ARG_TYPE,
   * ERR_INVALID_ARG_VALUE for a host name; without the addon ERR_ZC_UNAVAILABLE where node:dgram has no such method.
   */
  bindSync(options?: UdpBindSyncOptions): AddressInfo;
  /**
   * connect(), done when it returns; 'connect' follows. Binds the socket if it is not bound.
   * @param address not a host name; default 127.0.0.1 or ::1
   * @throws what connect() emits as an 'error', ERR_SOCKET_DGRAM_IS_CONNECTED, ERR_SOCKET_ALREADY_BOUND while bind()
   * has not finished, and what bindSync() throws.
   */
  connectSync(port: number, address?: string): void;
  /**
   * Sends many datagrams with few system calls (sendmmsg). All are tried, also after an error.
   * @param datagrams payloads of one datagram each, or payloads with options
   * @param options for every datagram without options of its own
   * @memory do not change the payloads until the promise settles, also when it rejects.
   * @throws as send() does; nothing is sent then.
   * @rejects the first error, as that of send(); its `sentDatagrams` says how many went out.
   */
  sendMany(
    datagrams: readonly (Uint8Array | UdpDatagram)[],
    options?: UdpSendOptions,
  ): Promise<SendReport>;
  /**
   * Everything that is sent until uncork() makes up one datagram, as with UDP_CORK, to the destination of the first
   * send. It is gathered in this process, so that it may go zero-copy.
   */
  cork(): void;
  /** Sends what was gathered since cork(). */
  uncork(): void;
  /** close(); settles with 'close'. Does nothing on a closed socket. */
  [Symbol.asyncDispose](): Promise<void>;
}
