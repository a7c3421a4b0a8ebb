// The fuzz targets of test/fuzz: which there are, how they are built, and where their inputs lie.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { root } from './mocha.mjs';

const FLAGS = [
  ...['-std=c++17', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror', '-g', '-O1'],
  ...['-fno-omit-frame-pointer', '-I', 'native', '-I', 'test/fuzz'],
];
const SANITIZERS = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

/** How a target is built: by which compiler, and with what beside its own sources. */
export const BUILDS = {
  /** The fuzzer itself. */
  fuzzer: {
    compiler: 'clang++',
    flags: ['-fsanitize=fuzzer', ...SANITIZERS],
    sources: [],
  },
  /** A program that is given files, with sanitizers. */
  replay: { compiler: 'g++', flags: SANITIZERS, sources: ['test/fuzz/replay.cc'] },
  /** The same without, for valgrind. */
  plain: { compiler: 'g++', flags: [], sources: ['test/fuzz/replay.cc'] },
};

function listed(list) {
  const found = spawnSync(process.execPath, ['scripts/sources.mjs', list], {
    cwd: root,
    encoding: 'utf8',
  });
  if (found.status !== 0) throw new Error(found.stderr);
  return found.stdout.trim().split('\n');
}

/** The names of all targets. */
export function targets() {
  return listed('fuzz');
}

/**
 * Builds a target.
 * @param manner one of BUILDS
 * @param folder where to put it
 * @returns the program's path. Throws: with the compiler's words
 */
export function build(target, manner, folder) {
  mkdirSync(folder, { recursive: true });
  const { compiler, flags, sources } = BUILDS[manner];
  const program = path.join(folder, `${manner}-${target}`);
  const argv = [...FLAGS, ...flags, '-o', program, ...listed(`fuzz:${target}`), ...sources];
  const built = spawnSync(compiler, argv, { cwd: root, encoding: 'utf8' });
  if (built.error?.code === 'ENOENT') throw new Error(`${compiler} not found: install it`);
  if (built.status !== 0) throw new Error(built.stderr);
  return program;
}

/** The folder with the inputs of a target that are kept. */
export function corpus(target) {
  return path.join(root, 'test/fuzz/corpus', target);
}

/** The inputs of a target that are kept, each with its path. */
export function inputs(target) {
  const folder = corpus(target);
  return readdirSync(folder)
    .sort()
    .map((name) => path.join(folder, name));
}
