// Runtimes that are not Node: the binaries that their npm packages bring.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { familySync } from 'detect-libc';

export interface OtherRuntime {
  readonly name: 'Bun' | 'Deno';
  readonly program: string;
  /** What stands between the program and the script. */
  readonly options: readonly string[];
}

const isMusl = familySync() === 'musl';
const isArm = process.arch === 'arm64';

/** A binary of an npm package's own platform package. */
function binaryOf(parent: string, platformPackage: string, file: string): string {
  const from = createRequire(require.resolve(`${parent}/package.json`));
  return path.join(path.dirname(from.resolve(`${platformPackage}/package.json`)), file);
}

function bun(): OtherRuntime {
  const platform = `linux-${isArm ? 'aarch64' : 'x64'}${isMusl ? '-musl' : ''}`;
  const binary = binaryOf('bun', `@oven/bun-${platform}`, 'bin/bun');
  // The install script moves it, where npm runs such.
  const moved = path.join(path.dirname(require.resolve('bun/package.json')), 'bin/bun.exe');
  return { name: 'Bun', program: existsSync(binary) ? binary : moved, options: [] };
}

function deno(): OtherRuntime {
  const program = binaryOf('deno', `@deno/linux-${process.arch}-glibc`, 'deno');
  return { name: 'Deno', program, options: ['run', '--allow-all', '--quiet'] };
}

/** Of this machine: there is no Deno for musl. */
export function otherRuntimes(): OtherRuntime[] {
  return isMusl ? [bun()] : [bun(), deno()];
}
