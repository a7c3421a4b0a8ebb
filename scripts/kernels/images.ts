// Debian's kernels, downloaded and unpacked into a cache of this program's own: nothing is installed.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** A kernel on disk. */
export interface KernelImage {
  readonly release: string;
  readonly vmlinuz: string;
  /** What modprobe takes for its root (`-d`). */
  readonly root: string;
  /** Of this release, under `root`. */
  readonly modules: string;
}

/** A download may take its time. Throws: when it does not end with 0. */
function runCommand([file = '', ...rest]: readonly string[], cwd?: string): string {
  return execFileSync(file, rest, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    ...(cwd === undefined ? {} : { cwd }),
  });
}

export const CACHE = path.join(os.tmpdir(), 'msg-zerocopy-kernels');

const SUITES = ['bullseye', 'bookworm', 'trixie', 'sid'] as const;
const MIRROR = 'http://deb.debian.org/debian';
const KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Options that keep apt to lists and archives of its own. */
function aptOptions(): string[] {
  const list = path.join(CACHE, 'sources.list');
  for (const folder of ['lists/partial', 'archives/partial', 'debs']) {
    mkdirSync(path.join(CACHE, folder), { recursive: true });
  }
  const lines = SUITES.map((suite) => `deb [signed-by=${KEYS}] ${MIRROR} ${suite} main`);
  writeFileSync(list, `${lines.join('\n')}\n`);
  const options = {
    'Dir::Etc::sourcelist': list,
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::State::lists': path.join(CACHE, 'lists'),
    'Dir::Cache::archives': path.join(CACHE, 'archives'),
    'Dir::Cache::pkgcache': '',
    'Dir::Cache::srcpkgcache': '',
    'Acquire::Languages': 'none',
    'APT::Sandbox::User': 'root',
  };
  return Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

/** The newest of Debian's packages of this version, such as '6.1'. Throws: where there is none. */
function packageOf(version: string): string {
  const names = runCommand(['apt-cache', ...aptOptions(), 'pkgnames', `linux-image-${version}.`]);
  const pattern = new RegExp(`^linux-image-${version.replaceAll('.', '\\.')}\\.[\\d.]+\\S*-amd64$`);
  const fitting = names
    .split('\n')
    .filter((name) => pattern.test(name) && !/-(cloud|rt)-/.test(name));
  const collator = new Intl.Collator('en', { numeric: true });
  const newest = fitting.sort((a, b) => collator.compare(a, b)).at(-1);
  if (newest === undefined)
    throw new Error(`Debian has no kernel ${version} (${SUITES.join(', ')})`);
  return newest;
}

/** Looks for what Debian has at present. */
export function refreshLists(): void {
  runCommand(['apt-get', ...aptOptions(), '-qq', 'update']);
}

/** Fetches a kernel, unless it is there. Throws: where there is none, or no network. */
export function fetchKernel(version: string): KernelImage {
  const root = path.join(CACHE, version);
  if (!existsSync(path.join(root, 'unpacked'))) {
    const name = packageOf(version);
    const debs = path.join(CACHE, 'debs', name);
    mkdirSync(debs, { recursive: true });
    runCommand(['apt-get', ...aptOptions(), '-qq', 'download', name], debs);
    const [deb = ''] = readdirSync(debs).filter((file) => file.endsWith('.deb'));
    mkdirSync(root, { recursive: true });
    runCommand(['dpkg', '-x', path.join(debs, deb), root]);
    writeFileSync(path.join(root, 'unpacked'), name);
  }
  const name = readFileSync(path.join(root, 'unpacked'), 'utf8');
  const release = name.replace('linux-image-', '');
  // Where /lib is /usr/lib, packages say so.
  const lib = existsSync(path.join(root, 'lib/modules')) ? 'lib' : 'usr/lib';
  if (lib === 'usr/lib') runCommand(['ln', '-sfn', 'usr/lib', path.join(root, 'lib')]);
  runCommand(['depmod', '-b', root, release]);
  const modules = path.join(root, 'lib/modules', release);
  return { release, root, modules, vmlinuz: path.join(root, 'boot', `vmlinuz-${release}`) };
}
