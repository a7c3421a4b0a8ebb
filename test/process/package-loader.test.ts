// What MSG_ZEROCOPY_ADDON may make a process run, and what it must not.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { VERSION } from '../../lib/version';

const LIBRARY = path.join(__dirname, '../../lib/index.js');
const NOBODY = 65_534;

interface Answer {
  readonly trapped: boolean;
  readonly addon: string;
  readonly reason: string;
}

describe('the file that MSG_ZEROCOPY_ADDON names', () => {
  let folder = '';
  let file = '';

  before(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-loader-'));
    chmodSync(folder, 0o755);
    file = path.join(folder, 'trap.js');
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** Loads the library beside a file that says when it is run, and is of `version`. */
  function load(version: string, before: readonly string[] = []): Answer {
    writeFileSync(file, `globalThis.trapped = true; exports.version = '${version}';`);
    const script = `
      const { capabilities } = require(${JSON.stringify(LIBRARY)});
      let addon = { support: 'threw', reason: '' };
      try { addon = capabilities().addon; } catch (error) { addon.reason = error.message; }
      const trapped = globalThis.trapped === true;
      console.log(JSON.stringify({ trapped, addon: addon.support, reason: addon.reason ?? '' }));`;
    const [program = '', ...rest] = [...before, process.execPath, '-e', script];
    const env = { ...process.env, MSG_ZEROCOPY_ADDON: file };
    const { stdout, stderr } = spawnSync(program, rest, { encoding: 'utf8', env });
    assert.notEqual(stdout, '', stderr);
    return JSON.parse(stdout) as Answer;
  }

  it('is loaded', () => {
    // And taken: it has nothing beside the version, which ends in an error of the caller's.
    const { trapped, addon } = load(VERSION);
    assert.deepEqual({ trapped, addon }, { trapped: true, addon: 'threw' });
  });

  it('is refused when its version differs, and nothing in it is called', () => {
    assert.deepEqual(load('0.0.1'), {
      trapped: true,
      addon: 'no',
      reason:
        `addon-unavailable: MSG_ZEROCOPY_ADDON=${file}: refused, its version is 0.0.1, not ${VERSION}; ` +
        `remedy: npx msg-zerocopy build --output ${file}`,
    });
  });

  if (process.geteuid?.() === 0) {
    for (const [what, flags] of [
      ['user', ['--ruid', String(NOBODY)]],
      ['group', ['--rgid', String(NOBODY), '--clear-groups']],
    ] as const) {
      it(`is not loaded when the real and the effective ${what} differ`, () => {
        const answer = load(VERSION, ['setpriv', ...flags]);
        assert.equal(answer.trapped, false);
        // The local build is taken instead.
        assert.deepEqual([answer.addon, answer.reason], ['yes', '']);
      });
    }
  } else {
    it('skipped: only root can start a process that acts for another user');
  }
});
