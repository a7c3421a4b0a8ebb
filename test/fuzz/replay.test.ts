// Gives each fuzz target of native/kernel the inputs that are kept: those that reach furthest, and those
// that once broke it. With sanitizers, by the compiler that builds the addon; `npm run fuzz` looks for more.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';

// This file is <root>/dist/test/fuzz/replay.test.js when built.
const root = path.resolve(__dirname, '../../..');

describe('the fuzz targets of native/kernel', () => {
  for (const target of readdirSync(path.join(root, 'test/fuzz/corpus'))) {
    it(`hold for every input of the corpus: ${target}`, () => {
      const kept = readdirSync(path.join(root, 'test/fuzz/corpus', target)).length;
      const argv = ['scripts/fuzz.mjs', '--replay', '--only', target];
      const run = spawnSync(process.execPath, argv, { cwd: root, encoding: 'utf8' });
      assert.deepEqual(
        [run.stderr, run.stdout, run.status],
        ['', `${target}: ${kept} replayed\n`, 0],
      );
      // A compiler on a busy machine.
    }).timeout(60_000);
  }
});
