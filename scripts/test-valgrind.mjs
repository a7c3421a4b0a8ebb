// Runs native code under valgrind's memcheck: the tests of native/kernel and the kept inputs of the fuzz
// targets alone, then some tests of the addon in Node. There an error counts when it is in the addon, or in
// what the addon calls beside Node.
// Usage: npm run test:valgrind [-- file ...]   compiled test files instead of the usual ones
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { build, inputs, targets } from './fuzz-targets.mjs';
import { mochaArguments, root } from './mocha.mjs';

const ADDON = path.join(root, 'build-debug/Debug/msg_zerocopy.node');

// In one process, with little JavaScript: Node is some fifty times slower here.
const TESTS = [
  'socket/arguments.test.js',
  'socket/udp-arguments.test.js',
  'socket/hash.test.js',
  'socket/detached.test.js',
  'socket/udp-promises.test.js',
].map((file) => path.join('dist/test', file));

const ERROR = /<error>.*?<\/error>/gs;

const temporary = mkdtempSync(path.join(os.tmpdir(), 'valgrind-'));
const given = process.argv.slice(2);

function compile(sources, name) {
  const program = path.join(temporary, name);
  const argv = [
    '-std=c++17',
    '-D_GNU_SOURCE',
    '-g',
    '-O1',
    '-I',
    'native',
    '-o',
    program,
    ...sources,
  ];
  const built = spawnSync('g++', argv, { cwd: root, encoding: 'utf8' });
  if (built.status !== 0) throw new Error(built.stderr);
  return program;
}

/** Whether a program of ours alone runs without any error and without a leak. */
function isCleanAlone(name, program, argv) {
  const options = [
    '-q',
    '--error-exitcode=99',
    '--leak-check=full',
    '--errors-for-leak-kinds=definite',
  ];
  const run = spawnSync('valgrind', [...options, program, ...argv], { encoding: 'utf8' });
  if (run.error) throw run.error;
  console.log(`${name}: ${run.status === 0 ? 'clean' : `status ${run.status ?? run.signal}`}`);
  if (run.status !== 0) console.error(run.stderr.slice(-8000));
  return run.status === 0;
}

function kernelIsClean() {
  const sources = ['test/unit/errqueue_test.cc', 'native/kernel/errqueue.cc'];
  const tests = [['errqueue_test', compile(sources, 'errqueue_test'), []]];
  for (const target of targets()) {
    tests.push([`fuzz/${target}`, build(target, 'plain', temporary), inputs(target)]);
  }
  return tests.map((test) => isCleanAlone(...test)).every(Boolean);
}

/** Runs test files in Node; how many errors are the addon's, and how many there are. */
function runInNode(files) {
  const logs = path.join(temporary, 'memcheck');
  const valgrind = [
    // V8 writes code at run time.
    '--smc-check=all-non-file',
    '--trace-children=yes',
    `--suppressions=${path.join(root, 'test/valgrind.supp')}`,
    '--num-callers=40',
    '--error-limit=no',
    '--xml=yes',
    `--xml-file=${logs}.%p.xml`,
  ];
  const argv = [...valgrind, process.execPath, ...mochaArguments(files, 600_000)];
  const env = { ...process.env, MSG_ZEROCOPY_ADDON: ADDON };
  const run = spawnSync('valgrind', argv, { cwd: root, env, stdio: 'inherit' });
  if (run.error) throw run.error;
  const errors = readdirSync(temporary)
    .filter((name) => name.startsWith('memcheck.'))
    .flatMap((name) => readFileSync(path.join(temporary, name), 'utf8').match(ERROR) ?? []);
  return { status: run.status, errors };
}

/** V8 called by the addon is V8 still: it reads strings by words, and reuses memory that nobody set. */
function isOfAddon(text) {
  const objects = [...text.matchAll(/<obj>(.*?)<\/obj>/g)].map(([, file]) => file);
  const first = objects.find((file) => file.includes('msg_zerocopy') || isNode(file));
  return first !== undefined && !isNode(first);
}

function isNode(file) {
  return file === realpathSync(process.execPath);
}

try {
  const clean = given.length > 0 || kernelIsClean();
  const { status, errors } = runInNode(given.length > 0 ? given : TESTS);
  const ours = errors.filter(isOfAddon);
  for (const text of ours) console.error(text);
  console.log(
    `valgrind: ${errors.length} errors in Node, ${ours.length} with a frame of the addon's`,
  );
  process.exitCode = clean && status === 0 && ours.length === 0 ? 0 : 1;
} finally {
  rmSync(temporary, { recursive: true, force: true });
}
