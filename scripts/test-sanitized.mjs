// Runs the test suite on the addon that `npm run build:sanitize` made. AddressSanitizer must be
// loaded before Node, so it is preloaded into it and every child process.
// Hash tests are to be run without sanitizers, too: their quarantine of freed memory hides a
// premature release.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);

function runtime(library) {
  const found = spawnSync('cc', [`-print-file-name=${library}`], { encoding: 'utf8' });
  if (found.status !== 0 || !found.stdout.includes('/')) {
    console.error(`${library} not found: install the compiler's sanitizer runtime`);
    process.exit(1);
  }
  return found.stdout.trim();
}

const env = {
  ...process.env,
  LD_PRELOAD: `${runtime('libasan.so')} ${runtime('libubsan.so')}`,
  // V8 and libuv leak by design at exit; leaks of the addon are counted by the tests themselves.
  ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1',
  UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
  MSG_ZEROCOPY_ADDON: path.join(root, 'build-sanitize/Debug/msg_zerocopy.node'),
};
const mocha = path.join(path.dirname(require.resolve('mocha/package.json')), 'bin/mocha.js');
const result = spawnSync(
  process.execPath,
  [mocha, '--timeout', '300000', ...process.argv.slice(2)],
  {
    cwd: root,
    env,
    stdio: 'inherit',
  },
);
process.exit(result.status ?? 1);
