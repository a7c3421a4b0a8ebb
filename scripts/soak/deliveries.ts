// Compares what senders say of a connection at its end with what arrived of it.
import { describeToken, processOf } from './names';
import type { Arrived, Sent } from './protocol';
import { DESCRIPTION_BYTES } from '../selftest/message';

export class Deliveries {
  readonly #sent = new Map<number, Sent>();
  readonly #arrived = new Map<number, Arrived>();
  readonly #fail: (reason: string) => void;
  compared = 0;

  constructor(fail: (reason: string) => void) {
    this.#fail = fail;
  }

  sent(sent: Sent): void {
    // Its sender is unknown.
    if (sent.most < DESCRIPTION_BYTES) return;
    this.#sent.set(sent.token, sent);
    this.#compare(sent.token);
  }

  arrived(arrived: Arrived): void {
    this.#arrived.set(arrived.token, arrived);
    this.#compare(arrived.token);
  }

  #compare(token: number): void {
    const sent = this.#sent.get(token);
    const arrived = this.#arrived.get(token);
    if (sent === undefined || arrived === undefined) return;
    this.#sent.delete(token);
    this.#arrived.delete(token);
    this.compared++;
    const { least, most, clean } = sent;
    const { bytes, how } = arrived;
    const tooFew = (clean && bytes !== most) || (how === 'ended' && bytes < least);
    if (tooFew || bytes > most) {
      const said = `${least} of ${most} bytes were released${clean ? ', without an error' : ''}`;
      this.#fail(`${describeToken(token)}: ${said}; ${bytes} arrived (${how})`);
    }
  }

  /** A process of this number begins: what one before it left is of no use. */
  forget(processNumber: number): void {
    for (const map of [this.#sent, this.#arrived]) {
      for (const token of map.keys()) if (processOf(token) === processNumber) map.delete(token);
    }
  }

  /** Everything has ended: what was sent in full has arrived. */
  finish(): void {
    for (const { token, most, clean } of this.#sent.values()) {
      if (clean) this.#fail(`${describeToken(token)}: ${most} bytes were sent, none arrived`);
    }
  }
}
