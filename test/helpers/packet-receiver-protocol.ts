// What the program at the far end of the wire is asked, one line of JSON for each request and one for
// its answer, in turn.
import type { PacketRemoteInfo, PacketSocketOptions } from '../../lib/index';

export type Family = 4 | 6;

/** What a datagram or a frame was, without its bytes. */
export interface Digest {
  readonly bytes: number;
  readonly sha256: string;
}

/** A frame that a packet socket received. */
export interface CaughtFrame extends Digest {
  readonly rinfo: PacketRemoteInfo;
  /** The whole of it, in base64. */
  readonly data: string;
}

/** A datagram to send: which keystream it carries, and how much of it. */
export interface Said {
  readonly stream: number;
  readonly bytes: number;
}

export type FarRequest =
  /** Opens a UDP socket; answers its port. */
  | { readonly do: 'listen'; readonly family: Family; readonly address: string }
  /** Waits for a datagram `mark`; answers what came before it and forgets that. */
  | { readonly do: 'take'; readonly port: number; readonly mark: string }
  /** Waits until `count` datagrams have come since the last take. */
  | { readonly do: 'await'; readonly port: number; readonly count: number }
  /** Sends datagrams through the UDP socket on `from`. */
  | {
      readonly do: 'say';
      readonly from: number;
      readonly to: { readonly address: string; readonly port: number };
      readonly datagrams: readonly Said[];
    }
  /** Opens a packet socket; answers its number. */
  | { readonly do: 'open'; readonly options: PacketSocketOptions }
  /** Waits for `count` frames, or for one that holds the text `mark`; answers them and forgets them. */
  | { readonly do: 'catch'; readonly socket: number; readonly until: number | string }
  /** Sends frames, in base64, through a packet socket. */
  | { readonly do: 'inject'; readonly socket: number; readonly frames: readonly string[] }
  | { readonly do: 'close'; readonly socket: number };

export interface FarAnswer {
  readonly failure?: string;
  readonly port?: number;
  readonly socket?: number;
  readonly datagrams?: readonly Digest[];
  readonly frames?: readonly CaughtFrame[];
}
