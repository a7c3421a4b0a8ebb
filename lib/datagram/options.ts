// Options that UDP, raw and packet sockets share: what a user may say, checked once.
import { resolveOptions, type ResolvedOptions } from '../send/options.js';
import { checkSignal, integer, oneOf } from '../send/arguments.js';

/** Zero copy on a datagram socket. */
export interface DatagramZeroCopyOptions {
  /**
   * `'auto'` (default): MSG_ZEROCOPY where the kernel takes it for this kind of socket, else copies.
   * `'msg_zerocopy'` by name, with a `threshold` that is a number, goes on also where the kernel reports
   * copies. `'copy'` is the off switch.
   * The environment variable MSG_ZEROCOPY_ENGINE overrides `'auto'`.
   */
  engine?: 'auto' | 'msg_zerocopy' | 'copy';
  /**
   * Bytes from which one send goes zero-copy, counted before segmentation. `'auto'` (default): 32 KiB.
   * `socket.zeroCopy.thresholds` shows it. 0 or 1 forces everything. The environment variable
   * MSG_ZEROCOPY_THRESHOLD overrides `'auto'`.
   */
  threshold?: number | 'auto';
  /**
   * Whose memory may be sent without copying: any (default), pieces of a BufferPool, or by a predicate, asked
   * once about each buffer of a large datagram with a callback or promise, in the call that passes it. If the
   * predicate throws, so does that call, and nothing is sent.
   */
  source?: 'any' | 'pool' | ((chunk: Uint8Array) => boolean);
  /** Bytes of this socket that may be pinned at a time, beyond which is copied. Default 16 MiB. */
  maxPendingBytes?: number;
  /**
   * Bytes per second that the kernel sends of this socket at most: SO_MAX_PACING_RATE. It is a limit of the
   * kernel's pacing, which spreads packets over time instead of sending bursts. Infinity: none. Default: what
   * the socket has. Set when the socket gets its descriptor. `zeroCopy.maxPacingRate` shows it. Kernel: the
   * route's device needs the qdisc `fq` for it, which drops what would be too far ahead; rates of 4 GiB/s and
   * more Linux 4.20.
   */
  maxPacingRate?: number;
  /**
   * For tests and staging: finds buffers of large sends that are changed, or detached, before their
   * callback, and names the line of the program that sent them. `true` or `'warn'`: a process warning (ZC_BUFFER_MUTATED) for each
   * place that sends; `'throw'`: 'error' with ERR_ZC_BUFFER_MUTATED. Default `false`.
   */
  detectMutation?: boolean | 'warn' | 'throw';
}

interface QueueOptions {
  /** Bytes that may wait for space in the send buffer. Default 64 MiB. */
  maxQueuedBytes?: number;
  /**
   * What happens to a send beyond `maxQueuedBytes`. `'reject'` (default): its callback or promise gets
   * ERR_ZC_QUEUE_FULL, and nothing of it is sent. `'wait'`: it waits its turn, however long the queue is.
   */
  whenQueueFull?: 'reject' | 'wait';
}

export interface DatagramOptions extends QueueOptions {
  zeroCopy?: DatagramZeroCopyOptions;
  /** SO_RCVBUF and SO_SNDBUF in bytes; the kernel doubles them. */
  recvBufferSize?: number;
  sendBufferSize?: number;
  /** Closes the socket when aborted. */
  signal?: AbortSignal;
}

/** The names of `DatagramOptions`. */
export const DATAGRAM_NAMES: Record<keyof DatagramOptions, true> = {
  zeroCopy: true,
  recvBufferSize: true,
  sendBufferSize: true,
  signal: true,
  maxQueuedBytes: true,
  whenQueueFull: true,
};

export interface ResolvedDatagramOptions {
  readonly zeroCopy: ResolvedOptions;
  readonly maxQueuedBytes: number;
  readonly recvBufferSize: number;
  readonly sendBufferSize: number;
  readonly signal: AbortSignal | undefined;
}

const ENGINES = ['auto', 'msg_zerocopy', 'copy'] as const;
const DEFAULT_MAX_QUEUED_BYTES = 64 * 1024 * 1024;

function bufferSize(name: string, value: unknown): number {
  // node:dgram takes 0, null and undefined for the system's own.
  return value === undefined || value === null || value === 0
    ? 0
    : integer(name, value, 0, 0xffffffff);
}

function zeroCopyOptions(given: DatagramZeroCopyOptions | undefined): ResolvedOptions {
  const resolved = resolveOptions(given, 'options.zeroCopy');
  // The environment may name it, for the connections of the process.
  if (given?.engine !== undefined) oneOf('options.zeroCopy.engine', given.engine, ENGINES);
  return resolved;
}

/** Throws: ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE. */
export function resolveDatagramOptions(options: DatagramOptions): ResolvedDatagramOptions {
  const { signal, whenQueueFull = 'reject', maxQueuedBytes } = options;
  checkSignal(signal);
  oneOf('options.whenQueueFull', whenQueueFull, ['reject', 'wait']);
  const most =
    maxQueuedBytes === undefined
      ? DEFAULT_MAX_QUEUED_BYTES
      : integer('options.maxQueuedBytes', maxQueuedBytes, 0, Number.MAX_SAFE_INTEGER);
  return {
    zeroCopy: zeroCopyOptions(options.zeroCopy),
    maxQueuedBytes: whenQueueFull === 'wait' ? Infinity : most,
    recvBufferSize: bufferSize('options.recvBufferSize', options.recvBufferSize),
    sendBufferSize: bufferSize('options.sendBufferSize', options.sendBufferSize),
    signal,
  };
}
