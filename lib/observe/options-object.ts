// Objects with options: anything else throws, and a name that does not exist causes a warning.
import { invalidType } from '../errors.js';
import { warnOnce } from './diagnostics.js';

/** The names of the options of type T, of which none can be forgotten. */
export function namesOf<T>(names: Record<keyof T & string, true>): readonly (keyof T & string)[] {
  return Object.keys(names) as (keyof T & string)[];
}

/** A sentence about an option; undefined: it exists nowhere. */
type PlaceOf = (key: string) => string | undefined;

/**
 * The options that a function was given; undefined: none. Warns once of each name that does not exist, which is ignored:
 * a program may pass options of a later version, or of its own.
 * @param known the names that exist
 * @param name of the argument, for the error and the warning
 * @param placeOf says of a name that does not exist here where it does, for the warning
 * Throws: ERR_INVALID_ARG_TYPE.
 */
export function optionsOf(
  given: unknown,
  known: readonly string[],
  name = 'options',
  placeOf?: PlaceOf,
): object {
  if (given === undefined) return {};
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw invalidType(name, `an object (options: ${known.join(', ')})`, given);
  }
  // For every send with options: a list of the names would have to be made.
  for (const key in given) {
    if (known.includes(key)) continue;
    warnOfUnknown(name, given as Record<string, unknown>, key, known, placeOf);
  }
  return given;
}

function warnOfUnknown(
  name: string,
  given: Readonly<Record<string, unknown>>,
  key: string,
  known: readonly string[],
  placeOf?: PlaceOf,
): void {
  if (given[key] === undefined || !Object.hasOwn(given, key)) return;
  const place = placeOf?.(key);
  const nearest = nearestTo(key, known);
  const hint =
    nearest.distance <= key.length / 2
      ? `Did you mean "${nearest.name}"?`
      : `The options are ${known.join(', ')}`;
  const rest =
    place === undefined ? `does not exist and is ignored. ${hint}` : `is ignored. ${place}`;
  const message = `The option "${name}.${key}" ${rest}`;
  warnOnce('ZC_UNKNOWN_OPTION', message, `ZC_UNKNOWN_OPTION ${key}`);
}

/** Of an option that lies beside the object `nested`. */
export function belongsIn(nested: string, key: string): string {
  return `It belongs in "options.${nested}": { ${nested}: { ${key}: … } }`;
}

/**
 * Warns of options that lie beside the object `nested` and belong in it, and of `nested` in other letters. What else is
 * there is Node's, or the program's own.
 * @param inner names that only `nested` has
 */
export function warnOfMisplaced(given: object, nested: string, inner: readonly string[]): void {
  const options = given as Readonly<Record<string, unknown>>;
  for (const key in options) {
    if (options[key] === undefined || key === nested) continue;
    if (inner.includes(key)) {
      const message = `The option "options.${key}" is ignored. ${belongsIn(nested, key)}`;
      warnOnce('ZC_UNKNOWN_OPTION', message, `ZC_UNKNOWN_OPTION ${key}, misplaced`);
    } else if (key.length === nested.length && key.toLowerCase() === nested.toLowerCase()) {
      warnOfUnknown('options', options, key, [nested]);
    }
  }
}

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
