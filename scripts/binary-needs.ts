// What a binary needs of the system that it is loaded on, and whether that is too much to publish it.
import { execFileSync } from 'node:child_process';
import type { Platform } from '../lib/native/loader.js';

/**
 * The newest that Node 20's own binary needs (readelf on v20.20, and no later one needs older): where Node
 * runs they are there.
 */
const NEWEST: Readonly<Record<string, string>> = {
  GLIBC: '2.28',
  GLIBCXX: '3.4.21',
  CXXABI: '1.3.9',
  GCC: '3.4',
};

const LIBRARIES = {
  gnu: /^(libc|libm|libpthread|libdl|libstdc\+\+|libgcc_s|ld-linux-(x86-64|aarch64))\.so\.\d+$/,
  musl: /^(libc\.musl-(x86_64|aarch64)|libstdc\+\+|libgcc_s)\.so\.\d+$/,
} as const;

const MACHINES: Readonly<Record<string, RegExp>> = {
  x64: /Machine:\s+Advanced Micro Devices X86-64/,
  arm64: /Machine:\s+AArch64/,
};

/** Why `binary` must not be published for `platform`. */
export function complaintsAbout(binary: string, platform: Platform): string[] {
  // Of binutils; unlike objdump it reads every machine's files.
  const options = ['--wide', '--file-header', '--dynamic', '--version-info', binary];
  const env = { ...process.env, LC_ALL: 'C' };
  return judge(execFileSync('readelf', options, { encoding: 'utf8', env }), platform);
}

/** @param text what readelf said */
export function judge(text: string, platform: Platform): string[] {
  const [, arch = '', family] = platform.split('-');
  const complaints: string[] = [];
  if (!MACHINES[arch]?.test(text)) complaints.push(`it is not for ${arch}`);
  const libraries = [...text.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map(([, name = '']) => name);
  const known = family === 'musl' ? LIBRARIES.musl : LIBRARIES.gnu;
  if (!libraries.some((name) => /^libc\./.test(name))) complaints.push('it names no C library');
  for (const library of libraries) {
    if (!known.test(library)) complaints.push(`it needs ${library}`);
  }
  // musl has no versions, and its libstdc++ comes from the same system as its Node.
  if (family === 'gnu') complaints.push(...newVersions(text).map((name) => `it needs ${name}`));
  return complaints;
}

function newVersions(text: string): string[] {
  const found = [...text.matchAll(/Name: ([A-Z]+)_([0-9.]+)/g)];
  const tooNew = found.filter(([, library = '', version = '']) => {
    const newest = NEWEST[library];
    return newest === undefined || compare(version, newest) > 0;
  });
  return [...new Set(tooNew.map(([, library, version]) => `${library}_${version}`))];
}

/** Of versions, number by number. */
function compare(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}
