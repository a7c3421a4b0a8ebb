// The options of the TCP layer: what a user may say, checked once, and what the rest of lib/ reads.
import { invalidType, outOfRange } from './errors.js';
import { DEFAULT_SOCKET_BUDGET_BYTES } from './policy/budget.js';
import { DEFAULT_LINGER_TIMEOUT_MS } from './policy/linger.js';
import {
  DEFAULT_RESPONSE_THRESHOLD_BYTES,
  DEFAULT_THRESHOLD_BYTES,
  minimumChunkBytes,
} from './policy/threshold.js';

export interface ZeroCopyOptions {
  /**
   * Who sends large writes. `'auto'` (default): MSG_ZEROCOPY where kernel and addon allow it, else
   * Node's own copying write. `'msg_zerocopy'` by name goes on also where the kernel reports copies,
   * instead of pausing. `'copy'` is the runtime off switch. The environment variable
   * MSG_ZEROCOPY_ENGINE overrides `'auto'`.
   */
  engine?: 'auto' | 'msg_zerocopy' | 'copy';
  /**
   * Bytes from which a write goes zero-copy. `'auto'` (default): 32 KiB in a stream, 128 KiB for the
   * first write after data of the peer (a response), which pays for a wake-up of its own.
   * Counted over the chunks of one write that have at least 8 KiB each: small chunks never add up.
   * 0 or 1 forces everything.
   */
  threshold?: number | 'auto';
  /**
   * Whose memory may be sent without copying. `'any'` (default), or a predicate called with each
   * chunk that is large enough. Strings are encoded into memory of this package's own first.
   */
  source?: 'any' | ((chunk: Uint8Array) => boolean);
  /**
   * When a callback passed with data fires. `'release'` (default): when the memory is yours again.
   * `'accept'`: when the kernel took the bytes, as in plain Node, for data that never changes.
   */
  callbackAt?: 'release' | 'accept';
  /** Bytes of this socket that may be pinned at a time, beyond which is copied. Default 16 MiB. */
  maxPendingBytes?: number;
  /**
   * After destroy(), milliseconds without any release or acknowledgement until the connection is
   * reset to get its memory back. Default 30,000.
   */
  lingerTimeoutMs?: number;
}

export interface ResolvedOptions {
  readonly engine: 'auto' | 'msg_zerocopy' | 'copy';
  readonly threshold: number;
  /** The threshold of the first write after data of the peer. */
  readonly responseThreshold: number;
  /** A chunk counts towards `threshold` from this size. */
  readonly minimumChunk: number;
  readonly source: ((chunk: Uint8Array) => boolean) | undefined;
  readonly holdCallbacks: boolean;
  readonly maxPendingBytes: number;
  readonly lingerTimeoutMs: number;
}

function oneOf<T extends string>(name: string, value: unknown, allowed: readonly T[], or = ''): T {
  if (typeof value === 'string' && (allowed as readonly string[]).includes(value))
    return value as T;
  const list = allowed.map((item) => `'${item}'`).join(', ');
  if (typeof value === 'string') throw outOfRange(name, `one of ${list}${or}`, `'${value}'`);
  throw invalidType(name, `one of ${list}${or}`, value);
}

function size(name: string, value: unknown, unit: string): number {
  if (typeof value !== 'number') throw invalidType(name, `a number of ${unit}`, value);
  if (!Number.isInteger(value) || value < 0 || value > Number.MAX_SAFE_INTEGER) {
    throw outOfRange(name, `an integer number of ${unit} >= 0`, value);
  }
  return value;
}

function source(value: unknown): ((chunk: Uint8Array) => boolean) | undefined {
  if (value === undefined || value === 'any') return undefined;
  if (typeof value === 'function') return value as (chunk: Uint8Array) => boolean;
  oneOf('options.source', value, ['any'], ' or a function');
  return undefined;
}

function engine(value: unknown): ResolvedOptions['engine'] {
  const engines = ['auto', 'msg_zerocopy', 'copy'] as const;
  const chosen = oneOf('options.engine', value === undefined ? 'auto' : value, engines);
  const override = process.env['MSG_ZEROCOPY_ENGINE'];
  if (chosen !== 'auto' || override === undefined || override === '') return chosen;
  return oneOf('MSG_ZEROCOPY_ENGINE', override, engines);
}

/**
 * Checks options and fills in the defaults.
 * Throws: ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE.
 */
export function resolveOptions(options: ZeroCopyOptions | undefined): ResolvedOptions {
  if (options !== undefined && (typeof options !== 'object' || options === null)) {
    throw invalidType('options', 'an object', options);
  }
  const given = options ?? {};
  const fixed =
    given.threshold === undefined || given.threshold === 'auto'
      ? undefined
      : size('options.threshold', given.threshold, 'bytes');
  const threshold = fixed ?? DEFAULT_THRESHOLD_BYTES;
  const { callbackAt: at = 'release' } = given;
  const callbackAt = oneOf('options.callbackAt', at, ['release', 'accept']);
  return Object.freeze({
    engine: engine(given.engine),
    threshold,
    responseThreshold: fixed ?? DEFAULT_RESPONSE_THRESHOLD_BYTES,
    minimumChunk: minimumChunkBytes(threshold),
    source: source(given.source),
    holdCallbacks: callbackAt === 'release',
    maxPendingBytes:
      given.maxPendingBytes === undefined
        ? DEFAULT_SOCKET_BUDGET_BYTES
        : size('options.maxPendingBytes', given.maxPendingBytes, 'bytes'),
    lingerTimeoutMs:
      given.lingerTimeoutMs === undefined
        ? DEFAULT_LINGER_TIMEOUT_MS
        : timeout('options.lingerTimeoutMs', given.lingerTimeoutMs),
  });
}

/** The longest delay that a timer of Node's takes. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

function timeout(name: string, value: unknown): number {
  const milliseconds = size(name, value, 'milliseconds');
  if (milliseconds > LONGEST_TIMER_MS) {
    throw outOfRange(name, `<= ${LONGEST_TIMER_MS} milliseconds`, milliseconds);
  }
  return milliseconds;
}
