// Suites that need io_uring: where the kernel or a sandbox refuses it, one pending test says why.
import assert from 'node:assert/strict';
import { capabilities } from '../../lib/index';
import { everywhere, type Place } from './place';

/** A suite of tests that send by io_uring. With CI set and as root, a refusal is a failure. */
export function uringSuite(title: string, body: () => void): void {
  describe(title, () => {
    const { support, reason } = capabilities().tcp.io_uring;
    if (support === 'yes') return body();
    if (process.env['CI'] && process.geteuid?.() === 0) {
      it('has io_uring', () => assert.fail(reason));
    } else {
      it(`skipped: no io_uring here: ${reason}`);
    }
  });
}

/** The same suite over loopback and over the rig. */
export function uringEverywhere(title: string, body: (getPlace: () => Place) => void): void {
  uringSuite(`io_uring: ${title}`, () => everywhere(title, body));
}
