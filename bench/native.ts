// The C programs of the bench, compiled when first needed: a receiver and a load generator that are no
// bottleneck, and senders that show the limit Node is measured against.
import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';

export const packageRoot = path.resolve(__dirname, '../..');

/** Shared by all but the sink. */
const header = path.join(packageRoot, 'bench/cwindow.h');

/** Returns the path of the program built from bench/<name>.c. */
export function nativeProgram(name: 'sink' | 'load' | 'csend' | 'cdatagram' | 'cpacket'): string {
  const source = path.join(packageRoot, `bench/${name}.c`);
  const program = path.join(packageRoot, `build/bench-${name}`);
  const newest = Math.max(modified(source), modified(header));
  if (modified(program) >= newest) return program;
  mkdirSync(path.dirname(program), { recursive: true });
  // Compiled beside it and moved, so that a program somebody is running is never written to.
  const fresh = `${program}.${process.pid}`;
  const result = spawnSync('cc', ['-O2', '-Wall', '-Wextra', '-o', fresh, source], {
    encoding: 'utf8',
  });
  if (result.error) throw new Error(`a C compiler is needed: ${result.error.message}`);
  if (result.status !== 0) throw new Error(`cc ${source} failed:\n${result.stderr}`);
  renameSync(fresh, program);
  return program;
}

function modified(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? -1;
}
