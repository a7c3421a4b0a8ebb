// How far a long run is: a bar on a terminal, nothing anywhere else.
import { MultiBar, type Options } from 'cli-progress';

const BAR = 24;

const format: NonNullable<Options['format']> = (_options, { progress, eta }, { what }) => {
  const filled = Math.round(progress * BAR);
  const bar = '='.repeat(filled) + '-'.repeat(BAR - filled);
  // Unknown before the first step is done.
  const left = Number.isFinite(eta) && progress > 0 ? `, ${eta} s left` : '';
  return `[${bar}] ${Math.round(progress * 100)} %${left}: ${what}`;
};

export class Progress {
  readonly #bars: MultiBar;
  readonly #bar: ReturnType<MultiBar['create']>;
  readonly #stream: NodeJS.WriteStream;

  /** @param total in whatever `at` counts: trials, seconds */
  constructor(total: number, stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
    this.#bars = new MultiBar({
      format,
      stream,
      // It is not to disturb what is measured.
      fps: 2,
      clearOnComplete: true,
      // What a signal means is the program's to say.
      gracefulExit: false,
    });
    this.#bar = this.#bars.create(total, 0, { what: 'starting' });
  }

  /** @param what is done now */
  at(done: number, what: string): void {
    this.#bar.update(done, { what });
    if (this.#stream.isTTY) this.#bars.update();
  }

  /** Prints a line that stays, also where there is no bar. */
  say(line: string): void {
    if (!this.#stream.isTTY) {
      this.#stream.write(`${line}\n`);
      return;
    }
    this.#bars.log(`${line}\n`);
    // At once: what is logged and not drawn is lost when the bar goes.
    this.#bars.update();
  }

  /** Removes the bar. A second call does nothing. */
  stop(): void {
    this.#bars.stop();
  }
}
