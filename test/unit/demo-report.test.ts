// What the demo says about its figures: the cause must be the real one.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import type { Reason } from '../../lib/index';
import { explain, type Pair, type Trial } from '../../scripts/demo/report';
import { Place } from '../../scripts/place';

function pair(reason?: Reason): Pair {
  const plain: Trial = {
    cpuSeconds: 1,
    zeroCopySends: 0,
    kernelCopiedSends: 0,
    unknownSends: 0,
    copiedBytes: 0,
    responses: 10,
    bytes: 1000,
    wrong: 0,
  };
  return { plain, upgraded: { ...plain, ...(reason !== undefined && { reason }) } };
}

describe('an argument of the demo', () => {
  it('is refused, with the command that takes some', () => {
    const program = path.join(__dirname, '../../scripts/demo.js');
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, '--size'], {
      encoding: 'utf8',
    });
    assert.deepEqual([status, stdout], [2, '']);
    assert.match(stderr, /^demo: takes no arguments, not '--size'.* npm run bench -- --help\n$/);
  });
});

describe('the text of the demo, over loopback', () => {
  const place = Place.open('loopback');

  for (const reason of ['addon-unavailable', 'disabled'] as const) {
    it(`name the reason '${reason}', not loopback`, () => {
      const text = explain(place, [pair(reason)]);
      assert.match(text, new RegExp(`reason '${reason}'.*npx msg-zerocopy doctor`));
      assert.doesNotMatch(text, /loopback/);
    });
  }

  it('name loopback where the kernel copied', () => {
    for (const reason of ['kernel-copied', undefined] as const) {
      assert.match(explain(place, [pair(reason)]), /loopback, where Linux always copies/);
    }
  });
});
