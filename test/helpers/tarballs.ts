// The package as it is published, and projects that install it: from tarballs only, with an empty cache
// and without the network.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { familySync } from 'detect-libc';
import { type Platform, PLATFORMS, platformPackage } from '../../lib/native/loader';
import { runCommand } from '../../scripts/rig/commands';

export const ROOT = path.resolve(__dirname, '../../..');

/** A folder of tarballs to test, instead of those made of the local build. */
const GIVEN = process.env['MSG_ZEROCOPY_TEST_TARBALLS'];
const GIVEN_FOLDER = GIVEN === undefined ? undefined : path.resolve(GIVEN);

export interface Tarballs {
  readonly main: string;
  /** For this machine. */
  readonly platform: string;
  /** Of every platform. */
  readonly platforms: readonly string[];
  /** What the main package depends on, all the way down. */
  readonly dependencies: readonly string[];
}

interface Manifest {
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

export function manifestIn(folder: string): Manifest {
  return JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as Manifest;
}

/** This machine's. Throws: where none is published for it. */
export function ownPlatform(): Platform {
  const family = familySync() === 'musl' ? 'musl' : 'gnu';
  const own = PLATFORMS.find((name) => name === `linux-${process.arch}-${family}`);
  if (own === undefined) throw new Error(`nothing is published for ${process.arch} ${family}`);
  return own;
}

function allDependencies(folder: string, found = new Set<string>()): Set<string> {
  for (const name of Object.keys(manifestIn(folder).dependencies ?? {})) {
    if (found.has(name)) continue;
    found.add(name);
    allDependencies(path.join(ROOT, 'node_modules', name), found);
  }
  return found;
}

function onlyFile(folder: string, pattern: RegExp): string {
  const names = readdirSync(folder).filter((name) => pattern.test(name));
  if (names.length !== 1) throw new Error(`${folder}: ${names.length} files like ${pattern}`);
  return path.join(folder, names[0] ?? '');
}

/**
 * Packs everything into `folder`. Takes some seconds.
 * @param platforms that get a package; the binary of all is this machine's
 */
export function makeTarballs(
  folder: string,
  platforms: readonly Platform[] = [ownPlatform()],
): Tarballs {
  const own = ownPlatform();
  const packed = GIVEN_FOLDER ?? path.join(folder, 'packed');
  if (GIVEN === undefined) {
    const binary = path.join(ROOT, 'build/Release/msg_zerocopy.node');
    const binaries = platforms.flatMap((name) => ['--binary', `${name}=${binary}`]);
    const pack = path.join(ROOT, 'dist/scripts/pack.js');
    runCommand([process.execPath, pack, '--out', packed, ...binaries]);
  }
  const dependencies = path.join(folder, 'dependencies');
  mkdirSync(dependencies, { recursive: true });
  for (const name of allDependencies(ROOT)) {
    const argv = [
      'npm',
      'pack',
      '--silent',
      '--ignore-scripts',
      '--pack-destination',
      dependencies,
    ];
    runCommand([...argv, path.join(ROOT, 'node_modules', name)]);
  }
  const platformName = platformPackage(own).replace('@', '').replace('/', '-');
  return {
    main: onlyFile(packed, /^msg-zerocopy-\d[^/]*\.tgz$/),
    platform: onlyFile(packed, new RegExp(`^${platformName}-\\d.*\\.tgz$`)),
    platforms: readdirSync(packed)
      .filter((name) => /^msg-zerocopy-[a-z].*\.tgz$/.test(name))
      .map((name) => path.join(packed, name)),
    dependencies: readdirSync(dependencies).map((name) => path.join(dependencies, name)),
  };
}

/** Makes a project that depends on `tarballs`, installed by npm. */
export function installProject(
  folder: string,
  tarballs: readonly string[],
  flags: readonly string[],
): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ private: true }));
  writeFileSync(path.join(folder, 'by-import.mjs'), "export * from 'msg-zerocopy';\n");
  const cache = path.join(folder, 'empty-cache');
  const argv = ['install', '--offline', '--no-audit', '--no-fund', '--cache', cache];
  const options = { cwd: folder, encoding: 'utf8' } as const;
  const { status, stderr } = spawnSync('npm', [...argv, ...flags, ...tarballs], options);
  rmSync(cache, { recursive: true, force: true });
  if (status !== 0) throw new Error(`npm install: ${stderr}`);
}
