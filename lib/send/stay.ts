// How long the process waits for memory that one connection has pinned. A referenced socket: until it is
// released. An unref'ed one: while the peer accepts data, because the end of the process resets the
// connection. A destroyed one: half a second, however slowly the peer reads; if the process lives on, the
// linger clock decides.
import { clearTimeout, nowMs, setTimeout } from '../node/clock.js';
import { LET_GO_MS, Linger } from '../policy/linger.js';
import type { Reactor } from '../native/reactor.js';

export class Stay {
  /** The socket is referenced: ref() and unref(). Only this class sets it. */
  referenced = true;
  #linger: Linger | undefined;
  #timer: NodeJS.Timeout | undefined;
  #letGo: NodeJS.Timeout | undefined;

  constructor(
    readonly reactor: Reactor,
    readonly port: number,
  ) {}

  /** The program calls ref() or unref(). @param pinned whether something is, at present */
  setReferenced(referenced: boolean, pinned: boolean): void {
    this.referenced = referenced;
    this.#stop();
    if (referenced) this.reactor.native.setReferenced(this.port, true);
    else if (pinned) this.sent();
  }

  /** A zero-copy send was accepted. */
  sent(): void {
    if (this.referenced) return;
    if (this.#linger !== undefined) return this.#linger.progressed(this.reactor.nowMs);
    this.#watch(LET_GO_MS, () => {
      this.#stop();
      this.giveUp();
    });
  }

  /** A notification came. */
  progressed(atMs: number): void {
    this.#linger?.progressed(atMs);
  }

  /** The socket is destroyed. @param expired called once there was no progress for `timeoutMs` */
  linger(timeoutMs: number, expired: () => void): void {
    this.giveUpSoon();
    this.#watch(timeoutMs, expired);
  }

  /** The socket is destroyed, and progress of the peer no longer counts. */
  giveUpSoon(): void {
    this.#stop();
    this.#letGo ??= setTimeout(() => this.giveUp(), LET_GO_MS).unref();
  }

  /** The process may end: connections with pinned memory are reset then, and counted. */
  giveUp(): void {
    this.reactor.native.setReferenced(this.port, false);
  }

  end(): void {
    this.#stop();
    clearTimeout(this.#letGo);
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#linger = undefined;
  }

  #watch(timeoutMs: number, expired: () => void): void {
    const linger = new Linger(timeoutMs, nowMs(), this.#unacknowledged());
    this.#linger = linger;
    // Timers are unreferenced: the port keeps the process alive.
    const look = (): void => {
      const wait = linger.check(nowMs(), this.#unacknowledged());
      if (wait === 0) expired();
      else this.#timer = setTimeout(look, wait).unref();
    };
    this.#timer = setTimeout(look, linger.check(nowMs(), this.#unacknowledged())).unref();
  }

  #unacknowledged(): number {
    return this.reactor.native.unacknowledged(this.port);
  }
}
