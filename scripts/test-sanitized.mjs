// Runs the test suite on the addon that `npm run build:sanitize` made. AddressSanitizer must be
// loaded before Node, so it is preloaded into it and every child process.
// Hash tests are to be run without sanitizers, too: their quarantine of freed memory hides a
// premature release.
// Usage: npm run test:sanitize [-- file ...]   compiled test files; by default all
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { mochaArguments, root } from './mocha.mjs';
import { runtime } from './runtimes.mjs';

/** Tests that cannot hold here: part of their full title, and why. */
const LEFT_OUT = [
  {
    title: 'three hundred workers one after another',
    because:
      'AddressSanitizer keeps memory of every thread that ended: workers without the addon grow, too',
  },
];

const env = {
  ...process.env,
  LD_PRELOAD: `${runtime('libasan.so')} ${runtime('libubsan.so')}`,
  // V8 and libuv leak by design at exit; leaks of the addon are counted by the tests themselves.
  ASAN_OPTIONS: `detect_leaks=0:abort_on_error=1:suppressions=${path.join(root, 'test/asan.supp')}`,
  UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
  MSG_ZEROCOPY_ADDON: path.join(root, 'build-sanitize/Debug/msg_zerocopy.node'),
};

function escaped(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

for (const { title, because } of LEFT_OUT) console.log(`left out: ${title}: ${because}`);
const titles = LEFT_OUT.map(({ title }) => escaped(title)).join('|');
const options = titles === '' ? [] : ['--grep', titles, '--invert'];
const given = process.argv.slice(2);
const files = given.length > 0 ? given : ['dist/test/**/*.test.js'];
const result = spawnSync(process.execPath, mochaArguments(files, 300_000, options), {
  cwd: root,
  env,
  stdio: 'inherit',
});
process.exit(result.status ?? 1);
