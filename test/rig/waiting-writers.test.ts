// Who waits for each callback before the next write would wait a round trip for it: such a writer is
// copied for, and a stream is not.
import assert from 'node:assert/strict';
import { rigPlaceSuite } from '../helpers/tcp-place';
import type { Manner } from '../scenarios/waiting';

const ENGINES = ['msg_zerocopy', 'io_uring'] as const;

rigPlaceSuite('writers that wait for their callbacks', (getPlace) => {
  for (const engine of ENGINES) {
    const hears = engine === 'io_uring';
    const params = () => ({ to: getPlace().to(), zeroCopy: {}, hears });

    it(`have their writes copied, and go zero-copy again once they stream, by ${engine}`, async () => {
      const { copied } = await getPlace()
        .startRunner()
        .run('waiting', 'waitsThenStreams', params());
      assert.ok(copied > 0);
    });

    it(`get their callbacks in the same turn while their writes are copied, by ${engine}`, async () => {
      const { first } = await getPlace().startRunner().run('waiting', 'callsBackAtOnce', params());
      assert.equal(first, 'the callback');
    });

    it(`are distinguished from a stream with callbacks, which is not copied, by ${engine}`, async () => {
      const { seen } = await getPlace().startRunner().run('waiting', 'streams', params());
      assert.deepEqual(seen, ['active', 0]);
    });

    it(`wait when engine and threshold are explicit, by ${engine}`, async () => {
      const given = { ...params(), zeroCopy: { engine, threshold: 65_536 } };
      const { seen } = await getPlace().startRunner().run('waiting', 'insists', given);
      assert.deepEqual(seen, ['active', 0]);
    });
  }
});

/** A release takes that long at least. */
const ROUND_TRIP_MS = 20;
const ROUNDS = 300;
/** Until a writer is known, and whenever it is looked at again. */
const MOST_WAITED = 60;

const MANNERS: readonly Manner[] = [
  'one write after the other',
  'one write after the other, with work in between',
  'two at a time, with work in between',
  'beside a peer that talks all the time, with work in between',
];

rigPlaceSuite(
  'writers far from their peer',
  (getPlace) => {
    for (const engine of ENGINES) {
      const hears = engine === 'io_uring';
      const params = () => ({ to: getPlace().to(), zeroCopy: {}, hears, rounds: ROUNDS });

      for (const manner of MANNERS) {
        it(`wait for only a few round trips: ${manner}, by ${engine}`, async () => {
          const given = { ...params(), manner };
          const { waited } = await getPlace().startRunner().run('waiting', 'waitsInManner', given);
          assert.ok(waited > 0 && waited <= MOST_WAITED, `${waited} of ${ROUNDS} writes waited`);
        });
      }

      it(`are distinguished from those that answer their peer, whose writes are copied only occasionally, by ${engine}`, async () => {
        const { copied } = await getPlace().startRunner().run('waiting', 'answers', params());
        assert.ok(copied <= ROUNDS / 10, `${copied} of ${ROUNDS} answers were copied`);
      });
    }
  },
  { roundTripMs: ROUND_TRIP_MS },
);
