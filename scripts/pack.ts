// Packs what is published: the main package, and one for each binary of npm/<platform>/. The tarballs
// are what is tested, and what is published.
//   node dist/scripts/pack.js --out FOLDER [--binary PLATFORM=FILE] [--all]
//     --binary  takes another file for a platform, such as the local build's for a test
//     --all     fails unless every platform has a binary
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type Platform, PLATFORMS } from '../lib/native/loader.js';
import {
  BINARY,
  builtPlatforms,
  folderOf,
  mainManifest,
  type MainManifest,
  type Manifest,
  optionalDependencies,
  platformManifest,
  ROOT,
  writePlatformPackage,
} from './platform-packages.js';

/** The name that npm gives to a package's tarball. */
function tarballOf({ name, version }: Manifest): string {
  return `${name.replace('@', '').replace('/', '-')}-${version}.tgz`;
}

function npmPack(folder: string, out: string): void {
  // Without scripts: what is packed must not depend on what they do.
  const argv = ['pack', '--ignore-scripts', '--silent', '--pack-destination', out];
  execFileSync('npm', argv, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
}

/** The published package.json: with the binaries, without what only a checkout can do. */
function publishedManifest(): MainManifest {
  const main = mainManifest();
  const left = Object.entries(main).filter(
    ([field]) => field !== 'scripts' && field !== 'devDependencies',
  );
  return {
    ...(Object.fromEntries(left) as MainManifest),
    optionalDependencies: optionalDependencies(main.version),
  };
}

// npm's registry, and lock files after it, say of a package with a binding.gyp in its root that it is compiled
// when it is installed, whatever its package.json says. The checkout's stays where node-gyp looks for it.
const BINDING_GYP = { inCheckout: 'binding.gyp', published: 'native/binding.gyp' };

function packMain(out: string, work: string): void {
  npmPack(ROOT, work);
  const manifest = publishedManifest();
  execFileSync('tar', ['-xzf', tarballOf(manifest)], { cwd: work });
  const folder = path.join(work, 'package');
  // As the compiler leaves them, they cannot be executed.
  for (const file of Object.values(manifest.bin)) chmodSync(path.join(folder, file), 0o755);
  const { inCheckout, published } = BINDING_GYP;
  renameSync(path.join(folder, inCheckout), path.join(folder, published));
  writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
  npmPack(folder, out);
  console.log(path.join(out, tarballOf(manifest)));
}

function packPlatform(platform: Platform, binary: string, out: string, work: string): void {
  const folder = path.join(work, platform);
  writePlatformPackage(platform, folder);
  copyFileSync(binary, path.join(folder, BINARY));
  npmPack(folder, out);
  console.log(path.join(out, tarballOf(platformManifest(platform))));
}

function binaries(named: readonly string[]): Map<Platform, string> {
  const found = new Map<Platform, string>(
    builtPlatforms().map((platform) => [platform, path.join(folderOf(platform), BINARY)]),
  );
  for (const text of named) {
    const [name, file = ''] = text.split('=');
    const platform = PLATFORMS.find((known) => known === name);
    if (platform === undefined || file === '') throw new Error(`--binary ${text}: PLATFORM=FILE`);
    found.set(platform, file);
  }
  return found;
}

function main(): void {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: path.join(ROOT, 'npm/tarballs') },
      binary: { type: 'string', multiple: true, default: [] },
      all: { type: 'boolean', default: false },
    },
  });
  const out = path.resolve(values.out);
  const found = binaries(values.binary);
  const missing = PLATFORMS.filter((platform) => !found.has(platform));
  if (values.all && missing.length > 0) throw new Error(`no binary for ${missing.join(', ')}`);
  mkdirSync(out, { recursive: true });
  const work = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-pack-'));
  try {
    packMain(out, work);
    for (const [platform, binary] of found) packPlatform(platform, binary, out, work);
    if (missing.length > 0)
      console.log(`without a binary (npm run prebuilt): ${missing.join(', ')}`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

main();
