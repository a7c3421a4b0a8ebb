// Sends that share a packet share a notification, which comes when the last of it is acknowledged: on
// a connection that never drains that would be never, unless the chain is cut now and then.
import assert from 'node:assert/strict';
import { uringSuite } from '../helpers/suites';
import { rigPlaceSuite, type TcpPlace } from '../helpers/tcp-place';

const MIB = 1024 * 1024;
const TOTAL_BYTES = 2048 * MIB;
/**
 * The largest send buffer of the rig (place.ts), what is between two cuts, and one write; and what was
 * sent within the two milliseconds, or three on a busy machine, by which a release is told late.
 */
const BOUND_BYTES = 8 * MIB + MIB + 64 * 1024 + 2 * MIB;

async function assertBounded(place: TcpPlace, rate?: number): Promise<void> {
  const seen = await place.runner.run('io-uring-load', 'longStream', {
    to: place.to(),
    senderHost: place.senderHost,
    zeroCopy: { engine: 'io_uring' },
    totalBytes: TOTAL_BYTES,
    ...(rate === undefined ? {} : { rate }),
  });
  assert.ok(seen.zeroCopyBytes > 0.9 * seen.written, `${seen.zeroCopyBytes} without copying`);
  assert.equal(seen.budgetCopies, 0);
  assert.ok(seen.mostPendingBytes <= BOUND_BYTES, `${seen.mostPendingBytes} bytes pending`);
}

function withPlace(title: string, options: { rate?: string }, rate?: number): void {
  rigPlaceSuite(
    `io_uring: releases during a stream of 2 GiB, ${title}`,
    (getPlace) => {
      it('keep pending bytes below the send buffer, one cadence and one write', async () => {
        await assertBounded(getPlace(), rate);
      }).timeout(120_000);
    },
    options,
  );
}

uringSuite('io_uring', () => {
  withPlace('written at 400 MB/s to a link that carries more', {}, 400_000_000);
  withPlace('written as fast as a link of 4 Gbit/s takes it', { rate: '4gbit' });
});
