// Options that UDP, raw and packet sockets share: what a user may say, checked once.
import { belongsIn, namesOf, optionsOf } from '../observe/options-object.js';
import { resolveOptions, type ResolvedOptions } from '../send/options.js';
import { checkSignal, integer, oneOf } from '../send/arguments.js';

/** Zero copy on a datagram socket. */
export interface DatagramZeroCopyOptions {
  /**
   * `'auto'` (default): MSG_ZEROCOPY where the kernel supports it for this kind of socket, else copies.
   * `'msg_zerocopy'` by name, together with a numeric `threshold`, does not pause where the kernel reports
   * copies. `'copy'` switches zero copy off.
   * The environment variable MSG_ZEROCOPY_ENGINE overrides `'auto'`.
   */
  engine?: 'auto' | 'msg_zerocopy' | 'copy';
  /**
   * Bytes from which one send goes zero-copy, counted before segmentation: an integer >= 0; 0 or 1: every send.
   * `'auto'` (default): 32 KiB. `socket.zeroCopy.thresholds` shows it. The environment variable
   * MSG_ZEROCOPY_THRESHOLD overrides `'auto'`.
   */
  threshold?: number | 'auto';
  /**
   * Whose memory may be sent without copying. `'any'` (default); `'pool'`: pieces of any BufferPool only; or a
   * predicate, called once for each buffer of a large datagram with a callback or promise, within the call that passes
   * it. If it throws, so does that call, and nothing is sent.
   */
  source?: 'any' | 'pool' | ((chunk: Uint8Array) => boolean);
  /** Bytes of this socket that may be pinned at a time, an integer >= 0; more are copied. Default 16 MiB. */
  maxPendingBytes?: number;
  /**
   * Most bytes per second that the kernel sends of this socket, an integer > 0, or Infinity for no limit
   * (SO_MAX_PACING_RATE). The kernel spreads packets over time instead of sending bursts. Default: what the socket
   * has. Set when the socket gets its descriptor. `zeroCopy.maxPacingRate` shows it. If it cannot be set, a process
   * warning says so once (ZC_PACING). Kernel: the route's device needs the qdisc `fq`, which drops packets that would
   * leave too far in the future; rates of 4 GiB/s and more need Linux 4.20.
   */
  maxPacingRate?: number;
  /**
   * For tests and staging: finds buffers of large sends that are changed, or detached, before their
   * callback, and names the line of the program that sent them. `true` or `'warn'`: a process warning (ZC_BUFFER_MUTATED) for each
   * place that sends; `'throw'`: 'error' with ERR_ZC_BUFFER_MUTATED. Default `false`.
   */
  detectMutation?: boolean | 'warn' | 'throw';
}

const ZERO_COPY_NAMES = namesOf<DatagramZeroCopyOptions>({
  engine: true,
  threshold: true,
  source: true,
  maxPendingBytes: true,
  maxPacingRate: true,
  detectMutation: true,
});

interface QueueOptions {
  /** Bytes that may wait for space in the send buffer, an integer >= 0. Default 64 MiB. */
  maxQueuedBytes?: number;
  /**
   * What happens to a send beyond `maxQueuedBytes`. `'reject'` (default): its callback or promise gets
   * ERR_ZC_QUEUE_FULL, and nothing of it is sent. `'wait'`: it waits its turn, however long the queue is.
   */
  whenQueueFull?: 'reject' | 'wait';
}

export interface DatagramOptions extends QueueOptions {
  /** Which sends go without a copy. */
  zeroCopy?: DatagramZeroCopyOptions;
  /** SO_RCVBUF in bytes, an integer < 2^32; the kernel doubles it. 0 (default): the system's. */
  recvBufferSize?: number;
  /** SO_SNDBUF in bytes, an integer < 2^32; the kernel doubles it. 0 (default): the system's. */
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

/** As optionsOf(): the options of a datagram socket, among them `zeroCopy`, in which some belong. */
export function socketOptionsOf(given: unknown, known: readonly string[]): object {
  return optionsOf(given, known, 'options', (key) =>
    ZERO_COPY_NAMES.some((name) => name === key) ? belongsIn('zeroCopy', key) : undefined,
  );
}

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
  const resolved = resolveOptions(given, 'options.zeroCopy', ZERO_COPY_NAMES);
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
