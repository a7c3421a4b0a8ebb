// The options of a process that `register` upgrades, from environment variables. An invalid value is refused, never
// guessed: a mistyped `copy` must not enable what it was meant to disable.
import { outOfRange } from '../errors.js';
import { resolveOptions, type ZeroCopyOptions } from '../send/options.js';
import { nearestTo } from '../observe/options-object.js';

/** What `msg-zerocopy/register` upgrades: connections of servers, of clients, and the files on either. */
const PARTS = ['server', 'client', 'files'] as const;
type Part = (typeof PARTS)[number];

export interface EnvironmentOptions {
  /** Which connections are upgraded; with `files` alone all of them, but only for files. */
  readonly include: ReadonlySet<Part>;
  readonly options: ZeroCopyOptions;
  /** Says on standard error what was upgraded. */
  readonly logs: boolean;
}

type Read<T> = (value: string) => T | undefined;

function oneOf<const T extends string>(...allowed: readonly T[]): { read: Read<T>; takes: string } {
  return {
    read: (value) => allowed.find((item) => item === value),
    takes: allowed.map((item) => `'${item}'`).join(' or '),
  };
}

const bytes = {
  read: (value: string) => (/^\d{1,15}$/.test(value) ? Number(value) : undefined),
  takes: 'a whole number of bytes',
};

const bytesPerSecond = {
  read: (value: string) => (/^[1-9]\d{0,14}$/.test(value) ? Number(value) : undefined),
  takes: 'a whole number of bytes per second > 0',
};

const LONGEST_TIMER_MS = 2 ** 31 - 1;

const milliseconds = {
  read: (value: string) =>
    /^\d{1,10}$/.test(value) && Number(value) <= LONGEST_TIMER_MS ? Number(value) : undefined,
  takes: `a whole number of milliseconds, up to ${LONGEST_TIMER_MS}`,
};

// MSG_ZEROCOPY_ENGINE and MSG_ZEROCOPY_THRESHOLD are read with the defaults of every upgrade.
const OPTIONS = {
  MSG_ZEROCOPY_SOURCE: { option: 'source', ...oneOf('any', 'pool') },
  MSG_ZEROCOPY_CALLBACK_AT: { option: 'callbackAt', ...oneOf('release', 'accept') },
  MSG_ZEROCOPY_MAX_PENDING_BYTES: { option: 'maxPendingBytes', ...bytes },
  MSG_ZEROCOPY_MAX_PACING_RATE: { option: 'maxPacingRate', ...bytesPerSecond },
  MSG_ZEROCOPY_MAX_STAGED_BYTES: { option: 'maxStagedBytes', ...bytes },
  MSG_ZEROCOPY_LINGER_TIMEOUT_MS: { option: 'lingerTimeoutMs', ...milliseconds },
  MSG_ZEROCOPY_DETECT_MUTATION: { option: 'detectMutation', ...oneOf('warn', 'throw') },
} as const satisfies Record<
  string,
  { option: keyof ZeroCopyOptions; read: Read<string | number>; takes: string }
>;

/** Read elsewhere, or by this project's own tests and tools. */
const OTHERS = [
  'MSG_ZEROCOPY_ENGINE',
  'MSG_ZEROCOPY_THRESHOLD',
  'MSG_ZEROCOPY_ADDON',
  'MSG_ZEROCOPY_INCLUDE',
  'MSG_ZEROCOPY_LOG',
];
const OF_DEVELOPERS = /^MSG_ZEROCOPY_(TEST_|SELFTEST_|FUZZ_|FAIL|RING_ENTRIES|SANITIZE|THREAD$)/;

type Environment = Readonly<Record<string, string | undefined>>;

function include(environment: Environment): ReadonlySet<Part> {
  const value = environment['MSG_ZEROCOPY_INCLUDE'];
  if (value === undefined || value === '') return new Set(PARTS);
  const parts = value.split(',').map((part) => part.trim());
  for (const part of parts) {
    if (!(PARTS as readonly string[]).includes(part)) {
      const allowed = `a comma-separated list of ${PARTS.join(', ')}`;
      throw outOfRange('MSG_ZEROCOPY_INCLUDE', allowed, value);
    }
  }
  return new Set(parts as Part[]);
}

function logs(environment: Environment): boolean {
  const value = environment['MSG_ZEROCOPY_LOG'];
  if (value === undefined || value === '' || value === '0') return false;
  if (value === '1') return true;
  throw outOfRange('MSG_ZEROCOPY_LOG', "'1' or '0'", value);
}

/**
 * Reads the options with which to upgrade the process. Variables that are empty count as absent.
 * Throws: ERR_OUT_OF_RANGE, with the variable's name, what it takes and what it was.
 */
export function environmentOptions(environment: Environment = process.env): EnvironmentOptions {
  const options: Record<string, unknown> = {};
  for (const [variable, { option, read, takes }] of Object.entries(OPTIONS)) {
    const value = environment[variable];
    if (value === undefined || value === '') continue;
    const found = read(value);
    if (found === undefined) throw outOfRange(variable, takes, value);
    options[option] = found;
  }
  const parts = include(environment);
  const chosen = { ...options, ...forParts(parts, environment) };
  resolveOptions(chosen); // and with it the variables that it reads by itself
  return { include: parts, options: chosen, logs: logs(environment) };
}

function forParts(parts: ReadonlySet<Part>, environment: Environment): ZeroCopyOptions {
  if (!parts.has('files')) return { files: 'off' };
  if (parts.size > 1) return {};
  // What is off is off, whatever else is wanted.
  const isOff = environment['MSG_ZEROCOPY_ENGINE'] === 'copy';
  return { engine: 'copy', files: isOff ? 'off' : 'auto' };
}

/** Variables with this package's prefix that it does not read, each with the name that was perhaps meant. */
export function unknownVariables(
  environment: Environment = process.env,
): readonly { readonly name: string; readonly nearest: string }[] {
  const known = [...Object.keys(OPTIONS), ...OTHERS];
  const unknown = Object.keys(environment).filter(
    (name) =>
      name.startsWith('MSG_ZEROCOPY_') && !known.includes(name) && !OF_DEVELOPERS.test(name),
  );
  return unknown.map((name) => ({ name, nearest: nearestTo(name, known).name }));
}
