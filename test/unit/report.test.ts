// What a send() reports.
import assert from 'node:assert/strict';
import { SendTracker } from '../../lib/observe/report';

describe('the report of a send', () => {
  it('of no bytes is all zeros', () => {
    assert.deepEqual(new SendTracker(0).report(), {
      bytes: 0,
      zeroCopyBytes: 0,
      copiedBytes: 0,
      kernelCopiedBytes: 0,
      unknownBytes: 0,
      engine: 'copy',
    });
  });

  it('counts each outcome in its own field, and they add up to bytes', () => {
    const tracker = new SendTracker(15);
    tracker.released(1, 'zerocopy', 'msg_zerocopy');
    tracker.released(2, 'copied', 'msg_zerocopy');
    tracker.released(4, 'unknown', 'msg_zerocopy');
    tracker.copied(8, 'budget');
    const report = tracker.report();
    assert.deepEqual(report, {
      bytes: 15,
      zeroCopyBytes: 1,
      kernelCopiedBytes: 2,
      unknownBytes: 4,
      copiedBytes: 8,
      engine: 'msg_zerocopy',
      reason: 'budget',
    });
    const { zeroCopyBytes, copiedBytes, kernelCopiedBytes, unknownBytes } = report;
    assert.equal(zeroCopyBytes + copiedBytes + kernelCopiedBytes + unknownBytes, report.bytes);
  });

  it('gives the first reason other than that a chunk was small', () => {
    const tracker = new SendTracker(4);
    tracker.copied(1, undefined);
    tracker.copied(1, 'below-threshold');
    tracker.copied(1, 'enobufs');
    tracker.copied(1, 'budget');
    assert.equal(tracker.report().reason, 'enobufs');
  });

  it('has no reason when nothing was copied by choice', () => {
    const tracker = new SendTracker(1);
    tracker.released(1, 'copied', 'msg_zerocopy');
    assert.equal('reason' in tracker.report(), false);
  });
});
