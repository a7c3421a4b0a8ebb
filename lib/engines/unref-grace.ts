// Whom an unref'ed socket still owes a callback: the event loop stays for it a bounded time, because
// otherwise a process ends in the middle of an `await`. An http.Agent unref's a connection as soon as the
// answer is there, which may be before the release (test/boundary/exit.test.ts); in plain Node the callback
// came at acceptance. A peer that stalls does not keep the process.
import { clearTimeout, setTimeout } from '../clock.js';

/** As long as the end of the process waits for releases (EXIT_GRACE_MS of lib/reactor.ts). */
const UNREF_GRACE_MS = 500;

export class UnrefGrace {
  #timer: NodeJS.Timeout | undefined;

  /** Calls `unref` when the time is over. The timer holds nothing itself: the port does. */
  begin(unref: () => void): void {
    this.end();
    this.#timer = setTimeout(unref, UNREF_GRACE_MS).unref();
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}
