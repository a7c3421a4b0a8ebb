// The packages that carry a binary for one system each: what is in them. They lie in npm/<platform>/,
// are made by prebuilt.ts and never committed, so that no version is written twice.
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Platform, PLATFORMS, platformPackage } from '../lib/native/loader.js';

export const ROOT = path.resolve(__dirname, '../..');
export const BINARY = 'msg_zerocopy.node';

/** What npm needs of a package.json, and whatever else is in it. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly [field: string]: unknown;
}

export interface MainManifest extends Manifest {
  readonly license: string;
  readonly engines: object;
  readonly bin: Readonly<Record<string, string>>;
  readonly homepage?: string;
  readonly bugs?: string;
  readonly repository?: object;
}

/** package.json of the main package, with the repository that a release comes from. */
export function mainManifest(): MainManifest {
  const text = readFileSync(path.join(ROOT, 'package.json'), 'utf8');
  const manifest = JSON.parse(text) as MainManifest;
  // npm takes a provenance statement only where both name the same repository: a fork's release names the fork.
  const repository = process.env['GITHUB_REPOSITORY'];
  if (repository === undefined) return manifest;
  const page = `https://github.com/${repository}`;
  return {
    ...manifest,
    homepage: `${page}#readme`,
    bugs: `${page}/issues`,
    repository: { type: 'git', url: `git+${page}.git` },
  };
}

export function folderOf(platform: Platform): string {
  return path.join(ROOT, 'npm', platform);
}

/** What the main package names as optionalDependencies: all of them, of exactly its own version. */
export function optionalDependencies(version: string): Record<string, string> {
  return Object.fromEntries(PLATFORMS.map((platform) => [platformPackage(platform), version]));
}

export function platformManifest(platform: Platform): Manifest {
  const { version, license, engines, repository } = mainManifest();
  const [os = '', cpu = '', family] = platform.split('-');
  return {
    name: platformPackage(platform),
    version,
    description: `The native addon of msg-zerocopy for ${platform}`,
    license,
    ...(repository === undefined ? {} : { repository }),
    main: BINARY,
    files: [BINARY],
    os: [os],
    cpu: [cpu],
    libc: [family === 'gnu' ? 'glibc' : 'musl'],
    engines,
    // Yarn's PnP keeps packages zipped, and the kernel maps no binary out of a zip.
    preferUnplugged: true,
    publishConfig: { access: 'public' },
  };
}

/** Puts everything but the binary into `folder`. */
export function writePlatformPackage(platform: Platform, folder: string): void {
  mkdirSync(folder, { recursive: true });
  const manifest = platformManifest(platform);
  writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
  const readme = [
    `# ${manifest.name}`,
    '',
    `The native addon of [msg-zerocopy](https://www.npmjs.com/package/msg-zerocopy) for ${platform}: one`,
    'Node-API binary for every supported version of Node. msg-zerocopy depends on it; do not install it',
    'by itself.',
    '',
  ];
  writeFileSync(path.join(folder, 'README.md'), readme.join('\n'));
  copyFileSync(path.join(ROOT, 'LICENSE'), path.join(folder, 'LICENSE'));
}

/** The platforms whose binary lies ready to be packed. */
export function builtPlatforms(): Platform[] {
  return PLATFORMS.filter((platform) => existsSync(path.join(folderOf(platform), BINARY)));
}
