// QEMU: what is installed, if that has each card, else Debian's, which runs from where it is unpacked.
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { tryCommand } from '../rig/commands';
import { aptOptions, CACHE, runLong } from './debian';

const PROGRAM = 'qemu-system-x86_64';
/** igb came with QEMU 8.0, and Debian 12 has 7.2. */
const SUITE = 'trixie';

/** A program, and the arguments with which each command begins. */
export type Emulator = readonly string[];

function has(emulator: Emulator, models: readonly string[]): boolean {
  return models.every((model) => {
    const argv = ['-machine', 'q35', '-nodefaults', '-display', 'none', '-device', `${model},help`];
    // Whatever it knows, it exits with 0.
    return tryCommand([...emulator, ...argv]).stdout.startsWith(`${model} options`);
  });
}

/** With the C library and the other libraries of its own Debian. */
function unpackedAt(root: string): Emulator {
  const lib = path.join(root, 'usr/lib/x86_64-linux-gnu');
  const loader = path.join(root, 'usr/lib64/ld-linux-x86-64.so.2');
  const folders = [lib, path.join(lib, 'pulseaudio')].join(':');
  const data = ['qemu', 'seabios'].flatMap((name) => ['-L', path.join(root, 'usr/share', name)]);
  return [loader, '--library-path', folders, path.join(root, 'usr/bin', PROGRAM), ...data];
}

function unpack(root: string): void {
  const archives = path.join(CACHE, 'debs', PROGRAM);
  mkdirSync(path.join(archives, 'partial'), { recursive: true });
  const options = [...aptOptions(), '-o', `Dir::Cache::archives=${archives}`, '-t', SUITE];
  const install = ['--yes', '--no-install-recommends', '--download-only', 'install'];
  runLong(['apt-get', ...options, '-qq', ...install, 'qemu-system-x86']);
  mkdirSync(root, { recursive: true });
  for (const name of readdirSync(archives)) {
    if (name.endsWith('.deb')) runLong(['dpkg', '-x', path.join(archives, name), root]);
  }
  rmSync(archives, { recursive: true });
  writeFileSync(path.join(root, 'unpacked'), '');
}

/** Throws: when there is neither, and no network. @param models of cards, as QEMU names them */
export function findEmulator(models: readonly string[]): Emulator {
  if (has([PROGRAM], models)) return [PROGRAM];
  const root = path.join(CACHE, PROGRAM);
  if (!existsSync(path.join(root, 'unpacked'))) unpack(root);
  const emulator = unpackedAt(root);
  if (has(emulator, models)) return emulator;
  throw new Error(`Debian's QEMU lacks some of ${models.join(', ')}`);
}
