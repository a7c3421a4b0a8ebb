// How datagrams of a size go: by the user's threshold, or as what was measured says.
import assert from 'node:assert/strict';
import { DatagramChoice } from '../../lib/datagram/choice';
import { resolveOptions } from '../../lib/send/options';
import { SMALLEST_TUNED_BYTES } from '../../lib/policy/tuner';
import { tunerFor } from '../../lib/send/tuning';

const KIB = 1024;
const START = 32 * KIB;
const STARTS = { stream: START, response: START };

/** 'auto' as it is without the environment variable that tests run under. */
function automatic(): ReturnType<typeof resolveOptions> {
  return { ...resolveOptions(undefined), tuned: true, floor: SMALLEST_TUNED_BYTES };
}

describe('how a datagram goes', () => {
  it('by a threshold of the user, whatever is measured', () => {
    for (const threshold of [0, 1, 1400, 64 * KIB]) {
      const choice = new DatagramChoice('raw', resolveOptions({ threshold }));
      assert.equal(choice.floor, threshold);
      assert.deepEqual(choice.thresholds, { stream: threshold, response: threshold });
      for (const segmentSize of [0, 1400]) {
        assert.equal(choice.copies(threshold, segmentSize), false);
        if (threshold > 0) assert.equal(choice.copies(threshold - 1, segmentSize), true);
      }
    }
  });

  it('from 32 KiB on at first', () => {
    const choice = new DatagramChoice('raw', automatic());
    assert.deepEqual([choice.floor, choice.thresholds], [SMALLEST_TUNED_BYTES, STARTS]);
    assert.equal(choice.copies(START, 1400), false);
    assert.equal(choice.copies(START - 1, 1400), true);
  });

  it('as was measured, cut into segments or not, for all sockets of the protocol', () => {
    const now = performance.now();
    const tuner = tunerFor('udp', STARTS);
    const rows = tuner.classFor('stream', 16 * KIB);
    tuner.settle(rows, 'cheaper', now);
    const single = tuner.classFor('response', 60 * KIB);
    tuner.settle(single, 'cheaper', now);
    const choice = new DatagramChoice('udp', automatic());
    assert.deepEqual(choice.thresholds, { stream: 16 * KIB, response: 64 * KIB });
    assert.equal(choice.copies(16 * KIB, 1400), false);
    assert.equal(choice.copies(16 * KIB - 1, 1400), true);
    assert.equal(choice.copies(60 * KIB, 0), true);
    assert.deepEqual(new DatagramChoice('packet', automatic()).thresholds, STARTS);
    // What went is known to the tuner, which experiments with the sizes that carry the bytes.
    assert.equal(rows.kibibytes, 16);
    assert.equal(single.kibibytes, 60);
  });
});
