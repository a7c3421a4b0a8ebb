// Checks of arguments and of the values of options, for every kind of socket. Wrong ones throw ERR_INVALID_ARG_TYPE or
// ERR_OUT_OF_RANGE.
import { isUint8Array } from 'node:util/types';
import { invalidType, outOfRange } from '../errors.js';
import { rejectDetached } from '../memory/detached.js';
import { optionsOf } from '../observe/options-object.js';

export interface SendArguments {
  readonly list: readonly Uint8Array[];
  readonly bytes: number;
  readonly signal: AbortSignal | undefined;
}

/** Checks the arguments of send(). Throws: ERR_INVALID_ARG_TYPE, ERR_ZC_BUFFER_DETACHED. */
export function checkSend(data: unknown, options: unknown): SendArguments {
  const list = (Array.isArray(data) ? data : [data]) as readonly Uint8Array[];
  let bytes = 0;
  for (const item of list) {
    if (!isUint8Array(item)) {
      throw invalidType('data', 'a Buffer, a Uint8Array or an array of them', item);
    }
    rejectDetached(item);
    bytes += item.length;
  }
  if (options === undefined) return { list, bytes, signal: undefined };
  const { signal } = optionsOf(options, ['signal']) as { signal?: unknown };
  return { list, bytes, signal: checkSignal(signal) };
}

/** Whether `value` is an AbortSignal, of whatever realm: as Node's own check. */
export function isAbortSignal(value: unknown): value is AbortSignal {
  return typeof value === 'object' && value !== null && 'aborted' in value;
}

/** As Node's own for an aborted operation. */
export function abortError(signal: AbortSignal): Error {
  return Object.assign(new Error('The operation was aborted', { cause: signal.reason }), {
    name: 'AbortError',
    code: 'ABORT_ERR',
  });
}

export function integer(name: string, value: unknown, least: number, most: number): number {
  if (typeof value !== 'number') throw invalidType(name, 'a number', value);
  if (!Number.isInteger(value) || value < least || value > most) {
    throw outOfRange(name, `an integer >= ${least} and <= ${most}`, value);
  }
  return value;
}

/** An option that is off where it is absent. */
export function flag(name: string, value: unknown): boolean {
  if (value === undefined) return false;
  if (typeof value !== 'boolean') throw invalidType(name, 'a boolean', value);
  return value;
}

export function checkText(name: string, value: unknown): string | undefined {
  if (value === undefined || typeof value === 'string') return value;
  throw invalidType(name, 'of type string', value);
}

export function checkSignal(signal: unknown): AbortSignal | undefined {
  if (signal === undefined || isAbortSignal(signal)) return signal;
  throw invalidType('options.signal', 'an instance of AbortSignal', signal);
}

export function oneOf<const T extends string>(
  name: string,
  value: unknown,
  allowed: readonly T[],
  or = '',
): T {
  if (typeof value === 'string' && (allowed as readonly string[]).includes(value))
    return value as T;
  const list = allowed.map((item) => `'${item}'`).join(', ');
  if (typeof value === 'string') throw outOfRange(name, `one of ${list}${or}`, value);
  throw invalidType(name, `one of ${list}${or}`, value);
}
