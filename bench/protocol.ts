// What the runner orders from its children and what they answer. Types only: both sides import it.
import type { Contestant, Pattern, Produce } from './options';

/** Sums since the start of the process. Times of the process in µs, `at` in ms. */
export interface Snapshot {
  at: number;
  user: number;
  system: number;
  /** Run time in ns of the kernel threads that work for the sender on its CPU. */
  kernelThreads: number;
  /** Time in ns the main thread was ready to run and had no CPU. */
  waited: number;
  bytes: number;
  /** Writes of a stream, requests of a server, datagrams, frames. */
  writes: number;
  /** Absent for a contestant that knows no zero copy. */
  zeroCopy?: ZeroCopyTotals;
}

/** The counters of `socket.zeroCopy.stats` that tell how the bytes travelled. */
export type ZeroCopyTotals = Record<string, number>;

export interface Result {
  event: 'result';
  start: Snapshot;
  end: Snapshot;
  engine?: string;
  state?: string;
  reason?: string;
  /** Why the contestant's pool is not registered with the ring. */
  poolReason?: string;
  /** Part of the window, 0 to 1, in which the event loop did not wait. */
  loopUtilization?: number;
}

/** What the load generator says: latencies in µs. */
export interface LoadResult {
  event: 'load';
  requests: number;
  p50: number;
  p99: number;
  /** Part of one CPU, 0 to 1, that it used itself. */
  busy: number;
}

export interface WindowOrder {
  contestant: Contestant;
  warmup: number;
  seconds: number;
  /** The schedstat files of the kernel threads that count. */
  kernelThreads: string[];
}

export interface StreamOrder extends WindowOrder {
  address: string;
  port: number;
  size: number;
  footprint: number;
  pattern: Pattern;
}

/** Of senders that use a number of source buffers in turn. */
export interface DatagramOrder extends WindowOrder {
  address: string;
  port: number;
  /** Bytes of one send. */
  size: number;
  /** Bytes of one datagram: less than `size` where the kernel is to cut it up. */
  segment: number;
  buffers: number;
}

export interface FrameOrder extends WindowOrder {
  device: string;
  /** Bytes from the IP header on. */
  size: number;
  /** UDP payload of the packets the device is to cut a frame into; 0: none. */
  segment: number;
  /** Source buffers, or frames of the ring. */
  buffers: number;
  /** Frames that are produced, then sent together. */
  batch: number;
  produce: Produce;
}

export interface ReceiveOrder extends WindowOrder {
  address: string;
  segment: number;
}

/** Sockets that write in turn, each its next when its last was taken. */
export interface ConnectionsOrder extends WindowOrder {
  address: string;
  port: number;
  size: number;
  footprint: number;
  connections: number;
}

/** One message to every connection, so often. */
export interface BroadcastOrder extends WindowOrder {
  address: string;
  port: number;
  size: number;
  connections: number;
  everyMs: number;
  /** By the sockets themselves, or as the sender of `ws` writes a message: a header, and the message. */
  by: 'write' | 'ws';
}

/** Bodies of one size. */
export interface BodyPart {
  bytes: number;
  /** Different ones, which are sent in turn. */
  bodies: number;
  /** How often they are sent, as a whole number beside those of the other parts. */
  weight: number;
}

export interface ServerOrder extends WindowOrder {
  address: string;
  parts: readonly BodyPart[];
  /** Bytes of the answer to slow readers, who ask for SLOW_PATH. It is not counted. */
  slowBytes?: number;
  /** It says a snapshot for each line of its standard input, instead of a window's. */
  answersSnapshots?: true;
}

export const SLOW_PATH = '/slow';

/** Who asks for SLOW_PATH, again and again, and reads some of it every few milliseconds. */
export interface SlowReadersOrder {
  address: string;
  port: number;
  readers: number;
}

/** Every answer is one file. Each line that it reads asks for a snapshot. */
export interface FileServerOrder {
  contestant: Contestant;
  address: string;
  /** The schedstat files of the kernel threads that count. */
  kernelThreads: string[];
  /** Its name is index.html, and its folder has nothing else. */
  file: string;
  /** Of an answer: its length, or that of a slice. */
  bytes: number;
  /** So many answers make up the file, and each request gets the next; absent: the file is the answer. */
  slices?: number;
}

/** Who is looked at while it works, for so many seconds. */
export interface RecorderOrder {
  contestant: Contestant;
  address: string;
  seconds: number;
  everyMs: number;
  /** A stream of writes of one size into a sink, or a server's answers. */
  work: { kind: 'stream'; port: number; size: number } | { kind: 'http'; parts: BodyPart[] };
}

/** What a socket said at one time; sums since the start of the process. */
export interface Moment {
  /** Since the recording began. */
  ms: number;
  bytes: number;
  /** CPU time of the process in µs. */
  cpu: number;
  /** Absent, as all below, for a contestant that knows no zero copy. */
  engine?: string;
  state?: string;
  reason?: string;
  /** Bytes; absent where no size goes zero-copy. */
  streamThreshold?: number;
  responseThreshold?: number;
}

export interface IdleServerOrder {
  contestant: Contestant;
  address: string;
  connections: number;
  /** Bytes every connection gets before it idles; 0 for none. */
  greeting: number;
  settleSeconds: number;
}

export interface IdleClientsOrder {
  address: string;
  port: number;
  connections: number;
  greeting: number;
}

export interface MemoryFigures {
  rss: number;
  heap: number;
  external: number;
  descriptors: number;
}

export interface GrowthServerOrder {
  contestant: Contestant;
  address: string;
  seconds: number;
  sampleSeconds: number;
}

export interface GrowthClientsOrder {
  address: string;
  port: number;
  connections: number;
}
