// Debian's kernels, unpacked.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { aptOptions, CACHE, runLong, SUITES } from './debian';

/** A kernel on disk. */
export interface KernelImage {
  readonly release: string;
  readonly vmlinuz: string;
  /** What modprobe takes for its root (`-d`). */
  readonly root: string;
  /** Of this release, under `root`. */
  readonly modules: string;
}

/** The newest of Debian's packages of this version, such as '6.1'. Throws: where there is none. */
function packageOf(version: string): string {
  const names = runLong(['apt-cache', ...aptOptions(), 'pkgnames', `linux-image-${version}.`]);
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

/** Fetches a kernel, unless it is there. Throws: where there is none, or no network. */
export function fetchKernel(version: string): KernelImage {
  const root = path.join(CACHE, version);
  if (!existsSync(path.join(root, 'unpacked'))) {
    const name = packageOf(version);
    const debs = path.join(CACHE, 'debs', name);
    mkdirSync(debs, { recursive: true });
    runLong(['apt-get', ...aptOptions(), '-qq', 'download', name], debs);
    const [deb = ''] = readdirSync(debs).filter((file) => file.endsWith('.deb'));
    mkdirSync(root, { recursive: true });
    runLong(['dpkg', '-x', path.join(debs, deb), root]);
    writeFileSync(path.join(root, 'unpacked'), name);
  }
  const name = readFileSync(path.join(root, 'unpacked'), 'utf8');
  const release = name.replace('linux-image-', '');
  // Where /lib is /usr/lib, packages say so.
  const lib = existsSync(path.join(root, 'lib/modules')) ? 'lib' : 'usr/lib';
  if (lib === 'usr/lib') runLong(['ln', '-sfn', 'usr/lib', path.join(root, 'lib')]);
  runLong(['depmod', '-b', root, release]);
  const modules = path.join(root, 'lib/modules', release);
  return { release, root, modules, vmlinuz: path.join(root, 'boot', `vmlinuz-${release}`) };
}
