// Checks of arguments and options, for every kind of socket. Wrong values throw ERR_INVALID_ARG_TYPE or
// ERR_OUT_OF_RANGE, unknown options cause a warning.
import { isUint8Array } from 'node:util/types';
import { invalidType, outOfRange } from '../errors.js';
import { rejectDetached } from '../memory/detached.js';
import { warnOnce } from '../observe/diagnostics.js';

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
  const { signal } = optionsObject(options) as { signal?: unknown };
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

export function optionsObject(value: unknown, name = 'options'): object {
  if (typeof value !== 'object' || value === null) throw invalidType(name, 'an object', value);
  return value;
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

// --- unknown names ------------------------------------------------------------------------------

interface Nearest {
  readonly name: string;
  /** How many letters differ. */
  readonly distance: number;
}

/** The known name that is most like `name`. @param known at least one */
export function nearestTo(name: string, known: readonly string[]): Nearest {
  const all = known.map((other) => ({ name: other, distance: distance(name, other) }));
  return all.sort((a, b) => a.distance - b.distance)[0] as Nearest;
}

/** How many letters have to be inserted, left out or replaced (Levenshtein). */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = (row[j - 1] as number) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[to.length] as number;
}

/**
 * Warns of options that do not exist, once for each name. They are ignored: a program may pass options of a later
 * version, or of its own.
 * @param name of the options, for the warning
 */
export function warnOfUnknown(name: string, given: object, known: readonly string[]): void {
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || known.includes(key)) continue;
    const nearest = nearestTo(key, known);
    const hint =
      nearest.distance <= key.length / 2
        ? `Did you mean "${nearest.name}"?`
        : `The options are ${known.join(', ')}`;
    const message = `The option "${name}.${key}" does not exist and is ignored. ${hint}`;
    warnOnce('ZC_UNKNOWN_OPTION', message, `ZC_UNKNOWN_OPTION ${key}`);
  }
}
