// The sends of one datagram socket that are under way, and the memory of each.
import type { Chance } from './chance';
import type { Kind, Piece } from './memory';
import { codeOf, isWant, type World } from './world';

/** What sends of a socket that is being closed, or that were cancelled, end with. */
const ENDED = new Set(['ECANCELED', 'AbortError', 'ABORT_ERR', 'ERR_SOCKET_DGRAM_NOT_RUNNING']);

export class DatagramTracker {
  readonly #world: World;
  readonly #channel: string;
  readonly #token: number;
  readonly #expected: readonly string[];
  readonly #underWay = new Set<Promise<void>>();
  /** Taken for the send that is made next. */
  #taken: Piece[] = [];
  #sequence = 0;

  /** @param expected codes of errors that this socket may meet */
  constructor(world: World, channel: string, token: number, expected: readonly string[] = []) {
    this.#expected = expected;
    this.#world = world;
    this.#channel = channel;
    this.#token = token;
  }

  get underWay(): number {
    return this.#underWay.size;
  }

  nextSequence(): number {
    return this.#sequence++;
  }

  /** Memory for the next send: overwritten when that settles. */
  take(bytes: number, chance: Chance): Piece {
    const kind: Kind = chance.pick(['plain', 'small', 'pool', 'huge']);
    const piece = this.#world.memory.take(bytes, kind);
    this.#taken.push(piece);
    return piece;
  }

  /** Fails the soak, unless the error is one that this process is to meet. */
  judge(error: Error): void {
    const code = codeOf(error);
    this.#world.ledger.add(`${this.#channel} error ${code}`);
    if (ENDED.has(code) || this.#expected.includes(code) || isWant(this.#world, error)) return;
    this.#world.ledger.fail(`${this.#channel}, token ${this.#token}: ${error.stack}`);
  }

  track(what: string, send: () => Promise<unknown>): void {
    const { ledger } = this.#world;
    const pieces = this.#taken;
    this.#taken = [];
    ledger.add(`${this.#channel} ${what}`);
    const bytes = pieces.reduce((sum, { data }) => sum + data.length, 0);
    ledger.add(`${this.#channel} bytes`, bytes);
    const happened = ledger.awaits(`${this.#channel} ${what} of token ${this.#token}`);
    const back = (): void => {
      for (const piece of pieces) piece.release();
      happened();
    };
    const done: Promise<void> = send()
      .then(back, (error: Error) => {
        back();
        this.judge(error);
      })
      .finally(() => this.#underWay.delete(done));
    this.#underWay.add(done);
  }

  async oneDone(): Promise<void> {
    await Promise.race(this.#underWay);
  }

  async allDone(): Promise<void> {
    await Promise.all(this.#underWay);
  }
}
