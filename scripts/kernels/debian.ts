// Debian's packages, downloaded by apt into a cache of this program's own: nothing is installed.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** A download may take its time. Throws: when it does not end with 0. */
export function runLong([file = '', ...rest]: readonly string[], cwd?: string): string {
  return execFileSync(file, rest, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    ...(cwd === undefined ? {} : { cwd }),
  });
}

/** Where all of it lies. */
export const CACHE = path.join(os.tmpdir(), 'msg-zerocopy-kernels');

export const SUITES = ['bullseye', 'bookworm', 'trixie', 'sid'] as const;
const MIRROR = 'http://deb.debian.org/debian';
const KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Options that keep apt to lists and archives of its own. */
export function aptOptions(): string[] {
  const list = path.join(CACHE, 'sources.list');
  for (const folder of ['lists/partial', 'archives/partial', 'debs']) {
    mkdirSync(path.join(CACHE, folder), { recursive: true });
  }
  const lines = SUITES.map((suite) => `deb [signed-by=${KEYS}] ${MIRROR} ${suite} main`);
  writeFileSync(list, `${lines.join('\n')}\n`);
  // As if nothing was installed, so that a package comes with everything that it needs.
  const status = path.join(CACHE, 'status');
  writeFileSync(status, '');
  const options = {
    'Dir::Etc::sourcelist': list,
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::State::status': status,
    'Dir::State::lists': path.join(CACHE, 'lists'),
    'Dir::Cache::archives': path.join(CACHE, 'archives'),
    'Dir::Cache::pkgcache': '',
    'Dir::Cache::srcpkgcache': '',
    'Acquire::Languages': 'none',
    'APT::Sandbox::User': 'root',
  };
  return Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

/** Looks for what Debian has at present. */
export function refreshLists(): void {
  runLong(['apt-get', ...aptOptions(), '-qq', 'update']);
}
