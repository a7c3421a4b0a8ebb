// The C programs of the bench, compiled when first needed: a receiver and a load generator that are no
// bottleneck, and senders that show the limit Node is measured against.
import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';

export const packageRoot = path.resolve(__dirname, '../..');

/** Shared by most of them. */
const header = path.join(packageRoot, 'bench/cwindow.h');

/** Returns the path of the program built from bench/<name>.c. */
export function nativeProgram(name: 'sink' | 'load' | 'csend' | 'cdatagram' | 'cpacket'): string {
  return compiled(name, path.join(packageRoot, `build/bench-${name}`), []);
}

/** Returns the path of the addon that shows the least a send from Node can cost. */
export function floorAddon(): string {
  const prefix = process.env['npm_config_nodedir'] ?? path.resolve(process.execPath, '../..');
  const flags = ['-fPIC', '-shared', `-I${path.join(prefix, 'include/node')}`];
  return compiled('floor', path.join(packageRoot, 'build/bench-floor.node'), flags);
}

function compiled(name: string, program: string, flags: readonly string[]): string {
  const source = path.join(packageRoot, `bench/${name}.c`);
  const newest = Math.max(modified(source), modified(header));
  if (modified(program) >= newest) return program;
  mkdirSync(path.dirname(program), { recursive: true });
  // Compiled beside it and moved, so that a running program is never written to.
  const fresh = `${program}.${process.pid}`;
  const result = spawnSync('cc', ['-O2', '-Wall', '-Wextra', ...flags, '-o', fresh, source], {
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
