// C programs and libraries that tests and the soak need: compiled when they are missing or older than
// their source.
import { mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { runCommand } from './rig/commands';

// Compiled code lies in dist/scripts, the sources beside package.json.
const ROOT = path.resolve(__dirname, '../..');

/**
 * The path of what a C source becomes. Throws: when `cc` refuses.
 * @param source its path in the repository
 * @param flags beyond the usual ones, such as '-shared'
 */
export function compiledFrom(source: string, flags: readonly string[] = []): string {
  const from = path.join(ROOT, source);
  const target = path.join(ROOT, 'build', path.basename(source, '.c'));
  // Asked each time: a rebuild of the addon empties the folder that it lies in.
  const known = statSync(target, { throwIfNoEntry: false });
  if (known !== undefined && known.mtimeMs > statSync(from).mtimeMs) return target;
  mkdirSync(path.dirname(target), { recursive: true });
  // Compiled aside and renamed, so that two runs at once never execute half a file.
  const fresh = `${target}.${process.pid}`;
  try {
    runCommand(['cc', '-O2', '-Wall', '-Wextra', '-Werror', ...flags, '-o', fresh, from]);
    renameSync(fresh, target);
  } finally {
    rmSync(fresh, { force: true });
  }
  return target;
}
