// The ring can only send. Builds io_uring_restricted.cc with the class that makes the ring, and runs it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { capabilities } from '../../lib/index';

// This file is <root>/dist/test/socket/io-uring-restricted.test.js when built.
const root = path.resolve(__dirname, '../../..');
const sources = [
  'test/socket/io_uring_restricted.cc',
  'native/kernel/io_uring.cc',
  'native/kernel/sys.cc',
];

const OUTCOMES = `
open: done
send: done
received: bytes
openat: EACCES
socket: EACCES
connect: EACCES
nop: EACCES
a flag: EACCES
eventfd: done
files: EACCES
personality: EACCES
other restrictions: EACCES
`;

describe('the ring', function () {
  // A compiler on a busy machine.
  this.timeout(60_000);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-restricted-'));
  after(() => rmSync(folder, { recursive: true }));

  const { support, reason } = capabilities().tcp.io_uring;
  if (support !== 'yes') {
    it(`skipped: no io_uring here: ${reason}`);
    return;
  }

  it('allows sends, and refuses every other operation, flag and registration', () => {
    const program = path.join(folder, 'io_uring_restricted');
    const flags = ['-std=c++17', '-Wall', '-Wextra', '-Werror', '-O1', '-I', 'native'];
    const built = spawnSync('g++', [...flags, '-o', program, ...sources], {
      cwd: root,
      encoding: 'utf8',
    });
    assert.equal(built.status, 0, built.error?.message ?? built.stderr);
    const run = spawnSync(program, { encoding: 'utf8', timeout: 20_000 });
    assert.equal(run.stdout, OUTCOMES.trimStart(), run.stderr);
    assert.equal(run.status, 0);
  });
});
