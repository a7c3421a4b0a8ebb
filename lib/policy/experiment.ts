// Whether one of two ways costs less: stretches of each in turn, compared in pairs. Pure: costs come in as
// shares of what the work of a stretch was expected to cost.

export type Verdict = 'cheaper' | 'dearer' | 'no difference';

const FEWEST_PAIRS = 5;
/** While the other way seems to cost less, going on with it half of the time costs nothing. */
const MOST_PAIRS = 200;
/** Standard errors that the mean difference must be away from nothing. */
const CERTAINTY = 3;
/** A difference below this share is not worth a change. */
const WORTHWHILE = 0.01;
/** From so many pairs on one is given up whose difference, with its error, is not worth a change. */
const HOPELESS_AFTER = 10;

export class Experiment {
  #pairs = 0;
  #sum = 0;
  #squares = 0;

  /**
   * A pair of stretches is over.
   * @param present share of the expected cost that the present way took
   * @param alternative the same of the other way
   * @returns a verdict on the other way, once there is one
   */
  pair(present: number, alternative: number): Verdict | undefined {
    const difference = alternative - present;
    this.#pairs++;
    this.#sum += difference;
    this.#squares += difference * difference;
    if (this.#pairs < FEWEST_PAIRS) return undefined;
    const mean = this.#sum / this.#pairs;
    const variance = Math.max(0, this.#squares / this.#pairs - mean * mean);
    const error = Math.sqrt(variance / (this.#pairs - 1));
    if (mean + CERTAINTY * error < -WORTHWHILE) return 'cheaper';
    if (mean - CERTAINTY * error > 0) return 'dearer';
    if (this.#pairs >= HOPELESS_AFTER && mean - error > -WORTHWHILE) return 'no difference';
    return this.#pairs >= MOST_PAIRS ? 'no difference' : undefined;
  }
}
