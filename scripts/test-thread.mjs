// Runs the tests with worker threads on the addon that `npm run build:thread` made. ThreadSanitizer is
// preloaded, but Node is not instrumented: of the program it sees the addon's accesses to memory, and the
// locks and threads of all. A report counts when one of its frames is the addon's.
// Usage: npm run test:thread [-- file ...]   compiled test files; by default those about threads
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { mochaArguments, root } from './mocha.mjs';
import { runtime } from './runtimes.mjs';

const ADDON = path.join(root, 'build-thread/Debug/msg_zerocopy.node');

const TESTS = [
  'process/worker.test.js',
  'process/exit.test.js',
  'process/io-uring-exit.test.js',
  'process/metrics.test.js',
  'socket/copy-batch.test.js',
  'socket/udp-memory.test.js',
].map((file) => path.join('dist/test', file));

/** Debian's sh crashes with ThreadSanitizer preloaded, and the rig is set up by it. */
const LEFT_OUT = 'on the rig';

const logs = mkdtempSync(path.join(os.tmpdir(), 'thread-sanitizer-'));

function run(files) {
  const env = {
    ...process.env,
    LD_PRELOAD: runtime('libtsan.so'),
    TSAN_OPTIONS: [
      `log_path=${logs}/report`,
      `suppressions=${path.join(root, 'test/tsan.supp')}`,
      // What Node does to memory through libc is seen without the atomics that order it.
      'ignore_noninstrumented_modules=1',
      // Programs are judged by their own status; reports by this script.
      'exitcode=0',
      'history_size=4',
      // Tests measure how promptly programs end.
      'atexit_sleep_ms=0',
    ].join(':'),
    MSG_ZEROCOPY_ADDON: ADDON,
  };
  // Without randomized addresses, some of which ThreadSanitizer cannot map.
  const argv = [
    '-R',
    process.execPath,
    ...mochaArguments(files, 300_000, ['--grep', LEFT_OUT, '--invert']),
  ];
  return spawnSync('setarch', argv, { cwd: root, env, stdio: 'inherit' });
}

/** The reports of all processes, each as one text. */
function reports() {
  return readdirSync(logs).flatMap((name) =>
    readFileSync(path.join(logs, name), 'utf8')
      .split(/^={18}$/m)
      .filter((text) => text.includes('ThreadSanitizer')),
  );
}

console.log(`left out: tests ${LEFT_OUT}: sh cannot run with ThreadSanitizer preloaded`);
const given = process.argv.slice(2);
const result = run(given.length > 0 ? given : TESTS);
const all = reports();
rmSync(logs, { recursive: true, force: true });
const ours = all.filter((text) => text.includes('msg_zerocopy.node'));
for (const text of ours) console.error(text);
console.log(`ThreadSanitizer: ${all.length} reports, ${ours.length} with a frame of the addon's`);
if (result.error) throw result.error;
process.exit(ours.length > 0 ? 1 : (result.status ?? 1));
