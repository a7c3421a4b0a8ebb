// Ends of connections that write in the same turn, and the scenarios of teardown, linger, churn and
// budget over io_uring.
import assert from 'node:assert/strict';
import { uringEverywhere } from '../helpers/tcp-place';
import type { TcpPlace } from '../helpers/tcp-place';

const ENDS = {
  dialledAgain: 'keeps requests from a connection that has their descriptor number now',
  acceptedAgain: 'does so for connections that a server accepts',
  destroyedInTurn: 'sends what was written before destroy() in the same turn',
  endedInTurn: 'sends FIN behind what was written in the same turn',
  destroyedInFlight: 'releases everything when connections end with requests in flight',
  resetByPeer: 'settles everything when peers reset',
} as const;

const TEARDOWN = {
  destroyed: 'delivers what was accepted, and only that, after destroy()',
  destroyedWithError: 'does so after destroy(error), too',
  reusedInErrorCallback: 'runs error callbacks only when the memory may be reused',
  reset: 'releases everything at once at resetAndDestroy(), which the peer sees as a reset',
  resetByPeer: 'settles every callback when the peer resets with writes pending',
  closedByPeer: 'settles every callback when the peer closes while we stream',
  destroyedSoon: 'delivers everything after destroySoon()',
} as const;

const LINGER = {
  stalled: 'is reset when the reader stalls for lingerTimeoutMs, and everything is released',
  steady: 'is never cut while a slow reader makes progress, however long it takes',
  steadyInOneSend: 'is not cut while it makes progress within one large send',
  lateData: 'is reset when the peer still sends',
} as const;

const BUDGET = {
  socketBudget: 'pins no more than maxPendingBytes in ten thousand sends',
  processBudget: 'pins no more than the budget of the process for fifty stalled readers',
  copiedBytes: 'does not count as copied what still waits',
} as const;

const zeroCopy = { engine: 'io_uring' as const };

function paramsOf(place: TcpPlace) {
  return { to: place.to(), senderHost: place.senderHost, zeroCopy };
}

uringEverywhere('the end of a connection', (getPlace) => {
  for (const [name, title] of Object.entries(ENDS)) {
    it(title, async () => {
      const { runner } = getPlace();
      await runner.run('io-uring-ends', name as keyof typeof ENDS, paramsOf(getPlace()));
    });
  }
});

uringEverywhere('teardown', (getPlace) => {
  for (const [name, title] of Object.entries(TEARDOWN)) {
    it(title, async () => {
      const { runner } = getPlace();
      await runner.run('teardown', name as keyof typeof TEARDOWN, paramsOf(getPlace()));
    });
  }
});

uringEverywhere('linger', (getPlace) => {
  for (const [name, title] of Object.entries(LINGER)) {
    it(title, async () => {
      const { runner } = getPlace();
      await runner.run('linger', name as keyof typeof LINGER, paramsOf(getPlace()));
    });
  }
});

uringEverywhere('the budget', (getPlace) => {
  for (const [name, title] of Object.entries(BUDGET)) {
    it(title, async () => {
      const { runner } = getPlace();
      await runner.run('budget', name as keyof typeof BUDGET, paramsOf(getPlace()));
    });
  }
});

uringEverywhere('churn', (getPlace) => {
  // The descriptors of the ring stay, and these scenarios count.
  before(() => getPlace().runner.run('io-uring-refused', 'transfer', paramsOf(getPlace())));

  for (const seed of [23, 1999, 314_159]) {
    it(`delivers no wrong byte and leaves nothing behind (seed ${seed})`, async () => {
      const params = { ...paramsOf(getPlace()), seed };
      const { bytes, openPorts } = await getPlace().runner.run('churn', 'churn', params);
      assert.ok(bytes > 10_000_000, `only ${bytes} bytes arrived`);
      assert.equal(openPorts, 0);
    });
  }

  for (const name of ['retained', 'collectable'] as const) {
    const what = name === 'retained' ? 'keeps the memory of writes' : 'lets the memory of all go';
    it(`${what} without a waiting callback`, async () => {
      await getPlace().runner.run('churn', name, { ...paramsOf(getPlace()), seed: 1 });
    });
  }
});
