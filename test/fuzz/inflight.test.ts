// Ids and ranges: InFlight over random lives that begin anywhere in 53 bits, mostly beside a wrap.
import { InFlightPair, WRAP } from '../helpers/inflight-model';
import { eachLife, LIVES_TIMEOUT_MS } from '../helpers/lives';
import { between } from '../../scripts/random';

/** 2^20 turns of the counter: the ids stay far from 2^53. */
const MOST_TURNS = 2 ** 20;

describe('ids in flight', () => {
  it('are released as a model with 64-bit ids predicts', () => {
    eachLife((random) => {
      const turns = between(random, 0, 3) === 0 ? 0 : between(random, 0, MOST_TURNS);
      const pair = new InFlightPair(Math.max(0, turns * WRAP + between(random, -200, 200)));
      const steps = between(random, 1, 2000);
      for (let step = 0, sends = 0.5; step < steps; step++) {
        if (step % 100 === 0) sends = random();
        pair.step(random, sends);
        if (step % 16 === 0) pair.compare();
      }
      pair.finish();
    });
  }).timeout(LIVES_TIMEOUT_MS);
});
