// Which sizes go which way: from the static thresholds to what experiments say.
import assert from 'node:assert/strict';
import type { Verdict } from '../../../lib/policy/experiment';
import { DEFAULT_THRESHOLD_BYTES, RESPONSE_THRESHOLD_BYTES } from '../../../lib/policy/threshold';
import {
  SizeClass,
  SMALLEST_TUNED_BYTES,
  Tuner,
  type Situation,
  type Way,
} from '../../../lib/policy/tuner';

const KIB = 1024;
const MIB = 1024 * KIB;
const SIZES = [8, 16, 32, 64, 128, 256, 512, 1024, 2048].map((size) => size * KIB);

function tunerFrom(thresholdBytes: number): Tuner {
  return new Tuner({ stream: thresholdBytes, response: thresholdBytes });
}

function judge(tuner: Tuner, bytes: number, verdict: Verdict, nowMs = 0): void {
  tuner.settle(tuner.classFor('response', bytes), verdict, nowMs);
}

/** 'c' and 'z' for the sizes from 8 KiB to 2 MiB. */
function waysOf(tuner: Tuner, situation: Situation = 'response'): string {
  return SIZES.map((bytes) => tuner.classFor(situation, bytes).way.charAt(0)).join('');
}

describe('policy: tuner', () => {
  describe('at the start', () => {
    const starts = [
      { stream: DEFAULT_THRESHOLD_BYTES, response: RESPONSE_THRESHOLD_BYTES.io_uring },
      { stream: DEFAULT_THRESHOLD_BYTES, response: RESPONSE_THRESHOLD_BYTES.msg_zerocopy },
    ];
    for (const { stream, response } of starts) {
      it(`stands at the static thresholds ${stream} and ${response}`, () => {
        const tuner = new Tuner({ stream, response });
        assert.equal(tuner.threshold('stream'), stream);
        assert.equal(tuner.threshold('response'), response);
        for (const [situation, threshold] of [
          ['stream', stream],
          ['response', response],
        ] as const) {
          assert.equal(tuner.classFor(situation, threshold - 1).way, 'copy');
          assert.equal(tuner.classFor(situation, threshold).way, 'zerocopy');
        }
        assert.equal(tuner.changes, 0);
      });
    }

    const classes: readonly [bytes: number, like: number][] = [
      [8 * KIB, 8 * KIB],
      [16 * KIB - 1, 8 * KIB],
      [16 * KIB, 16 * KIB],
      [100_000, 64 * KIB],
      [MIB, MIB],
      [2 * MIB, 2 * MIB],
      [64 * MIB, 2 * MIB],
      [2 ** 31 - 1, 2 * MIB],
    ];
    for (const [bytes, like] of classes) {
      it(`takes ${bytes} bytes for the class of ${like}`, () => {
        const tuner = tunerFrom(64 * KIB);
        assert.ok(tuner.classFor('stream', bytes) instanceof SizeClass);
        assert.equal(tuner.classFor('stream', bytes), tuner.classFor('stream', like));
        assert.notEqual(tuner.classFor('stream', bytes), tuner.classFor('response', like));
      });
    }

    it('never has a threshold below 8 KiB', () => {
      const tuner = tunerFrom(1);
      assert.equal(waysOf(tuner), 'zzzzzzzzz');
      assert.equal(tuner.threshold('response'), SMALLEST_TUNED_BYTES);
      assert.equal(SMALLEST_TUNED_BYTES, 8 * KIB);
    });
  });

  describe('after verdicts on responses', () => {
    type Step = [bytes: number, verdict: Verdict];
    // Of 8K 16K 32K 64K 128K 256K 512K 1M 2M; the start is 64K: 'ccczzzzzz'.
    const table: readonly {
      name: string;
      steps: readonly Step[];
      ways: string;
      threshold: number | undefined;
      changes: number;
    }[] = [
      {
        name: 'a class goes over to copying when that is cheaper, with those below it',
        steps: [[64 * KIB, 'cheaper']],
        ways: 'cccczzzzz',
        threshold: 128 * KIB,
        changes: 1,
      },
      {
        name: 'and comes back',
        steps: [
          [64 * KIB, 'cheaper'],
          [64 * KIB, 'cheaper'],
        ],
        ways: 'ccczzzzzz',
        threshold: 64 * KIB,
        changes: 2,
      },
      {
        name: 'larger ones that were not judged follow a class that goes zero-copy',
        steps: [
          [1024 * KIB, 'cheaper'],
          [64 * KIB, 'cheaper'],
          [16 * KIB, 'cheaper'],
        ],
        // The first verdict took all below 1M along; the others stop there: it was judged, and copies.
        ways: 'czzzzzzcz',
        threshold: 2048 * KIB,
        changes: 3,
      },
      {
        name: 'smaller ones that were not judged follow a class that copies',
        steps: [[512 * KIB, 'cheaper']],
        ways: 'ccccccczz',
        threshold: 1024 * KIB,
        changes: 1,
      },
      {
        name: "one that was found 'dearer' stays and stops those behind it",
        steps: [
          [128 * KIB, 'dearer'],
          [512 * KIB, 'cheaper'],
        ],
        ways: 'ccczzcczz',
        threshold: 1024 * KIB,
        changes: 1,
      },
      {
        name: "'dearer' and 'no difference' change nothing",
        steps: [
          [64 * KIB, 'dearer'],
          [32 * KIB, 'no difference'],
        ],
        ways: 'ccczzzzzz',
        threshold: 64 * KIB,
        changes: 0,
      },
      {
        name: "one of 'no difference' was not judged and follows",
        steps: [
          [128 * KIB, 'no difference'],
          [256 * KIB, 'cheaper'],
        ],
        ways: 'cccccczzz',
        threshold: 512 * KIB,
        changes: 1,
      },
      {
        name: 'no threshold where the largest class copies',
        steps: [[2048 * KIB, 'cheaper']],
        ways: 'ccccccccc',
        threshold: undefined,
        changes: 1,
      },
      {
        name: 'the threshold is where zero copy has no gap above it',
        steps: [
          [32 * KIB, 'cheaper'],
          [256 * KIB, 'cheaper'],
        ],
        ways: 'cczccczzz',
        threshold: 512 * KIB,
        changes: 2,
      },
    ];
    for (const { name, steps, ways, threshold, changes } of table) {
      it(name, () => {
        const tuner = tunerFrom(64 * KIB);
        for (const [bytes, verdict] of steps) judge(tuner, bytes, verdict);
        assert.equal(waysOf(tuner), ways);
        assert.equal(tuner.threshold('response'), threshold);
        assert.equal(tuner.changes, changes);
        assert.equal(waysOf(tuner, 'stream'), 'ccczzzzzz');
        assert.equal(tuner.threshold('stream'), 64 * KIB);
      });
    }
  });

  describe('when an experiment is due', () => {
    it('takes the class with most bytes, and counts anew', () => {
      const tuner = tunerFrom(64 * KIB);
      tuner.classFor('response', 64 * KIB).kibibytes = 400;
      tuner.classFor('stream', 256 * KIB).kibibytes = 500;
      tuner.classFor('response', MIB).kibibytes = 300;
      assert.equal(tuner.mostDue(0), tuner.classFor('stream', 256 * KIB));
      assert.equal(tuner.mostDue(0), undefined);
    });

    it('takes the next one while that of most bytes is not due', () => {
      const tuner = tunerFrom(64 * KIB);
      const most = tuner.classFor('response', 64 * KIB);
      const next = tuner.classFor('response', MIB);
      tuner.settle(most, 'no difference', 1_000);
      for (const [nowMs, expected] of [
        [most.dueMs - 1, next],
        [most.dueMs, most],
      ] as const) {
        most.kibibytes = 1_000;
        next.kibibytes = 500;
        assert.equal(tuner.mostDue(nowMs), expected);
      }
    });

    it('takes none of two per cent of the bytes and less', () => {
      const tuner = tunerFrom(64 * KIB);
      const heavy = tuner.classFor('response', MIB);
      const light = tuner.classFor('response', 64 * KIB);
      heavy.dueMs = Infinity;
      for (const [bytes, expected] of [
        [2_000, undefined],
        [2_001, light],
      ] as const) {
        heavy.kibibytes = 100_000 - bytes;
        light.kibibytes = bytes;
        assert.equal(tuner.mostDue(0), expected);
      }
    });

    it('takes none where nothing was written', () => {
      assert.equal(tunerFrom(64 * KIB).mostDue(1e9), undefined);
    });
  });

  describe('intervals', () => {
    const intervalAfter = (one: SizeClass, verdict: Verdict, nowMs: number): number => {
      one.settle(verdict, nowMs);
      return one.dueMs - nowMs;
    };

    it('grow up to a minute while nothing changes, faster where the other way costs more', () => {
      const table: readonly [verdict: Verdict, intervals: number[]][] = [
        ['no difference', [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]],
        ['dearer', [4_000, 32_000, 60_000, 60_000, 60_000, 60_000, 60_000, 60_000]],
      ];
      for (const [verdict, expected] of table) {
        const one = new SizeClass('copy');
        const seen = expected.map((_, i) => intervalAfter(one, verdict, i * 1e6));
        assert.deepEqual(seen, expected);
      }
    });

    it('start anew after a change', () => {
      const one = new SizeClass('copy');
      for (let i = 0; i < 8; i++) one.settle('dearer', 0);
      assert.equal(intervalAfter(one, 'cheaper', 5_000), 500);
      assert.equal(intervalAfter(one, 'dearer', 9_000), 4_000);
    });
  });

  it('a class says whether it went over, and that a verdict was one', () => {
    const table: readonly [verdict: Verdict, way: Way, judged: boolean][] = [
      ['no difference', 'copy', false],
      ['dearer', 'copy', true],
      ['cheaper', 'zerocopy', true],
    ];
    for (const [verdict, way, judged] of table) {
      const one = new SizeClass('copy');
      assert.equal(one.settle(verdict, 0), way !== 'copy');
      assert.deepEqual([one.way, one.judged], [way, judged]);
    }
  });

  it('the other way than to copy is not to, and back', () => {
    const one = new SizeClass('zerocopy');
    assert.deepEqual([one.way, one.otherWay], ['zerocopy', 'copy']);
    one.settle('cheaper', 0);
    assert.deepEqual([one.way, one.otherWay], ['copy', 'zerocopy']);
    one.settle('cheaper', 0);
    assert.deepEqual([one.way, one.otherWay], ['zerocopy', 'copy']);
  });

  it('writes of 4 GiB and more are of the largest class, and count in full', () => {
    const tuner = tunerFrom(64 * KIB);
    for (const bytes of [2 ** 32, 2 ** 32 + 8192, 2 ** 33 - 1]) {
      const one = tuner.classFor('stream', bytes);
      assert.equal(one, tuner.classFor('stream', 16 * MIB));
      const before = one.kibibytes;
      one.count(bytes);
      assert.equal(one.kibibytes - before, Math.floor(bytes / KIB));
    }
  });
});
