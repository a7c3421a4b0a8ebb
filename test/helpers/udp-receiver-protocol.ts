// What a test and the program that receives its datagrams say to each other, in lines of JSON over a
// TCP connection: requests one way, and one reply to each, in whatever order they become due.
import type { DatagramReport } from './udp-datagrams';

/** A socket that the program is to receive on. */
export interface OpenOptions {
  readonly type: 'udp4' | 'udp6';
  readonly address: string;
  /** Chooses the bytes that are expected. */
  readonly stream: number;
  /** Default: any. */
  readonly port?: number;
  readonly recvBufferSize?: number;
  /** Receives with this package and these options; default: node:dgram. */
  readonly library?: LibraryOptions;
}

export interface LibraryOptions {
  readonly gro?: boolean | 'whole';
  readonly packetInfo?: boolean;
  readonly receiveTos?: boolean;
  readonly reusePort?: boolean;
}

export type ReceiverRequest =
  | { readonly do: 'open'; readonly open: OpenOptions }
  /** Replied to when this many datagrams have come, markers not counted. */
  | { readonly do: 'reached'; readonly socket: number; readonly datagrams: number }
  /** Replied to when the marker has come. */
  | { readonly do: 'marked'; readonly socket: number; readonly marker: number }
  | { readonly do: 'report'; readonly socket: number }
  /** Replied to at once; the socket is closed when the reply comes. */
  | { readonly do: 'close'; readonly socket: number }
  /** Stops the program, event loop and all, right after the reply. */
  | { readonly do: 'stall'; readonly milliseconds: number }
  /** Sends datagrams 0 to `count` of a stream from a socket, with node:dgram. */
  | {
      readonly do: 'send';
      readonly socket: number;
      readonly host: string;
      readonly port: number;
      readonly stream: number;
      readonly count: number;
      readonly bytes: number;
    };

export interface Opened {
  readonly socket: number;
  readonly port: number;
  readonly recvBufferSize: number;
}

/** What came with the datagrams beside their bytes; values are counts. */
export interface Accompaniments {
  readonly segmentSizes: Readonly<Record<string, number>>;
  readonly destinations: Readonly<Record<string, number>>;
  readonly interfaces: Readonly<Record<string, number>>;
  readonly tos: Readonly<Record<string, number>>;
  readonly sources: Readonly<Record<string, number>>;
  /** 'message' events. With gro: 'whole' one holds several datagrams. */
  readonly messages: number;
  /** receiveDrops of the package's socket. */
  readonly receiveDrops: number;
}

export interface SocketReport extends DatagramReport {
  readonly with: Accompaniments;
}

export interface ReceiverReply {
  readonly id: number;
  readonly opened?: Opened;
  readonly report?: SocketReport;
  readonly failure?: string;
}

const MARKER = Buffer.from('marker of the tests');

/** A datagram that says: what was sent before this one has come or is lost. */
export function markerDatagram(marker: number): Buffer {
  const datagram = Buffer.alloc(MARKER.length + 4);
  MARKER.copy(datagram);
  datagram.writeUInt32BE(marker, MARKER.length);
  return datagram;
}

/** The marker's number, if it is one. */
export function markerOf(datagram: Buffer): number | undefined {
  if (datagram.length !== MARKER.length + 4) return undefined;
  if (MARKER.compare(datagram, 0, MARKER.length) !== 0) return undefined;
  return datagram.readUInt32BE(MARKER.length);
}
