// Programs for which the kernel has no io_uring (see refuse-io-uring.c, which is compiled when it is
// missing or older than its source).
import { mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { runCommand } from '../../scripts/rig/commands';

// Compiled code lies in dist/test/helpers, the source beside this file's.
const ROOT = path.resolve(__dirname, '../../..');
const SOURCE = path.join(ROOT, 'test/helpers/refuse-io-uring.c');
const PROGRAM = path.join(ROOT, 'build/refuse-io-uring');

/** What io_uring_setup() then fails with: a sandbox answers EPERM, a kernel without it ENOSYS. */
export type Refusal = 'EPERM' | 'ENOSYS';

/** What is put in front of a command, to run it without io_uring. Throws: when `cc` refuses. */
export function refusing(errno: Refusal): readonly string[] {
  compileIfStale();
  return [PROGRAM, errno];
}

// Asked each time: a rebuild of the addon empties the folder that the program lies in.
function compileIfStale(): void {
  const program = statSync(PROGRAM, { throwIfNoEntry: false });
  if (program !== undefined && program.mtimeMs > statSync(SOURCE).mtimeMs) return;
  mkdirSync(path.dirname(PROGRAM), { recursive: true });
  // Compiled aside and renamed, so that two runs at once never execute half a file.
  const fresh = `${PROGRAM}.${process.pid}`;
  try {
    runCommand(['cc', '-O2', '-Wall', '-Wextra', '-Werror', '-o', fresh, SOURCE]);
    renameSync(fresh, PROGRAM);
  } finally {
    rmSync(fresh, { force: true });
  }
}
