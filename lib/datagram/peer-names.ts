// The names of peers in received datagrams, decoded once for as long as they repeat.
import type { DatagramWords } from './metadata.js';

export class PeerNames<Name> {
  readonly #words: DatagramWords;
  readonly #decode: (name: Buffer) => Name | undefined;
  #lastWords: Uint32Array | undefined;
  #last: Name | undefined;

  constructor(words: DatagramWords, decode: (name: Buffer) => Name | undefined) {
    this.#words = words;
    this.#decode = decode;
  }

  /** Who sent datagram `slot`; undefined where the kernel did not say. */
  of(slot: number): Name | undefined {
    if (this.#lastWords !== undefined && this.#words.sameName(slot, this.#lastWords)) {
      return this.#last;
    }
    this.#lastWords = this.#words.copyName(slot);
    this.#last = this.#decode(this.#words.name(slot));
    return this.#last;
  }
}
