// Memory that is not like other memory, in ArrayBuffers (see odd-memory.c).
import { errnoName } from '../../lib/errors';
import { compiled } from './compiled';

interface OddMemory {
  /** Can be read and not pinned: memfd_secret(2). */
  secret(bytes: number): ArrayBuffer | number;
  /** Nobody can read it. */
  unreadable(bytes: number): ArrayBuffer | number;
}

function load(): OddMemory {
  const loaded = { exports: {} as OddMemory };
  process.dlopen(loaded, compiled('odd-memory', ['-shared', '-fPIC']));
  return loaded.exports;
}

function bufferOver(memory: ArrayBuffer | number): Buffer {
  if (typeof memory === 'number') throw new Error(errnoName(memory));
  return Buffer.from(memory);
}

/** A buffer over memory that the kernel can read and not pin. */
export function secretBuffer(bytes: number): Buffer {
  return bufferOver(load().secret(bytes));
}

/** A buffer whose bytes nobody can read. */
export function unreadableBuffer(bytes: number): Buffer {
  return bufferOver(load().unreadable(bytes));
}

/** Tests that need secret memory: Linux 5.14, and on by default from 6.5 on (secretmem.enable). */
export function secretSuite(title: string, body: () => void): void {
  describe(title, () => {
    const tried = load().secret(4096);
    if (typeof tried !== 'number') return body();
    it(`skipped: no memfd_secret here: ${errnoName(tried)}`);
  });
}
