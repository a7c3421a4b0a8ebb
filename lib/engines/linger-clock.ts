// The clock of a destroyed connection whose memory the kernel still references.
import { clearTimeout, nowMs, setTimeout } from '../clock.js';
import { Linger } from '../policy/linger.js';

export class LingerClock {
  readonly #linger: Linger;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param unacknowledged answers the bytes that the peer has still to acknowledge
   * @param expired called once there was no progress for `timeoutMs`
   */
  constructor(
    timeoutMs: number,
    readonly unacknowledged: () => number,
    readonly expired: () => void,
  ) {
    this.#linger = new Linger(timeoutMs, nowMs(), unacknowledged());
    this.#look();
  }

  /** A notification came. */
  progressed(atMs: number): void {
    this.#linger.progressed(atMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  // Unreferenced: whether the process waits is the port's business.
  #look(): void {
    const wait = this.#linger.check(nowMs(), this.unacknowledged());
    if (wait === 0) this.expired();
    else this.#timer = setTimeout(() => this.#look(), wait).unref();
  }
}
