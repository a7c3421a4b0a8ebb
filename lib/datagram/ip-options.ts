// Options of one send that UDP and raw sockets share.
import { isIP } from 'node:net';
import { integer } from './options.js';
import { invalidType, outOfRange } from '../errors.js';
import { isAbortSignal } from '../send/arguments.js';

export interface CheckedIpOptions {
  readonly tos: number | undefined;
  readonly source: string | undefined;
  readonly interface: string | number | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Throws: ERR_INVALID_ARG_TYPE. */
export function checkText(name: string, value: unknown): string | undefined {
  if (value === undefined || typeof value === 'string') return value;
  throw invalidType(name, 'of type string', value);
}

/** Throws: ERR_INVALID_ARG_TYPE. */
export function checkSignal(signal: unknown): AbortSignal | undefined {
  if (signal === undefined || isAbortSignal(signal)) return signal;
  throw invalidType('options.signal', 'an instance of AbortSignal', signal);
}

/** Throws: ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE. */
export function checkIpOptions(
  options: {
    readonly tos?: unknown;
    readonly source?: unknown;
    readonly interface?: unknown;
    readonly signal?: unknown;
  },
  version: 4 | 6,
): CheckedIpOptions {
  const { tos, interface: through } = options;
  const source = checkText('options.source', options.source);
  if (source !== undefined && isIP(source) !== version) {
    throw outOfRange('options.source', `an IPv${version} address`, source);
  }
  if (through !== undefined && typeof through !== 'string' && typeof through !== 'number') {
    throw invalidType('options.interface', 'a name or an index', through);
  }
  if (typeof through === 'number') integer('options.interface', through, 1, 0x7fffffff);
  return {
    tos: tos === undefined ? undefined : integer('options.tos', tos, 0, 255),
    source,
    interface: through,
    signal: checkSignal(options.signal),
  };
}
