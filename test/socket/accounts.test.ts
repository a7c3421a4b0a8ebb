// What is told of bytes: the parts of a report sum up whatever the budget leaves room for, and counts
// speak of what was sent, not of what waits.
import assert from 'node:assert/strict';
import { gather, loopback, sha256, STALLING_BYTES } from '../helpers/loopback';

const KB = 1024;

describe('the byte counts of stats', () => {
  const connections = loopback();

  for (const threshold of [0, 1, 4 * KB, 32 * KB]) {
    for (const maxPendingBytes of [0, 8 * KB, 8 * KB + 1, 24 * KB, 64 * KB]) {
      it(`add up with a threshold of ${threshold} and a budget of ${maxPendingBytes} bytes`, async () => {
        const zeroCopy = { engine: 'msg_zerocopy', threshold, maxPendingBytes } as const;
        const { sender, receiver } = await connections.pair(zeroCopy);
        sender.on('error', assert.fail);
        const data = [Buffer.alloc(300 * KB, 1), Buffer.alloc(10, 2), Buffer.alloc(90 * KB, 3)];
        const arrived = gather(receiver);
        const sent = sender.send(data);
        const most = sender.zeroCopy.pendingBytes;
        const report = await sent;
        const { zeroCopyBytes, copiedBytes, kernelCopiedBytes, unknownBytes } = report;
        assert.equal(report.bytes, 390 * KB + 10);
        assert.equal(zeroCopyBytes + copiedBytes + kernelCopiedBytes + unknownBytes, report.bytes);
        assert.ok(most <= maxPendingBytes, `${most} bytes were pinned`);
        if (maxPendingBytes <= 8 * KB) {
          assert.equal(copiedBytes, report.bytes);
          assert.ok(sender.zeroCopy.stats.budgetCopies > 0);
        }
        sender.end();
        assert.equal((await arrived).sha256, sha256(...data));
      });
    }
  }

  it('do not count waiting bytes as copied', async () => {
    const { sender, receiver } = await connections.pair({ engine: 'msg_zerocopy' });
    sender.write(Buffer.alloc(STALLING_BYTES));
    sender.write(Buffer.alloc(100 * KB));
    sender.write('small');
    assert.equal(sender.zeroCopy.stats.copiedBytes, 0);
    const arrived = gather(receiver);
    await new Promise((resolve) => sender.end(() => resolve(undefined)));
    const { zeroCopyBytes, copiedBytes } = sender.zeroCopy.stats;
    const { bytes } = await arrived;
    assert.equal(bytes, STALLING_BYTES + 100 * KB + 5);
    assert.equal(zeroCopyBytes + copiedBytes, bytes);
    assert.equal(sender.bytesWritten, bytes);
  });
});
