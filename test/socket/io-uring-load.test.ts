// More than fits at a time: stalled readers by the thousand, and a ring of four entries.
import assert from 'node:assert/strict';
import { type TcpPlace, uringEverywhere } from '../helpers/tcp-place';
import type { Runner } from '../helpers/runner';

const TINY_RING = { MSG_ZEROCOPY_RING_ENTRIES: '4,8' };
/** A process that spins uses a thousand in a second; two thousand sockets whose peers open a window now and
 * then take up to 150. */
const CPU_AT_REST_MS = 500;
/** Less than two thousand stalled connections would have pinned. */
const BUDGET = 256 * 1024 * 1024;
const zeroCopy = { engine: 'io_uring' as const };

const CROWDS = {
  inOneTurn: 'two hundred connections that write in one turn',
  drainedAtOnce: 'sixty stalled connections that drain at once',
  forcedOnOne: 'four thousand forced sends on one stalled connection',
} as const;

function paramsOf(place: TcpPlace) {
  return { to: place.to(), senderHost: place.senderHost, zeroCopy };
}

uringEverywhere('a crowd', (getPlace) => {
  for (const [entries, environment] of [
    ['an ordinary ring', {}],
    ['a ring of 4 and 8 entries', TINY_RING],
  ] as const) {
    describe(`on ${entries}`, () => {
      // One for each test: what a failed one leaves would fail the others.
      let runner: Runner | undefined;
      beforeEach(() => (runner = getPlace().startRunner([], environment)));
      afterEach(() => runner?.stop());
      for (const [name, title] of Object.entries(CROWDS)) {
        it(`serves ${title}`, async () => {
          const scenario = name as keyof typeof CROWDS;
          await (runner as Runner).run('io-uring-load', scenario, paramsOf(getPlace()));
        });
      }
      for (const name of ['callbacks', 'corked', 'smallBudget', 'everythingForced'] as const) {
        it(`passes '${name}' of the conformance suite`, async () => {
          const params = paramsOf(getPlace());
          // The descriptors of the ring stay, and these scenarios count.
          await (runner as Runner).run('io-uring-refused', 'transfer', params);
          await (runner as Runner).run('conformance', name, params);
        });
      }
    });
  }

  it('pins no more than the budget for two thousand stalled readers, idles, and serves all', async () => {
    const place = getPlace();
    // Small send buffers, so that every write stalls. Over loopback the machine's are what they are.
    place.place.set('sender', 'net/ipv4/tcp_wmem', '4096 16384 131072');
    try {
      const params = { ...paramsOf(place), budget: BUDGET };
      const seen = await place.runner.run('io-uring-load', 'manyStalled', params);
      assert.ok(seen.mostPinned <= BUDGET, `${seen.mostPinned} bytes were pinned`);
      assert.ok(seen.mostPinned > BUDGET / 2, `only ${seen.mostPinned} bytes were pinned`);
      assert.ok(seen.cpuMs < CPU_AT_REST_MS, `${seen.cpuMs} ms of CPU time in a second`);
      if (place.rig !== undefined) assert.ok(seen.waiting > 1000, `${seen.waiting} stalled`);
    } finally {
      place.place.growSendBuffers();
    }
  }).timeout(120_000);
});
