// Limits what runs for a large write and for datagrams. Before V8 has optimized anything, in a process's
// first second, a write costs as much as runs for it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import type { Calls } from '../scenarios/calls';

describe('the functions that run for a send', () => {
  let counted: Calls;
  // In a process of its own: pools that others made are asked for by every write.
  before(() => {
    const program = path.join(__dirname, '../scenarios/calls.js');
    counted = JSON.parse(execFileSync(process.execPath, [program], { encoding: 'utf8' })) as never;
  });

  it('number at most 10 in 5 files, with one call of the addon, for a large write without a callback', () => {
    const { functions, files, nativeCalls } = counted.stream;
    assert.ok(functions <= 10, `${functions} functions`);
    assert.ok(files <= 5, `${files} files`);
    assert.ok(nativeCalls <= 1, `${nativeCalls} calls of the addon`);
  });

  it('number at most 18 in 7 files, with one call of the addon, for a large write from a pool', () => {
    const { functions, files, nativeCalls } = counted.pooled;
    assert.ok(functions <= 18, `${functions} functions`);
    assert.ok(files <= 7, `${files} files`);
    assert.ok(nativeCalls <= 1, `${nativeCalls} calls of the addon`);
  });

  // http writes three times for a response, sets two timeouts and ends a message.
  for (const [by, which] of Object.entries({
    MSG_ZEROCOPY: 'responses',
    io_uring: 'ringResponses',
  } as const)) {
    it(`number at most 27, with one call of the addon, for a response by ${by}`, () => {
      const { functions, nativeCalls } = counted[which];
      assert.ok(functions <= 27, `${functions} functions`);
      assert.ok(nativeCalls <= 1, `${nativeCalls} calls of the addon`);
    });
  }

  it('number at most 26 in 8 files, with one call of the addon, for one datagram with a callback', () => {
    const { functions, files, nativeCalls } = counted.datagram;
    assert.ok(functions <= 26, `${functions} functions`);
    assert.ok(files <= 8, `${files} files`);
    assert.ok(nativeCalls <= 1, `${nativeCalls} calls of the addon`);
  });

  it('number at most 20 for each of 64 datagrams with a callback, with one call of the addon for all', () => {
    const { functions, files, nativeCalls } = counted.datagrams;
    assert.ok(functions <= 20 * 64, `${functions / 64} functions`);
    assert.ok(files <= 8, `${files} files`);
    assert.ok(nativeCalls <= 1, `${nativeCalls} calls of the addon`);
  });
});
