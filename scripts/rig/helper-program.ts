// Compiles scripts/rig-helper.c when it is missing or older than its source.
import { mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';

import { runCommand } from './commands';

// Compiled code lives in dist/scripts/rig, the source beside package.json.
const ROOT = path.resolve(__dirname, '../../..');
const SOURCE = path.join(ROOT, 'scripts/rig-helper.c');
const PROGRAM = path.join(ROOT, 'build/rig-helper');

/**
 * The path of the rig's C helper, compiled now if need be. Ask each time instead of keeping the
 * answer: a rebuild of the addon empties the folder it lies in.
 * Throws: when `cc` refuses, with what it said.
 */
export function rigHelper(): string {
  if (isCurrent()) return PROGRAM;
  mkdirSync(path.dirname(PROGRAM), { recursive: true });
  // Compiled aside and renamed, so that two runs at once never execute half a file.
  const fresh = `${PROGRAM}.${process.pid}`;
  try {
    runCommand(['cc', '-O2', '-Wall', '-Wextra', '-Werror', '-o', fresh, SOURCE]);
    renameSync(fresh, PROGRAM);
  } finally {
    rmSync(fresh, { force: true });
  }
  return PROGRAM;
}

function isCurrent(): boolean {
  const program = statSync(PROGRAM, { throwIfNoEntry: false });
  return program !== undefined && program.mtimeMs > statSync(SOURCE).mtimeMs;
}
