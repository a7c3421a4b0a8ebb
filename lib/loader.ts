// Where the addon may be, in order, and which one is taken. Knows no file and loads nothing: binding.ts
// has the doors.
import { VERSION } from './version.js';

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
  /** The family of the C library; null where nobody can tell. Asked late: it reads files. */
  libc(): string | null;
  /** MSG_ZEROCOPY_ADDON in the environment. */
  readonly override: string | undefined;
  /** Whether the user who wrote the environment is another one than the process acts for. */
  readonly isSetUid: boolean;
}

/** Ways to load an addon; each throws where there is none. */
export interface Doors<T> {
  file(path: string): T;
  localBuild(): T;
  installed(packageName: string): T;
}

export type Choice<T> =
  | { readonly native: T; readonly why?: undefined }
  | { readonly native?: undefined; readonly why: string };

interface Versioned {
  readonly version: string;
}

const REMEDY = 'remedy: npx msg-zerocopy build';

/**
 * The first that loads and has this version: MSG_ZEROCOPY_ADDON (a path, and then nothing else is tried;
 * or 'off'), the local build, the platform's package.
 */
export function chooseAddon<T extends Versioned>(host: Host, doors: Doors<T>): Choice<T> {
  const { override = '' } = host;
  if (override === 'off') return { why: 'MSG_ZEROCOPY_ADDON=off' };
  if (host.platform !== 'linux') return { why: `no MSG_ZEROCOPY on ${host.platform}` };
  if (override !== '' && !host.isSetUid) {
    const named = tryDoor(`MSG_ZEROCOPY_ADDON=${override}`, () => doors.file(override));
    if (named.why === undefined) return named;
    return { why: `${named.why}; remedy: npx msg-zerocopy build --output ${override}` };
  }
  const tried: string[] = [];
  // As secure_getenv(3): a path is code, and who runs a set-user-ID program must not choose its code.
  if (override !== '') tried.push('MSG_ZEROCOPY_ADDON is ignored in a set-user-ID process');
  const local = tryDoor('local build', () => doors.localBuild());
  if (local.why === undefined) return local;
  tried.push(local.why);
  const published = tryPublished(host, doors);
  if (published.why === undefined) return published;
  return { why: [...tried, published.why, REMEDY].join('; ') };
}

function tryPublished<T extends Versioned>(host: Host, doors: Doors<T>): Choice<T> {
  const libc = host.libc();
  const system = `linux-${host.arch}-${libc === 'glibc' ? 'gnu' : (libc ?? 'unknown')}`;
  const platform = PLATFORMS.find((known) => known === system);
  if (platform === undefined) return { why: `no binary is published for ${system}` };
  const name = platformPackage(platform);
  return tryDoor(name, () => doors.installed(name));
}

function tryDoor<T extends Versioned>(title: string, open: () => T): Choice<T> {
  let native: T;
  try {
    native = open();
  } catch (error) {
    return { why: `${title}: ${reasonOf(error)}` };
  }
  // The surface between the two sides changes without further notice, and a wrong one crashes.
  if (native.version !== VERSION) {
    return { why: `${title}: refused, it is of version ${native.version}, not ${VERSION}` };
  }
  return { native };
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  const [line = ''] = error.message.split('\n');
  // `bindings` lists the places, a missing package its requirers: nothing that the title does not say.
  if (line.startsWith('Could not locate the bindings file')) return 'none';
  if (code === 'MODULE_NOT_FOUND' && line.includes("'@msg-zerocopy/")) return 'not installed';
  return line;
}
