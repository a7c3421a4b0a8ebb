// What a stretch of work costs as a whole, by how many writes and bytes it had, so that stretches of
// different composition can be compared. Pure: least squares that forget.

/** Weight that earlier stretches keep with each new one. */
const MEMORY = 0.97;
/** Stretches before a prediction is worth anything. */
const STRETCHES_TO_PREDICT = 4;

/** Work done in a stretch of time. */
export interface Work {
  readonly writes: number;
  readonly bytes: number;
}

export class CostModel {
  #stretches = 0;
  #nn = 0;
  #nb = 0;
  #bb = 0;
  #nc = 0;
  #bc = 0;

  learn({ writes, bytes }: Work, cost: number): void {
    this.#stretches++;
    this.#nn = this.#nn * MEMORY + writes * writes;
    this.#nb = this.#nb * MEMORY + writes * bytes;
    this.#bb = this.#bb * MEMORY + bytes * bytes;
    this.#nc = this.#nc * MEMORY + writes * cost;
    this.#bc = this.#bc * MEMORY + bytes * cost;
  }

  /** What the work should cost; undefined while too little is known. */
  predict({ writes, bytes }: Work): number | undefined {
    if (this.#stretches < STRETCHES_TO_PREDICT) return undefined;
    const determinant = this.#nn * this.#bb - this.#nb * this.#nb;
    // All stretches had the same mix: a write is as good a measure as a byte.
    if (determinant < this.#nn * this.#bb * 1e-4) return (this.#nc / this.#nn) * writes;
    const perWrite = (this.#nc * this.#bb - this.#bc * this.#nb) / determinant;
    const perByte = (this.#bc * this.#nn - this.#nc * this.#nb) / determinant;
    const predicted = perWrite * writes + perByte * bytes;
    return predicted > 0 ? predicted : (this.#nc / this.#nn) * writes;
  }
}
