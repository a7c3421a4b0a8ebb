// Where the compiler keeps the libraries of its sanitizers, which must be loaded before Node.
import { spawnSync } from 'node:child_process';

/** The path of `library`. Ends the process when the compiler has none. */
export function runtime(library) {
  const found = spawnSync('cc', [`-print-file-name=${library}`], { encoding: 'utf8' });
  if (found.status !== 0 || !found.stdout.includes('/')) {
    console.error(`${library} not found: install the compiler's sanitizer runtime`);
    process.exit(1);
  }
  return found.stdout.trim();
}
