// What the processes of a soak say to each other, over Node's IPC channel.
import type { ActorName } from './names';

/** How the receiver treats a connection: told by `sequence` of the stream's description. */
export interface Manner {
  readonly reader: 'fast' | 'slow' | 'stalls' | 'resets' | 'stalls and resets' | 'talks' | 'ends';
  /** Milliseconds of a stall, or KiB until a reset. 0 to 65,535. */
  readonly amount: number;
}

const READERS = ['fast', 'slow', 'stalls', 'resets', 'stalls and resets', 'talks', 'ends'] as const;

export function encodeManner({ reader, amount }: Manner): number {
  return READERS.indexOf(reader) * 65_536 + amount;
}

export function decodeManner(sequence: number): Manner {
  const reader = READERS[Math.floor(sequence / 65_536)] ?? 'fast';
  return { reader, amount: sequence % 65_536 };
}

/** Whether the receiver cuts the connection by itself. */
export function cuts({ reader }: Manner): boolean {
  return reader === 'resets' || reader === 'stalls and resets';
}

export interface Addresses {
  readonly 4: string;
  readonly 6: string;
}

/** Where the receiver takes what is sent. */
export interface Target {
  readonly address: Addresses;
  readonly tcp: Readonly<Record<4 | 6, number>>;
  readonly udp: Readonly<Record<4 | 6, number>>;
}

export interface FarOrder {
  readonly seed: number;
  readonly address: Addresses;
  /** There is an actor that sends raw packets. */
  readonly raw: boolean;
}

/** What arrived on one connection until its end. */
export interface Arrived {
  readonly token: number;
  readonly bytes: number;
  /** `ended`: by a FIN; `reset`: by either side; `unsure`: one of the two. */
  readonly how: 'ended' | 'reset' | 'unsure';
}

/** What was sent on one connection, as its sender knows at its end. */
export interface Sent {
  readonly token: number;
  /** Released without an error: they arrived, unless the connection was reset. */
  readonly least: number;
  readonly most: number;
  /** Ended without an error on either side: all of it arrives. */
  readonly clean: boolean;
}

export interface Wrong {
  readonly channel: string;
  /** Unknown when not even the description of a datagram is right. */
  readonly token?: number;
  readonly sequence?: number;
  readonly offset: number;
  readonly bytes: number;
  /** The first wrong ones, in hexadecimal. */
  readonly sample: string;
}

export type Counts = Record<string, number>;

export type FromFar =
  | { event: 'listening'; target: Target }
  | { event: 'arrived'; arrived: Arrived }
  | { event: 'wrong'; wrong: Wrong }
  | { event: 'failed'; reason: string }
  | { event: 'quiet' }
  | { event: 'result'; counts: Counts };

export type ToFar =
  | { readonly order: FarOrder }
  /** Asks for bodies by http until told to stop. */
  | { readonly browse: { readonly host: string; readonly port: number; readonly clients: number } }
  | { readonly stopBrowsing: true }
  | { readonly finish: true };

/** How a sender ends: having closed everything, by process.exit(), or not before it is killed. */
export type SenderEnding = 'finish' | 'exit' | 'wait';

export interface SenderOrder {
  readonly target: Target;
  /** Of the sender itself. */
  readonly address: Addresses;
  readonly seed: number;
  /** For files; gone when the soak ends. */
  readonly folder: string;
  /** 0: the one that runs as long as the soak. */
  readonly processNumber: number;
  readonly actors: readonly ActorName[];
  readonly ending: SenderEnding;
  /** Absent: until told to stop. */
  readonly seconds?: number;
  /** Takes this many descriptors now and then, and lets them go. */
  readonly descriptorHog?: number;
  /** System calls of the addon fail: errors of the system are no failures of the soak. */
  readonly callsFail?: true;
}

/** What a process holds at one moment. */
export interface Sample {
  readonly seconds: number;
  readonly heapBytes: number;
  readonly rssBytes: number;
  readonly externalBytes: number;
  readonly sockets: number;
  readonly descriptors: number;
  /** Of rings: of io_uring and of packet sockets. */
  readonly ringMappings: number;
  readonly packetRings: number;
  readonly mappings: number;
  readonly openPorts: number;
  readonly pinnedBytes: number;
  /** Of a sample of buffers: how many were not collected. */
  readonly retainedBuffers: number;
}

export interface SenderResult {
  readonly counts: Counts;
  readonly failures: readonly string[];
  /** Before anything was sent, while all was sent, and when everything was closed. */
  readonly samples: readonly Sample[];
}

export type FromSender =
  | { event: 'ready'; httpPort?: number; absent: readonly string[] }
  | { event: 'sent'; sent: Sent }
  | { event: 'failed'; reason: string }
  | { event: 'result'; result: SenderResult };

export type ToSender = { readonly order: SenderOrder } | { readonly stop: true };
