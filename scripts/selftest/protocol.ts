// What the self-test's processes say to each other, over Node's IPC channel. Types only.
import type { DatagramStats, Engine, Reason, ZeroCopyStats } from '../../lib/index';
import type { Trial } from './trial';

/** What a sender is told first: it starts while the receiver does. */
export interface SenderOrder {
  readonly trial: Trial;
  readonly address: string;
  readonly port: number;
  readonly token: number;
  /** Messages that may be on their way at a time; absent: the receiver does not report what has arrived. */
  readonly window?: number;
}

/** What a receiver is started with. */
export interface ReceiverOrder {
  readonly trial: Pick<Trial, 'family' | 'mode'>;
  readonly address: string;
  readonly port: number;
  /** Absent: the first message tells. */
  readonly token?: number;
  /** Ends when nothing came for so long after the first message; absent: when it is told to. */
  readonly idleMs?: number;
  /** Ends after so long in any case. */
  readonly seconds?: number;
}

/** How the bytes travelled, summed over the reports of all sends. */
export interface Travelled {
  bytes: number;
  zeroCopyBytes: number;
  copiedBytes: number;
  kernelCopiedBytes: number;
  unknownBytes: number;
}

export interface SenderResult {
  readonly sends: number;
  readonly messages: number;
  readonly bytes: number;
  /** Bytes passed to the sockets: with the headers that the sender writes itself. */
  readonly passedBytes: number;
  readonly seconds: number;
  /** Gave up because what was sent did not arrive. */
  readonly stalled: boolean;
  /** Sends whose memory was never released. */
  readonly unsettled: number;
  readonly travelled: Travelled;
  /** Who sent: that of the zero-copy sends, where there were any. */
  readonly engine: Engine;
  /** Why bytes were copied by choice. */
  readonly reasons: readonly Reason[];
  readonly pendingSends: number;
  readonly pendingBytes: number;
  readonly stats: ZeroCopyStats | DatagramStats;
}

export interface ReceiverResult {
  /** Intact messages, each counted once; of a stream: pieces read. */
  readonly messages: number;
  readonly bytes: number;
  /** Messages with wrong bytes or a wrong length. */
  readonly wrongMessages: number;
  readonly wrongBytes: number;
  readonly duplicates: number;
  /** Datagrams that were sent, as far as is known, and not received. */
  readonly missing: number;
  /** Other people's packets, which raw and packet sockets see. */
  readonly strangers: number;
  /** What the kernel says it dropped for want of room in the receiving socket. */
  readonly drops: number;
  /** How a stream was cut short. */
  readonly cut?: string;
}

export type FromSender =
  | { event: 'sent'; result: SenderResult }
  | { event: 'unavailable'; reason: string; remedy: string }
  | { event: 'failed'; reason: string };

export type FromReceiver =
  | { event: 'listening'; address: string; port: number; receiveBuffer: number }
  | { event: 'received'; messages: number }
  | { event: 'result'; result: ReceiverResult }
  | { event: 'unavailable'; reason: string; remedy: string }
  | { event: 'failed'; reason: string };

/** To the sender: what to send, and then how many messages have arrived so far. */
export type ToSender = { readonly order: SenderOrder } | { readonly arrived: number };

/** To the receiver: what was sent in all. */
export interface ToReceiver {
  readonly finish: { readonly messages: number; readonly bytes: number };
}
