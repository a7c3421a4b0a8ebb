// The public face of UDP sockets.
import type dgram from 'node:dgram';
import type { BlockList } from 'node:net';
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
  /** SO_REUSEPORT: several sockets share a port, and the kernel spreads what arrives. */
  reusePort?: boolean;
  /** Drops datagrams from these addresses. */
  receiveBlockList?: BlockList;
  /** Refuses sends to these addresses. */
  sendBlockList?: BlockList;
  /**
   * UDP_GRO: the kernel hands over runs of datagrams of one sender in one piece. `true` delivers them
   * one by one all the same, `'whole'` as they came, with `rinfo.segmentSize`. Default false.
   * Linux 5.0.
   */
  gro?: boolean | 'whole';
}

export interface UdpSendOptions {
  /** 1 to 65,535. Absent on a connected socket. */
  port?: number;
  /** Host name or address; default 127.0.0.1 or ::1. Absent on a connected socket. */
  address?: string;
  /**
   * UDP_SEGMENT: the message is cut into datagrams of so many bytes, by the device or behind the
   * protocol. 1 to 65,507; at most 128 datagrams and 65,507 bytes together. A route that refuses gets
   * datagrams that are cut here. Linux 4.18.
   */
  segmentSize?: number;
  /** DSCP << 2 | ECN, 0 to 255. Default: the socket's own. */
  tos?: number;
  /** Local address to send from (IP_PKTINFO). */
  source?: string;
  /** Interface to send through, by name or index (IP_PKTINFO). */
  interface?: string | number;
  /** Cancels the send while none of it went out. */
  signal?: AbortSignal;
}

export interface UdpDatagram extends Omit<UdpSendOptions, 'signal'> {
  data: Uint8Array | readonly Uint8Array[];
}

export interface UdpRemoteInfo extends dgram.RemoteInfo, PacketInfo {
  /** With `gro: 'whole'`: the message is several datagrams of this size, the last perhaps shorter. */
  segmentSize?: number;
}

export type UdpMessageListener = (message: Buffer, rinfo: UdpRemoteInfo) => void;

/** One datagram, in one piece or several; text is encoded as UTF-8. */
export type SendData =
  string | NodeJS.ArrayBufferView | readonly (string | NodeJS.ArrayBufferView)[];

/**
 * node:dgram's Socket on a descriptor of its own. Differences: a callback of send() means that the
 * buffer is yours again, also with an error; 'close' comes when the kernel holds none of the socket's
 * memory; workers of node:cluster do not share the descriptor: use `reusePort`.
 */
export interface ZeroCopyUdpSocket extends dgram.Socket, AsyncIterable<Arrival<UdpRemoteInfo>> {
  readonly zeroCopy: DatagramControl;
  send: dgram.Socket['send'] & {
    /**
     * Sends one datagram, or with `segmentSize` many. The memory belongs to the kernel until the
     * promise settles. Throws on bad arguments, and sends nothing then.
     * @rejects system errors as dgram's, ERR_ZC_QUEUE_FULL, ERR_ZC_BUFFER_DETACHED, AbortError.
     */
    (message: SendData, options: UdpSendOptions): Promise<SendReport>;
  };
  /**
   * Sends many datagrams with few system calls (sendmmsg). All are tried; rejects with the first
   * error, whose `sentDatagrams` says how many went out.
   * @param options for every datagram that does not say otherwise
   */
  sendMany(
    datagrams: readonly (Uint8Array | UdpDatagram)[],
    options?: UdpSendOptions,
  ): Promise<SendReport>;
  /**
   * What is sent until uncork() makes up one datagram, as UDP_CORK does, to where its first send goes.
   * It is gathered here, so that it may go zero-copy.
   */
  cork(): void;
  uncork(): void;
  [Symbol.asyncDispose](): Promise<void>;
}
