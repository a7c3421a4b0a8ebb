// Where the addon may be, in order, and which one to take. Pure: binding.ts does the loading.
import { VERSION } from '../version.js';

/** Systems that a binary is published for: the names of their packages, less the scope. */
export const PLATFORMS = [
  'linux-x64-gnu',
  'linux-arm64-gnu',
  'linux-x64-musl',
  'linux-arm64-musl',
] as const;

export type Platform = (typeof PLATFORMS)[number];

export function platformPackage(platform: Platform): string {
  return `@msg-zerocopy/${platform}`;
}

/** What the choice depends on. */
export interface Host {
  readonly platform: string;
  readonly arch: string;
  /** The family of the C library; null if unknown. Called late, because it reads files. May throw. */
  libc(): string | null;
  /** Whether this code lies in its own package, not in a bundle. Called late, because it reads a file. */
  isInPackage(): boolean;
  /** Node's permission model is on. */
  readonly hasPermissions: boolean;
  /** MSG_ZEROCOPY_ADDON in the environment. */
  readonly override: string | undefined;
  /** Whether the environment was set by another user than the process acts for (set-user-ID). */
  readonly isSetUid: boolean;
}

/** Loaders of an addon; each throws where there is none. */
interface Doors<T> {
  file(path: string): T;
  localBuild(): T;
  installed(platform: Platform): T;
}

/** Why there is no addon. */
export interface Missing {
  readonly native?: undefined;
  readonly reason: 'addon-unavailable' | 'runtime-unsupported';
  /** What was tried, and the remedy. */
  readonly why: string;
  /** What to type or to set, if there is something. */
  readonly remedy?: string;
}

export type Choice<T> = { readonly native: T } | Missing;

interface Versioned {
  readonly version: string;
}

type Attempt<T> = { readonly native: T } | { readonly failure: string; readonly code: unknown };

/** The reason of an attempt that found another version. */
const OTHER_VERSION = 'ERR_OTHER_VERSION';

const LOCAL = 'local build';
const NOT_INSTALLED = 'not installed';
const BUILD = 'npx msg-zerocopy build';
const UNBUNDLE =
  "name msg-zerocopy in the bundler's `external` setting (esbuild --external:msg-zerocopy) and install it " +
  "beside the bundle, or set MSG_ZEROCOPY_ADDON to the addon's file";

/**
 * Runtimes with Node's interfaces but not all of libuv's. An addon that calls a missing function aborts the process
 * without warning.
 */
export function refuseRuntime(versions: Readonly<Record<string, unknown>>): Missing | undefined {
  const name = ['Bun', 'Deno'].find((known) => versions[known.toLowerCase()] !== undefined);
  if (name === undefined) return undefined;
  const why = `${name} lacks parts of libuv that the addon needs: run the program with Node`;
  return { reason: 'runtime-unsupported', why };
}

export function missing(why: string, remedy?: string): Missing {
  if (remedy === undefined) return { reason: 'addon-unavailable', why };
  return { reason: 'addon-unavailable', why: `${why}; remedy: ${remedy}`, remedy };
}

/**
 * The first addon that loads and has this version: MSG_ZEROCOPY_ADDON (a path, and then nothing else is tried;
 * or 'off'), the local build, the platform's package.
 */
export function chooseAddon<T extends Versioned>(host: Host, doors: Doors<T>): Choice<T> {
  const { override = '' } = host;
  if (override === 'off') {
    return { ...missing('MSG_ZEROCOPY_ADDON=off'), remedy: 'unset MSG_ZEROCOPY_ADDON' };
  }
  if (host.platform !== 'linux') return missing(`no MSG_ZEROCOPY on ${host.platform}`);
  if (override !== '' && !host.isSetUid) {
    const named = tryDoor(`MSG_ZEROCOPY_ADDON=${override}`, () => doors.file(override));
    if ('native' in named) return named;
    return missing(named.failure, forbidden(host, named) ?? `${BUILD} --output ${override}`);
  }
  const tried: string[] = [];
  // As secure_getenv(3): a path is code, and the caller of a set-user-ID program must not choose it.
  if (override !== '') tried.push('MSG_ZEROCOPY_ADDON is ignored in a set-user-ID process');
  const isInPackage = host.isInPackage();
  if (!isInPackage) tried.push('this code was moved out of its package, as bundlers do');
  let remedy: string | undefined;
  const lacking: string[] = [];
  for (const [title, open] of candidates(host, doors, isInPackage, tried)) {
    const attempt = tryDoor(title, open);
    if ('native' in attempt) return attempt;
    tried.push(attempt.failure);
    remedy ??= forbidden(host, attempt);
    if (title !== LOCAL && isLacking(attempt)) lacking.push(title);
  }
  return missing(tried.join('; '), remedy ?? (isInPackage ? obtain(lacking) : UNBUNDLE));
}

/**
 * The package with the binary, which was left out (`--omit=optional`, a lock file of another platform), comes before a
 * compiler. If the right package is unknown, only the compiler is left.
 */
function obtain(lacking: readonly string[]): string {
  const [name] = lacking;
  if (name === undefined || lacking.length > 1) return BUILD;
  return `npm install ${name}@${VERSION}, or compile it: ${BUILD}`;
}

/** What may be loaded, in order; `tried` collects platforms without a package. */
function* candidates<T>(
  host: Host,
  doors: Doors<T>,
  isInPackage: boolean,
  tried: string[],
): Generator<[title: string, open: () => T]> {
  // Elsewhere a build/Release three folders up is another package's.
  if (isInPackage) yield [LOCAL, () => doors.localBuild()];
  const system = `linux-${host.arch}-${libcOf(host)}`;
  // If the C library is unknown, npm still installed the right one, and the other does not load.
  const platforms = PLATFORMS.filter((known) => known.startsWith(system));
  if (platforms.length === 0) tried.push(`no binary is published for ${system}`);
  for (const platform of platforms) {
    yield [platformPackage(platform), () => doors.installed(platform)];
  }
}

/** As in the names of platforms; empty if unknown. */
function libcOf(host: Host): string {
  try {
    const family = host.libc();
    return family === 'glibc' ? 'gnu' : (family ?? '');
  } catch {
    return '';
  }
}

function tryDoor<T extends Versioned>(title: string, open: () => T): Attempt<T> {
  try {
    const native = open();
    const { version } = native;
    // The surface between the two sides changes without further notice, and a wrong one crashes.
    if (version === VERSION) return { native };
    const failure = `${title}: refused, its version is ${version}, not ${VERSION}`;
    return { failure, code: OTHER_VERSION };
  } catch (error) {
    return { failure: `${title}: ${reasonOf(error)}`, code: codeOf(error) };
  }
}

/** The remedy where Node's flags forbid addons. */
function forbidden(host: Host, { code }: { readonly code: unknown }): string | undefined {
  if (code !== 'ERR_DLOPEN_DISABLED') return undefined;
  return host.hasPermissions ? 'start Node with --allow-addons' : 'start Node without --no-addons';
}

/** Whether installing the package would help: if it is installed and does not load, another copy will not either. */
function isLacking(attempt: { readonly failure: string; readonly code: unknown }): boolean {
  return attempt.failure.endsWith(NOT_INSTALLED) || attempt.code === OTHER_VERSION;
}

function codeOf(error: unknown): unknown {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const [line = ''] = error.message.split('\n');
  // Whose requirers follow: nothing that the title does not say.
  if (codeOf(error) === 'MODULE_NOT_FOUND' && line.includes("'@msg-zerocopy/"))
    return NOT_INSTALLED;
  return line;
}
