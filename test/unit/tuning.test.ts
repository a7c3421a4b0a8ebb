// The loop over experiments, with traffic, time and CPU of the test's own: every write takes what its way
// costs, of a thread that does nothing else.
import assert from 'node:assert/strict';
import { SMALLEST_TUNED_BYTES, Tuner, type Situation, type Way } from '../../lib/policy/tuner';
import { Tuning } from '../../lib/send/tuning';
import { between, seededRandom } from '../helpers/prng';

const KIB = 1024;
const START = 64 * KIB;

/** Nanoseconds of a write. */
type Cost = (bytes: number, way: Way) => number;

interface Traffic {
  writes: number;
  /** Bytes of the next write. */
  size: () => number;
  /** Of the thread's time, what it works: 1 is saturated. */
  load?: number;
}

/** A thread that serves, and what its tuning made of it. */
class Simulation {
  readonly tuner = new Tuner({ stream: START, response: START });
  readonly tuning: Tuning;
  cost: Cost;
  readonly #random = seededRandom(17);
  readonly #noise: number;
  #ms = 1_000;
  #cpuNs = 0;

  /** @param noise what a write's cost varies by, either way, as a share of it */
  constructor(cost: Cost, noise: number) {
    this.cost = cost;
    this.#noise = noise;
    this.tuning = new Tuning(new Map([['', this.tuner]]), {
      nowMs: () => this.#ms,
      cpuNs: () => this.#cpuNs,
    });
  }

  /** Nobody writes. */
  rest(ms: number): void {
    this.#ms += ms;
    this.#cpuNs += ms * 1_000;
  }

  /** @returns how many writes went each way */
  write(traffic: Traffic, situation: Situation = 'response'): Record<Way, number> {
    const { writes, size, load = 1 } = traffic;
    const went = { copy: 0, zerocopy: 0, batch: 0 };
    for (let i = 0; i < writes; i++) {
      const bytes = size();
      const varied = 1 + this.#noise * (2 * this.#random() - 1);
      this.tuning.countWrite(bytes);
      const way = this.#wayOf(situation, bytes);
      went[way]++;
      const ns = this.cost(bytes, way) * varied;
      this.#cpuNs += ns;
      this.#ms += ns / 1e6 / load;
    }
    return went;
  }

  #wayOf(situation: Situation, bytes: number): Way {
    if (bytes < SMALLEST_TUNED_BYTES) return 'copy';
    const sizeClass = this.tuner.classFor(situation, bytes);
    sizeClass.count(bytes);
    return this.tuning.wayOf(sizeClass);
  }
}

const always = (bytes: number) => (): number => bytes;

/** A write of 64 KiB takes 30 µs when it is copied. @param share what zero copy takes of that */
function costing(share: number): Cost {
  return (bytes, way) => (8_000 + (bytes / (64 * KIB)) * 22_000) * (way === 'copy' ? 1 : share);
}

/** In some simulations costs are exact, in others every write varies by a tenth. */
const NOISES = [0, 0.1];

describe('tuning', () => {
  for (const noise of NOISES) {
    describe(`noise ${noise}`, () => {
      it('moves the threshold above 64 KiB within 5,000 writes where zero copy costs 20 % more', () => {
        const simulation = new Simulation(costing(1.2), noise);
        simulation.write({ writes: 5_000, size: always(64 * KIB) });
        assert.equal(simulation.tuner.threshold('response'), 128 * KIB);
        assert.equal(simulation.tuner.changes, 1);
        assert.equal(simulation.tuner.threshold('stream'), 64 * KIB);
      });

      it('does so for a stream as well', () => {
        const simulation = new Simulation(costing(1.2), noise);
        simulation.write({ writes: 5_000, size: always(64 * KIB) }, 'stream');
        assert.equal(simulation.tuner.threshold('stream'), 128 * KIB);
        assert.equal(simulation.tuner.threshold('response'), 64 * KIB);
      });

      it('moves it below 64 KiB where zero copy pays for 32 KiB', () => {
        const simulation = new Simulation(costing(0.8), noise);
        simulation.write({ writes: 5_000, size: always(32 * KIB) });
        assert.equal(simulation.tuner.threshold('response'), 32 * KIB);
      });

      it('leaves it where the start was right', () => {
        const simulation = new Simulation(costing(0.8), noise);
        simulation.write({ writes: 200_000, size: always(64 * KIB) });
        assert.equal(simulation.tuner.threshold('response'), 64 * KIB);
        assert.equal(simulation.tuner.changes, 0);
      });

      it('moves back within a minute when the costs change', () => {
        const simulation = new Simulation(costing(1.2), noise);
        simulation.write({ writes: 100_000, size: always(64 * KIB) });
        assert.equal(simulation.tuner.threshold('response'), 128 * KIB);
        simulation.cost = costing(0.8);
        // 30 µs each: a minute is the longest interval between two experiments.
        simulation.write({ writes: 2_500_000, size: always(64 * KIB) });
        assert.equal(simulation.tuner.threshold('response'), 64 * KIB);
        assert.equal(simulation.tuner.changes, 2);
      });

      // Each experiment sends some 800 writes the other way, and four seconds pass until the next, then
      // thirty-two: the share falls with time.
      for (const [share, dearer] of [
        [1.2, 'zerocopy'],
        [0.8, 'copy'],
      ] as const) {
        it(`sends few writes the dearer way, zero copy at ${share} of the price of a copy`, () => {
          const simulation = new Simulation(costing(share), noise);
          const early = simulation.write({ writes: 200_000, size: always(64 * KIB) });
          assert.ok(early[dearer] <= 200_000 * 0.015, `${early[dearer]} of the first 200,000`);
          const late = simulation.write({ writes: 800_000, size: always(64 * KIB) });
          assert.ok(late[dearer] <= 800_000 * 0.0025, `${late[dearer]} of the next 800,000`);
        });
      }

      it('finds for each size of a mix what is cheaper', () => {
        const random = seededRandom(5);
        const sizes = [16, 64, 256, 1024].map((size) => size * KIB);
        // Pays from 128 KiB on: a notification costs as much as copying that.
        const simulation = new Simulation(
          (bytes, way) => 10_000 + (way === 'copy' ? bytes / 4 : 24_000 + bytes / 16),
          noise,
        );
        const size = (): number => sizes[between(random, 0, 3)] as number;
        simulation.write({ writes: 100_000, size });
        const ways = sizes.map((bytes) => simulation.tuner.classFor('response', bytes).way);
        assert.deepEqual(ways, ['copy', 'copy', 'zerocopy', 'zerocopy']);
        const threshold = simulation.tuner.threshold('response') ?? Infinity;
        assert.ok(threshold > 64 * KIB && threshold <= 256 * KIB, `${threshold}`);
      });

      it('is not misled by the cost of other sizes in the same stretches', () => {
        const random = seededRandom(6);
        // Neither way differs; sizes do, a lot.
        const simulation = new Simulation((bytes) => 5_000 + bytes / 4, noise);
        const sizes = [1, 64, 1024].map((size) => size * KIB);
        simulation.write({
          writes: 200_000,
          size: () => sizes[between(random, 0, 2)] as number,
        });
        assert.equal(simulation.tuner.changes, 0);
        assert.equal(simulation.tuner.threshold('response'), START);
      });
    });
  }

  it('gives an experiment up when nothing of its class is asked about any more', () => {
    const tuner = new Tuner({ stream: START, response: START });
    let ms = 0;
    const tuning = new Tuning(new Map([['', tuner]]), { nowMs: () => ms, cpuNs: () => ms * 1e6 });
    const sizeClass = tuner.classFor('response', 64 * KIB);
    const settle = tuner.settle.bind(tuner);
    let verdicts = 0;
    tuner.settle = (...args) => {
      verdicts++;
      settle(...args);
    };
    const write = (times: number, asks: () => void): void => {
      for (let i = 0; i < times; i++) {
        tuning.countWrite(64 * KIB);
        asks();
        ms += 0.05;
      }
    };
    const ask = (): void => {
      sizeClass.count(64 * KIB);
      tuning.wayOf(sizeClass);
    };
    // Into the first experiment; then zero copy pauses, and copied writes go on.
    write(400, ask);
    assert.equal(verdicts, 0);
    write(20_000, () => undefined);
    assert.equal(verdicts, 0);
    write(20_000, ask);
    assert.ok(verdicts > 0, 'no experiment came to an end: this shows nothing');
  });

  it('changes nothing where the CPU of the thread is not known', () => {
    const tuner = new Tuner({ stream: START, response: START });
    let ms = 0;
    const clock = { nowMs: () => ms, cpuNs: () => 0 };
    const tuning = new Tuning(new Map([['', tuner]]), clock);
    const sizeClass = tuner.classFor('response', 64 * KIB);
    let otherWrites = 0;
    for (let i = 0; i < 50_000; i++) {
      tuning.countWrite(64 * KIB);
      sizeClass.count(64 * KIB);
      if (tuning.wayOf(sizeClass) !== sizeClass.way) otherWrites++;
      ms += 0.03;
    }
    assert.ok(otherWrites > 0, 'no experiment was made: this shows nothing');
    assert.equal(tuner.changes, 0);
    assert.equal(sizeClass.judged, false);
  });

  describe('when traffic dries up in an experiment', () => {
    /** @returns a simulation whose last write went the other way */
    function inExperiment(): { simulation: Simulation; writeOne: () => boolean } {
      // There is no difference: a verdict could only come from a pause.
      const simulation = new Simulation(costing(1), 0);
      const subject = simulation.tuner.classFor('response', 64 * KIB);
      const writeOne = (): boolean => {
        const went = simulation.write({ writes: 1, size: always(64 * KIB) });
        return went[subject.way] === 0;
      };
      for (let i = 0; i < 10_000; i++) if (writeOne()) return { simulation, writeOne };
      assert.fail('no write went the other way');
    }

    for (const into of [60, 100, 140]) {
      it(`gives the experiment up when traffic is back, pause ${into} writes after the turn`, () => {
        const { simulation, writeOne } = inExperiment();
        for (let i = 0; i < into; i++) assert.ok(writeOne(), `write ${i} of the stretch`);
        simulation.rest(10_000);
        // The first write ends it, and the rest is as long as after any experiment.
        for (let i = 0; i < 500; i++) assert.ok(!writeOne(), `write ${i} after the pause`);
        assert.equal(simulation.tuner.changes, 0);
        assert.equal(simulation.tuner.classFor('response', 64 * KIB).judged, false);
        assert.equal(simulation.tuner.threshold('response'), START);
      });
    }

    it('measures nothing of pauses that come before every stretch of the other way', () => {
      const { simulation, writeOne } = inExperiment();
      let pauses = 0;
      let other = true;
      for (let i = 0; i < 20_000; i++) {
        const before = other;
        other = writeOne();
        if (!other || before) continue;
        simulation.rest(10_000);
        pauses++;
      }
      assert.ok(pauses >= 5, `${pauses} pauses are too few for a verdict`);
      assert.equal(simulation.tuner.changes, 0);
      assert.equal(simulation.tuner.classFor('response', 64 * KIB).judged, false);
    });

    it('counts no stretch that lasted longer than a second, however it is loaded', () => {
      const { simulation } = inExperiment();
      const before = simulation.tuner.threshold('response');
      simulation.write({ writes: 1_000, size: always(64 * KIB), load: 0.001 });
      assert.equal(simulation.tuner.threshold('response'), before);
      assert.equal(simulation.tuner.classFor('response', 64 * KIB).judged, false);
    });
  });
});
