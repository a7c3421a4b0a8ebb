// The bodies a server answers with: of one size, or a mix of sizes in an order that is the same for every
// contestant.
import type { BodyPart } from '../protocol';
import { makeBuffers } from './meter';

/** Sizes do not follow each other with a period shorter than this. */
const shortestPeriod = 4096;
const seed = 1;

export class Bodies {
  readonly #parts: { buffers: Buffer[]; next: number }[];
  /** Indices of parts: every period has exactly as many of each as their weights say. */
  readonly #order: Uint8Array;
  #at = 0;

  constructor(parts: readonly BodyPart[], allocate: (size: number) => Buffer) {
    this.#parts = parts.map(({ bytes, bodies }) => ({
      buffers: makeBuffers(bytes, bodies, allocate),
      next: 0,
    }));
    this.#order = shuffled(parts.map(({ weight }) => weight));
  }

  next(): Buffer {
    const part = this.#parts[this.#order[this.#at] as number] as {
      buffers: Buffer[];
      next: number;
    };
    this.#at = this.#at + 1 === this.#order.length ? 0 : this.#at + 1;
    const body = part.buffers[part.next] as Buffer;
    part.next = part.next + 1 === part.buffers.length ? 0 : part.next + 1;
    return body;
  }
}

function shuffled(weights: readonly number[]): Uint8Array {
  const whole = weights.reduce((sum, weight) => sum + weight, 0);
  const times = Math.ceil(shortestPeriod / whole);
  const order = Uint8Array.from(
    weights.flatMap((weight, index) => Array<number>(weight * times).fill(index)),
  );
  const random = linear(seed);
  for (let last = order.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [order[last], order[other]] = [order[other] as number, order[last] as number];
  }
  return order;
}

/** Numbers in [0, 1) that follow from the seed: a linear congruence, of which the upper bits are used. */
function linear(from: number): () => number {
  let state = from >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
