// What a test and the receiver program say to each other. A connection begins with one line of JSON:
// a StreamSpec, behind which the keystream follows, or `{"control":true}`, behind which lines of
// ControlRequest go one way and lines of ControlReply the other.

/** A stream, and what the receiver does with it. Offsets count the bytes behind the first line. */
export interface StreamSpec {
  /** Chooses the keystream and names the stream in control requests. */
  readonly stream: number;
  /** Stops reading from this offset on, until `resume` or `pace`. */
  readonly stallAfter?: number;
  /** Resets the connection at this offset. */
  readonly resetAfter?: number;
  /** Closes it at this offset, with unread data or without. */
  readonly closeAfter?: number;
  /** Ends its own direction at this offset, and reads on. */
  readonly endAfter?: number;
  /** Reads this slowly from the start. */
  readonly pace?: Pace;
  /**
   * Sends a byte at the end of the stream, which tells a FIN from a reset: libuv takes a reset that
   * comes with the last data for an end (deps/uv/src/unix/stream.c:uv__stream_io).
   */
  readonly answer?: boolean;
  /** Sends everything back. */
  readonly echo?: boolean;
}

export interface Pace {
  readonly bytes: number;
  readonly everyMs: number;
}

/** What one stream brought. */
export interface StreamReport {
  readonly bytes: number;
  /** Bytes that are not the keystream's. */
  readonly wrong: number;
  /** Whether the sender ended it, else the code of the error or 'closed'. */
  readonly end: string;
}

export type ControlRequest = { readonly id: number } & (
  | { readonly do: 'report'; readonly stream: number }
  | { readonly do: 'received'; readonly stream: number }
  | { readonly do: 'resume'; readonly stream: number }
  | { readonly do: 'pace'; readonly stream: number; readonly pace: Pace }
  | { readonly do: 'say'; readonly stream: number; readonly bytes: number }
  | { readonly do: 'dial'; readonly host: string; readonly port: number; readonly count: number }
);

export interface ControlReply {
  readonly id: number;
  readonly report?: StreamReport;
  readonly received?: number;
}
