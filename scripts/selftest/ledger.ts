// The receiver's accounts: every byte is compared, every message counted once. Pure.
import { OVERWRITTEN } from '../pattern';
import { countWrong, type Description, readDescription } from './message';
import type { ReceiverResult } from './protocol';

const NOTHING = {
  messages: 0,
  bytes: 0,
  wrongMessages: 0,
  wrongBytes: 0,
  duplicates: 0,
  missing: 0,
  strangers: 0,
  drops: 0,
} as const satisfies ReceiverResult;

type Accounts = { -readonly [Name in keyof typeof NOTHING]: number };

/** Messages that arrive whole, each with its description. */
export class DatagramLedger {
  readonly #accounts: Accounts = { ...NOTHING };
  readonly #seen = new Set<number>();
  #token: number | undefined;
  #highest = -1;

  /** @param token of the run; undefined: that of the first message */
  constructor(token: number | undefined) {
    this.#token = token;
  }

  /** Messages of this run that have arrived, right or wrong. */
  get arrived(): number {
    const { wrongMessages, duplicates } = this.#accounts;
    return this.#seen.size + wrongMessages + duplicates;
  }

  /** Messages of this run that need not be waited for any longer. */
  get settled(): number {
    return this.#seen.size + this.#accounts.wrongMessages;
  }

  take(data: Buffer): void {
    const message = readDescription(data);
    if (message === undefined || message.token !== (this.#token ??= message.token)) {
      // Overwritten before it was sent, or from another sender.
      if (data[0] === OVERWRITTEN) this.#wrong(data.length);
      else this.#accounts.strangers++;
      return;
    }
    const wrong = countWrong(data, message, 0);
    if (wrong > 0 || data.length !== message.length) this.#wrong(wrong);
    else if (this.#seen.has(message.sequence)) this.#accounts.duplicates++;
    else this.#right(message);
  }

  /** @param sent how many messages were sent; undefined: as many as the last one that came tells */
  result(sent: number | undefined, drops: number): ReceiverResult {
    const expected = sent ?? this.#highest + 1;
    const missing = Math.max(0, expected - this.settled);
    return { ...this.#accounts, missing, drops };
  }

  #right({ sequence, length }: Description): void {
    this.#seen.add(sequence);
    this.#highest = Math.max(this.#highest, sequence);
    this.#accounts.messages++;
    this.#accounts.bytes += length;
  }

  #wrong(bytes: number): void {
    this.#accounts.wrongMessages++;
    this.#accounts.wrongBytes += bytes;
  }
}

/** One message of unknown length, that arrives in pieces. */
export class StreamLedger {
  readonly #accounts: Accounts = { ...NOTHING };
  #message: Description | undefined;
  #head = Buffer.alloc(0);
  #cut: string | undefined;

  constructor(token: number | undefined) {
    if (token !== undefined) this.#message = { token, sequence: 0, length: 0 };
  }

  take(piece: Buffer): void {
    this.#accounts.messages++;
    if (this.#message !== undefined) return this.#compare(piece, this.#message);
    // The token is not known yet: the description may come in pieces, too.
    this.#head = Buffer.concat([this.#head, piece]);
    this.#message = readDescription(this.#head);
    if (this.#message !== undefined) this.#compare(this.#head, this.#message);
  }

  /** The connection did not end as it should. */
  cut(how: string): void {
    this.#cut = how;
  }

  result(): ReceiverResult {
    const strange = this.#message === undefined ? this.#head.length : 0;
    return {
      ...this.#accounts,
      wrongBytes: this.#accounts.wrongBytes + strange,
      ...(this.#cut === undefined ? {} : { cut: this.#cut }),
    };
  }

  #compare(piece: Buffer, message: Description): void {
    const wrong = countWrong(piece, message, this.#accounts.bytes);
    this.#accounts.bytes += piece.length;
    this.#accounts.wrongBytes += wrong;
    if (wrong > 0) this.#accounts.wrongMessages++;
  }
}
