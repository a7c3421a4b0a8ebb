// When zero copy pauses and comes back, as tables: what happened at which time, and what follows.
import assert from 'node:assert/strict';
import { Adaptive } from '../../../lib/policy/adaptive';

type Step =
  /** `count` notifications that said copied, or not. */
  | readonly ['copied' | 'clean', count: number]
  | readonly ['sent' | 'enobufs' | 'too low']
  | readonly ['wait', ms: number]
  /** What holds now. `may` is asked first, as a write does. */
  | readonly ['is', state: string, reason?: string]
  | readonly ['may' | 'may not'];

function play(steps: readonly Step[]): void {
  const adaptive = new Adaptive();
  let now = 1_000_000;
  steps.forEach((step, index) => {
    const where = `step ${index}: ${step.join(' ')}`;
    switch (step[0]) {
      case 'copied':
      case 'clean':
        for (let i = 0; i < step[1]; i++) {
          const before = adaptive.state;
          const answer = adaptive.completed(step[0] === 'copied', now);
          assert.equal(answer, adaptive.state === before ? undefined : adaptive.state, where);
        }
        break;
      case 'sent':
        adaptive.sent(now);
        break;
      case 'enobufs':
        assert.equal(adaptive.outOfBuffers('enobufs', now), 'paused', where);
        break;
      case 'too low':
        assert.equal(adaptive.outOfBuffers('limit-too-low', now), 'paused', where);
        break;
      case 'wait':
        now += step[1];
        break;
      case 'is':
        assert.equal(adaptive.state, step[1], where);
        assert.equal(adaptive.reason, step[2], where);
        break;
      default:
        assert.equal(adaptive.mayZeroCopy(now), step[0] === 'may', where);
    }
  });
}

/** A probe that comes back copied. */
const COPIED_PROBE: readonly Step[] = [['may'], ['sent'], ['may not'], ['copied', 1]];

const tables: Readonly<Record<string, readonly Step[]>> = {
  'waits long when the limit itself is too low': [
    ['too low'],
    ['is', 'paused', 'limit-too-low'],
    ['wait', 3_999],
    ['may not'],
    ['wait', 1],
    ['may'],
  ],
  'is active from the start, and one copied packet is no rule': [
    ['is', 'active'],
    ['may'],
    ['copied', 7],
    ['is', 'active'],
    ['may'],
  ],
  'pauses when a whole sample was copied': [
    ['copied', 8],
    ['is', 'paused', 'kernel-copied'],
    ['may not'],
  ],
  'pauses from half of a sample on': [
    ['clean', 4],
    ['copied', 4],
    ['is', 'paused', 'kernel-copied'],
  ],
  'goes on below half of a sample, and every sample starts anew': [
    ['clean', 5],
    ['copied', 3],
    ['is', 'active'],
    ['copied', 3],
    ['clean', 5],
    ['is', 'active'],
  ],
  'sends one probe when the pause is over, and resumes when it was not copied': [
    ['copied', 8],
    ['wait', 499],
    ['may not'],
    ['wait', 1],
    ['may'],
    ['is', 'probing', 'kernel-copied'],
    ['sent'],
    ['may not'],
    ['clean', 1],
    ['is', 'active'],
    ['may'],
  ],
  'doubles the pause with every copied probe, up to four seconds': [
    ['copied', 8],
    ...[500, 1000, 2000, 4000, 4000, 4000].flatMap((pause): Step[] => [
      ['wait', pause - 1],
      ['may not'],
      ['wait', 1],
      ...COPIED_PROBE,
      ['is', 'paused', 'kernel-copied'],
    ]),
  ],
  'remembers the back-off over a resume until a whole sample was clean': [
    ['copied', 8],
    ['wait', 500],
    ['may'],
    ['sent'],
    ['clean', 1],
    ['is', 'active'],
    ['copied', 8], // after the second pause: twice as long
    ['wait', 999],
    ['may not'],
    ['wait', 1],
    ['may'],
    ['sent'],
    ['clean', 1],
    ['clean', 8], // a clean sample: forgotten
    ['copied', 8],
    ['wait', 500],
    ['may'],
  ],
  'takes late notices during a pause, and before the probe is out, for no evidence': [
    ['copied', 8],
    ['copied', 20],
    ['clean', 20],
    ['is', 'paused', 'kernel-copied'],
    ['wait', 500],
    ['may'],
    ['clean', 20],
    ['is', 'probing', 'kernel-copied'],
    ['copied', 20],
    ['is', 'probing', 'kernel-copied'],
    ['may'],
  ],
  'gives a probe up that is never answered, and sends another': [
    ['copied', 8],
    ['wait', 500],
    ['may'],
    ['sent'],
    ['wait', 7_999],
    ['may not'],
    ['wait', 1],
    ['may'],
    ['sent'],
    ['may not'],
    ['clean', 1],
    ['is', 'active'],
  ],
  'pauses shortly for want of buffers, in any state': [
    ['enobufs'],
    ['is', 'paused', 'enobufs'],
    ['wait', 49],
    ['may not'],
    ['wait', 1],
    ['may'],
    ['enobufs'], // the probe failed: longer
    ['wait', 99],
    ['may not'],
    ['wait', 1],
    ['may'],
    ['sent'],
    ['clean', 1],
    ['is', 'active'],
  ],
  'says why it paused last': [
    ['enobufs'],
    ['wait', 50],
    ...COPIED_PROBE,
    ['is', 'paused', 'kernel-copied'],
    ['wait', 499],
    ['may not'],
    ['wait', 1],
    ['may'],
    ['enobufs'],
    ['is', 'paused', 'enobufs'],
  ],
  'forgets a half-seen sample when it pauses': [
    ['copied', 7],
    ['enobufs'],
    ['wait', 50],
    ['may'],
    ['sent'],
    ['clean', 1],
    ['copied', 1],
    ['is', 'active'],
  ],
};

describe('policy: adaptive', () => {
  for (const [title, steps] of Object.entries(tables)) it(title, () => play(steps));

  it('counts no sends while it is active', () => {
    const adaptive = new Adaptive();
    for (let i = 0; i < 100; i++) adaptive.sent(i);
    assert.equal(adaptive.mayZeroCopy(100), true);
    assert.equal(adaptive.state, 'active');
  });
});
