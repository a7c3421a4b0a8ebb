// Runs the TCP part of the suite where io_uring is refused: what programs get in most containers.
// Usage: node dist/test/refused.js [EPERM|ENOSYS] [file ...]; by default EPERM and every test
// that makes TCP connections. Exit code: 1 when one failed.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { type Refusal, refusing } from './helpers/refuse-io-uring';

const TESTS = __dirname;
const FOLDERS = ['socket', 'process', 'rig'];
/** Other kinds of sockets, and what is about io_uring itself. */
const NOT_TCP = /^(udp|raw|packet|io-uring)[-.]/;

function tcpTests(): string[] {
  return FOLDERS.flatMap((folder) =>
    readdirSync(path.join(TESTS, folder))
      .filter((name) => name.endsWith('.test.js') && !NOT_TCP.test(name))
      .map((name) => path.join(TESTS, folder, name)),
  );
}

const given = process.argv.slice(2);
const errno: Refusal = given[0] === 'ENOSYS' ? 'ENOSYS' : 'EPERM';
const files = given.filter((argument) => argument !== 'EPERM' && argument !== 'ENOSYS');

const mocha = path.join(path.dirname(require.resolve('mocha/package.json')), 'bin/mocha.js');
const reporter = path.join(TESTS, 'reporter.js');
const setup = path.join(TESTS, 'setup.js');
const options = [
  '--no-config',
  '--require',
  setup,
  '--reporter',
  reporter,
  '--timeout',
  '60000',
  '--forbid-only',
];
const [file = '', ...argv] = [...refusing(errno), process.execPath, mocha, ...options];
let failed = 0;
// Each in a process of its own: what one finds out about a route holds for the others.
for (const test of files.length === 0 ? tcpTests() : files) {
  const { status, error } = spawnSync(file, [...argv, test], { stdio: 'inherit' });
  if (error !== undefined) throw error;
  if (status !== 0) failed = 1;
}
process.exit(failed);
