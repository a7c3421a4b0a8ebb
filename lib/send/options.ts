// The options of the TCP layer: what a user may say, checked once, and what the rest of lib/ reads.
import { isAllowed } from '../memory/allowed-memory.js';
import { BufferPool } from '../memory/buffer-pool.js';
import { invalidType, outOfRange } from '../errors.js';
import { namesOf, optionsOf, warnOfMisplaced } from '../observe/options-object.js';
import { oneOf } from './arguments.js';
import { DEFAULT_SOCKET_BUDGET_BYTES } from '../policy/budget.js';
import { DEFAULT_LINGER_TIMEOUT_MS } from '../policy/linger.js';
import type { MutationVerdict } from '../memory/mutation.js';
import { isPoolMemory } from '../memory/pool-pins.js';
import { DEFAULT_THRESHOLD_BYTES, minimumChunkBytes } from '../policy/threshold.js';

const ENGINES = ['auto', 'msg_zerocopy', 'io_uring', 'copy'] as const;

export type EngineOption = (typeof ENGINES)[number];

/**
 * Options of enableZeroCopy(), and of `zeroCopy` where a socket or server is made upgraded. A wrong value throws
 * ERR_INVALID_ARG_TYPE or ERR_OUT_OF_RANGE; an unknown name is ignored, with a process warning (ZC_UNKNOWN_OPTION).
 */
export interface ZeroCopyOptions {
  /**
   * The engine that sends. `'auto'` (default): io_uring where kernel and container allow it (Linux 6.1), else
   * MSG_ZEROCOPY (Linux 4.14), else Node's own copying write. `'io_uring'` and `'msg_zerocopy'` by name, together
   * with a numeric `threshold`, do not pause where the kernel reports copies. Without a ring, `'io_uring'` sends by
   * MSG_ZEROCOPY, and `zeroCopy.reason` is `'io_uring-refused'`. Without either, bytes are copied, and
   * `zeroCopy.reason` says why. `'copy'` switches zero copy off at run time. The environment variable
   * MSG_ZEROCOPY_ENGINE overrides `'auto'`.
   */
  engine?: EngineOption;
  /**
   * Bytes from which a write goes zero-copy, an integer >= 0; 0 or 1: every write. Only chunks of at least 8 KiB
   * (or of the threshold, if that is less) count: small chunks never add up.
   * `'auto'` (default): 32 KiB for writes that follow each other; 128 KiB for a response (the first write after data
   * from the peer), and for a buffer that was just written to another connection; 32 KiB again for a response of a
   * busy http server, which shares a system call with others. `socket.zeroCopy.thresholds` shows them.
   * MSG_ZEROCOPY_THRESHOLD in the environment overrides `'auto'`: a number of bytes, or `static`, which has the values
   * of `'auto'` and, with an engine by name, does not pause where the kernel reports copies.
   */
  threshold?: number | 'auto';
  /**
   * Whose memory may be sent without copying. `'any'` (default); `'pool'`: pieces of any BufferPool
   * only; or a predicate, called once for each buffer that is large enough, within the call that passes the buffer.
   * If it throws, so does that call, and nothing is sent. Strings are encoded into this package's own memory, and
   * the predicate is not called for them.
   */
  source?: 'any' | 'pool' | ((chunk: Uint8Array) => boolean);
  /**
   * When a callback passed with data fires. `'release'` (default): when the memory is yours again.
   * `'accept'`: when the kernel took the bytes, as in plain Node, for data that never changes.
   */
  callbackAt?: 'release' | 'accept';
  /** Bytes of this socket that may be pinned at a time, an integer >= 0; more are copied. Default 16 MiB. */
  maxPendingBytes?: number;
  /**
   * Most bytes per second that the kernel sends of this connection, an integer > 0, or Infinity for no limit
   * (SO_MAX_PACING_RATE). The kernel spreads packets over time instead of sending bursts. Default: what the socket
   * has. Set at the upgrade, or as soon as the socket is connected, and in force for everything that it sends.
   * `zeroCopy.maxPacingRate` shows it. If it cannot be set, a process warning says so once (ZC_PACING).
   * Kernel: Linux 4.13 without the qdisc `fq`; rates of 4 GiB/s and more Linux 4.20.
   */
  maxPacingRate?: number;
  /**
   * After destroy(), milliseconds without any release or acknowledgement until the connection is
   * reset to get its memory back: an integer, 0 to 2,147,483,647. Default 30,000.
   */
  lingerTimeoutMs?: number;
  /**
   * What becomes of a `fs.ReadStream` of a regular file that is piped into the socket, or into a response on
   * it. `'auto'`: the kernel sends its bytes (sendfile(2)), and the stream reads none. `'off'`: it is read and written
   * as in plain Node. Default `'auto'`, with `engine: 'copy'` `'off'`. It does not concern sendFile().
   */
  files?: 'auto' | 'off';
  /**
   * For tests and staging: finds buffers that are changed, or detached, before they are released, and names
   * the line of the program that sent them. `true` or `'warn'`: a process warning (ZC_BUFFER_MUTATED) for
   * each place that sends; `'throw'`: the socket fails with ERR_ZC_BUFFER_MUTATED. Reads all memory that goes
   * zero-copy twice. Default `false`.
   */
  detectMutation?: boolean | 'warn' | 'throw';
  /**
   * Most bytes of consecutive small chunks (an HTTP header) that are copied into this package's own memory, to leave
   * in one send with the large chunk beside them: an integer >= 0. Default 4096.
   */
  maxStagedBytes?: number;
  /**
   * A pool into which these small chunks are copied, so that header and body of a response lie in the same registered
   * memory. Each response that the kernel references takes a page of the pool. Default: none.
   */
  pool?: BufferPool;
}

const NAMES: readonly string[] = namesOf<ZeroCopyOptions>({
  engine: true,
  threshold: true,
  source: true,
  callbackAt: true,
  maxPendingBytes: true,
  maxPacingRate: true,
  lingerTimeoutMs: true,
  files: true,
  detectMutation: true,
  maxStagedBytes: true,
  pool: true,
});

/** The names that no option of Node's has, nor of the http clients that pass theirs on to connect(). */
const DISTINCT_NAMES = NAMES.filter(
  (name) => !['engine', 'source', 'files', 'pool'].includes(name),
);

/** The options of zero copy among those of a socket or server. Warns of what lies beside them by mistake. */
export function zeroCopyOf(
  options: { readonly zeroCopy?: ZeroCopyOptions } | undefined,
): ZeroCopyOptions | undefined {
  if (typeof options !== 'object' || options === null) return undefined;
  warnOfMisplaced(options, 'zeroCopy', DISTINCT_NAMES);
  return options.zeroCopy;
}

export interface ResolvedOptions {
  readonly engine: EngineOption;
  readonly threshold: number;
  /** The user chose the threshold: it holds for responses, too. */
  readonly fixed: boolean;
  /** The program names engine and threshold: zero copy goes on where the kernel reports copies. */
  readonly insists: boolean;
  /** Writes of fewer bytes are always copied. */
  readonly floor: number;
  /** A chunk counts towards `threshold` from this size. */
  readonly minimumChunk: number;
  /** A chunk of so many bytes may go without copying. */
  readonly largeFrom: number;
  /** Whether a chunk's memory may be sent without copying, by what is known: calls no predicate. */
  readonly source: ((chunk: Uint8Array) => boolean) | undefined;
  /** The program's own predicate, to be asked about each chunk when it is handed over. */
  readonly ask: ((chunk: Uint8Array) => boolean) | undefined;
  /** Chunks are looked at when they are handed over: by `ask`, or for `detectMutation`. */
  readonly looksAtChunks: boolean;
  readonly holdCallbacks: boolean;
  readonly maxPendingBytes: number;
  /** Undefined: the socket keeps what it has. */
  readonly maxPacingRate: number | undefined;
  readonly lingerTimeoutMs: number;
  /** Streams of files go by the kernel. */
  readonly takesFiles: boolean;
  /** Undefined: buffers are not watched. */
  readonly detectMutation: MutationVerdict | undefined;
  /** The memory of writes is neither watched (`detectMutation`) nor subject to `source`. */
  readonly isUnwatched: boolean;
  readonly maxStagedBytes: number;
  /** Where small chunks are staged; undefined: in memory of the addon's. */
  readonly pool: BufferPool | undefined;
}

function size(name: string, value: unknown, unit: string): number {
  if (typeof value !== 'number') throw invalidType(name, `a number of ${unit}`, value);
  if (!Number.isInteger(value) || value < 0 || value > Number.MAX_SAFE_INTEGER) {
    throw outOfRange(name, `an integer number of ${unit} >= 0`, value);
  }
  return value;
}

/** Throws: ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE. */
function source(name: string, value: unknown): Pick<ResolvedOptions, 'source' | 'ask'> {
  if (value === 'pool') return { source: isPoolMemory, ask: undefined };
  if (typeof value === 'function')
    return { source: isAllowed, ask: value as (chunk: Uint8Array) => boolean };
  if (value !== undefined) oneOf(name, value, ['any', 'pool'], ' or a function');
  return { source: undefined, ask: undefined };
}

function engine(name: string, value: unknown): ResolvedOptions['engine'] {
  const chosen = oneOf(name, value === undefined ? 'auto' : value, ENGINES);
  const override = process.env['MSG_ZEROCOPY_ENGINE'];
  if (chosen !== 'auto' || override === undefined || override === '') return chosen;
  return oneOf('MSG_ZEROCOPY_ENGINE', override, ENGINES);
}

/** 'static' is 'auto' of a program that insists on its engine. */
function threshold(name: string, value: unknown): number | 'auto' | 'static' {
  if (typeof value === 'number') return size(name, value, 'bytes');
  if (value !== undefined && value !== 'auto')
    throw invalidType(name, "a number of bytes or 'auto'", value);
  const override = process.env['MSG_ZEROCOPY_THRESHOLD'];
  if (override === undefined || override === '' || override === 'auto') return 'auto';
  if (override === 'static') return 'static';
  if (/^\d+$/.test(override)) return Number(override);
  throw outOfRange('MSG_ZEROCOPY_THRESHOLD', "a number of bytes, 'auto' or 'static'", override);
}

/** Throws: ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE. */
function mutationVerdict(name: string, value: unknown): MutationVerdict | undefined {
  if (value === undefined || value === false) return undefined;
  if (value === true) return 'warn';
  return oneOf(name, value, ['warn', 'throw'], ', true or false');
}

/**
 * Checks options and fills in the defaults. Warns of options that do not exist.
 * @param name of the options, for errors and warnings
 * @param known the names that exist for this kind of socket
 * Throws: ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE.
 */
export function resolveOptions(
  options: ZeroCopyOptions | undefined,
  name: 'options' | 'options.zeroCopy' = 'options',
  known = NAMES,
): ResolvedOptions {
  const ofConnections = (key: string): string | undefined =>
    NAMES.includes(key as keyof ZeroCopyOptions)
      ? `Only connections have it. The options are ${known.join(', ')}`
      : undefined;
  const given = optionsOf(options, known, name, ofConnections) as ZeroCopyOptions;
  const chosen = threshold(`${name}.threshold`, given.threshold);
  const fixed = typeof chosen === 'number' ? chosen : undefined;
  const start = fixed ?? DEFAULT_THRESHOLD_BYTES;
  const { callbackAt: at = 'release' } = given;
  const callbackAt = oneOf(`${name}.callbackAt`, at, ['release', 'accept']);
  const engineName = engine(`${name}.engine`, given.engine);
  const memory = source(`${name}.source`, given.source);
  const verdict = mutationVerdict(`${name}.detectMutation`, given.detectMutation);
  const { files = engineName === 'copy' ? 'off' : 'auto' } = given;
  return Object.freeze({
    engine: engineName,
    threshold: start,
    fixed: fixed !== undefined,
    insists: engineName !== 'auto' && chosen !== 'auto',
    floor: Math.max(1, start),
    minimumChunk: minimumChunkBytes(start),
    largeFrom: engineName === 'copy' ? Infinity : minimumChunkBytes(start),
    ...memory,
    looksAtChunks: memory.ask !== undefined || verdict !== undefined,
    holdCallbacks: callbackAt === 'release',
    maxPendingBytes:
      given.maxPendingBytes === undefined
        ? DEFAULT_SOCKET_BUDGET_BYTES
        : size(`${name}.maxPendingBytes`, given.maxPendingBytes, 'bytes'),
    maxPacingRate:
      given.maxPacingRate === undefined
        ? undefined
        : pacingRate(`${name}.maxPacingRate`, given.maxPacingRate),
    lingerTimeoutMs:
      given.lingerTimeoutMs === undefined
        ? DEFAULT_LINGER_TIMEOUT_MS
        : timeout(`${name}.lingerTimeoutMs`, given.lingerTimeoutMs),
    takesFiles: oneOf(`${name}.files`, files, ['auto', 'off']) === 'auto',
    detectMutation: verdict,
    isUnwatched: memory.source === undefined && verdict === undefined,
    maxStagedBytes:
      given.maxStagedBytes === undefined
        ? DEFAULT_MAX_STAGED_BYTES
        : size(`${name}.maxStagedBytes`, given.maxStagedBytes, 'bytes'),
    pool: poolOf(`${name}.pool`, given.pool),
  });
}

function poolOf(name: string, pool: unknown): BufferPool | undefined {
  if (pool === undefined || pool instanceof BufferPool) return pool;
  throw invalidType(name, 'a BufferPool', pool);
}

function pacingRate(name: string, value: unknown): number {
  const expected = 'a number of bytes per second';
  if (typeof value !== 'number') throw invalidType(name, expected, value);
  if (value === Infinity || (Number.isSafeInteger(value) && value > 0)) return value;
  throw outOfRange(name, `an integer number of bytes per second > 0, or Infinity`, value);
}

/** An HTTP header and a short trailer. */
const DEFAULT_MAX_STAGED_BYTES = 4096;

/** The longest delay that a timer of Node's takes. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

function timeout(name: string, value: unknown): number {
  const milliseconds = size(name, value, 'milliseconds');
  if (milliseconds > LONGEST_TIMER_MS) {
    throw outOfRange(name, `<= ${LONGEST_TIMER_MS} milliseconds`, milliseconds);
  }
  return milliseconds;
}
