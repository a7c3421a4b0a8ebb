// The command line of `npm run soak`.
import { randomInt } from 'node:crypto';
import { readCommandLine, UsageError } from '../command-line';
import { ACTORS, CHILDREN, FAULTS, type Name, NAMES } from './names';

export const PLACES = ['rig', 'loopback'] as const;
export type PlaceName = (typeof PLACES)[number];

export const USAGE = `usage: npm run soak -- [options]

Sends by every kind of socket at once, ends them in every way, makes the network and the system fail
meanwhile, compares every byte at a receiver in another process, and checks what is left at the end.

  --minutes N      how long (default: 1)
  --seed S         repeats a run's choices (default: any; it is printed)
  --place PLACE    rig (default): two namespaces with real zero copy, needs root; loopback
  --only NAMES     of these only, separated by commas:
                     sockets    ${ACTORS.join(', ')}
                     processes  ${CHILDREN.join(', ')}
                     network    ${FAULTS.join(', ')} (rig only)
  --json           the report as JSON, on standard output

exit status: 0 all right; 1 a wrong byte, or anything left over or missing; 2 usage; 3 it could not run
here. Ctrl-C ends a run early, with its report.`;

export interface Arguments {
  readonly help: boolean;
  readonly json: boolean;
  readonly minutes: number;
  readonly seed: number;
  readonly place: PlaceName;
  readonly names: ReadonlySet<Name>;
}

const MOST_MINUTES = 7 * 24 * 60;
const SEEDS = 2 ** 31;

const OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  json: { type: 'boolean' },
  minutes: { type: 'string' },
  seed: { type: 'string' },
  place: { type: 'string' },
  only: { type: 'string' },
} as const;

/** Reads a command line. Throws: UsageError. */
export function parse(argv: readonly string[]): Arguments {
  const { values } = readCommandLine({ args: [...argv], options: OPTIONS });
  const { minutes = '1', seed, place = 'rig', only } = values;
  if (!(PLACES as readonly string[]).includes(place)) {
    throw new UsageError(`--place must be one of ${PLACES.join(', ')}, not ${place}`);
  }
  return {
    help: values.help === true,
    json: values.json === true,
    minutes: number('--minutes', minutes, 0.05, MOST_MINUTES),
    seed: seed === undefined ? randomInt(SEEDS) : Math.floor(number('--seed', seed, 0, SEEDS - 1)),
    place: place as PlaceName,
    names: new Set(only === undefined ? NAMES : only.split(',').map(toName)),
  };
}

function number(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= least && value <= most) return value;
  throw new UsageError(`${option} must be a number, ${least} to ${most}, not '${text}'`);
}

function toName(text: string): Name {
  const name = NAMES.find((one) => one === text.trim());
  if (name === undefined)
    throw new UsageError(`--only must be some of ${NAMES.join(', ')}, not '${text}'`);
  return name;
}
