// C programs and libraries that tests need: compiled when they are missing or older than their source.
import { mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { runCommand } from '../../scripts/rig/commands';

// Compiled code lies in dist/test/helpers, the sources beside this file's.
const ROOT = path.resolve(__dirname, '../../..');

/**
 * The path of what `test/helpers/<name>.c` becomes. Throws: when `cc` refuses.
 * @param flags beyond the usual ones, such as '-shared'
 */
export function compiled(name: string, flags: readonly string[] = []): string {
  const source = path.join(ROOT, 'test/helpers', `${name}.c`);
  const target = path.join(ROOT, 'build', name);
  // Asked each time: a rebuild of the addon empties the folder that it lies in.
  const known = statSync(target, { throwIfNoEntry: false });
  if (known !== undefined && known.mtimeMs > statSync(source).mtimeMs) return target;
  mkdirSync(path.dirname(target), { recursive: true });
  // Compiled aside and renamed, so that two runs at once never execute half a file.
  const fresh = `${target}.${process.pid}`;
  try {
    runCommand(['cc', '-O2', '-Wall', '-Wextra', '-Werror', ...flags, '-o', fresh, source]);
    renameSync(fresh, target);
  } finally {
    rmSync(fresh, { force: true });
  }
  return target;
}
