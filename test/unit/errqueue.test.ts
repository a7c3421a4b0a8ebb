// Builds errqueue_test.cc beside the parser it tests, and runs it: no kernel would send such messages.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

// This file is <root>/dist/test/unit/errqueue.test.js when built.
const root = path.resolve(__dirname, '../../..');
const sources = ['test/unit/errqueue_test.cc', 'native/kernel/errqueue.cc'];

describe('the error-queue parser', function () {
  // A compiler on a busy machine.
  this.timeout(60_000);
  let temporary = '';
  before(() => {
    temporary = mkdtempSync(path.join(os.tmpdir(), 'errqueue-'));
  });
  after(() => rmSync(temporary, { recursive: true, force: true }));

  it('accepts zero-copy entries, and ignores all others', () => {
    for (const source of sources) assert.ok(existsSync(path.join(root, source)), source);
    const program = path.join(temporary, 'errqueue_test');
    const flags = ['-std=c++17', '-Wall', '-Wextra', '-Werror', '-g', '-O1', '-I', 'native'];
    const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
    const built = spawnSync('g++', [...flags, ...sanitizers, '-o', program, ...sources], {
      cwd: root,
      encoding: 'utf8',
    });
    assert.equal(built.status, 0, built.error?.message ?? built.stderr);
    const run = spawnSync(program, { encoding: 'utf8' });
    assert.deepEqual([run.stderr, run.stdout, run.status], ['', 'ok\n', 0]);
  });
});
