// One line for each test file. Failures in full, and what was skipped, are for the end of everything
// (test/run.ts), so they go into a file: --reporter-option outcome=FILE.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import Mocha from 'mocha';
import type { Outcome } from './outcome';

const { constants } = Mocha.Runner;
const { color } = Mocha.reporters.Base;
const TESTS = __dirname;
/** What mocha prints of an error: the rest of it may be anything. */
const PRINTED = ['name', 'message', 'stack', 'code', 'actual', 'expected', 'showDiff'] as const;

class FileLine {
  passed = 0;
  failed: string[] = [];
  skipped = 0;
  milliseconds = 0;

  constructor(readonly file: string) {}

  print(): void {
    const tests = this.passed + this.failed.length;
    const parts = [`${tests} tests`, `${(this.milliseconds / 1000).toFixed(1)} s`];
    if (this.failed.length > 0) parts.splice(1, 0, `${this.failed.length} FAILED`);
    if (this.skipped > 0) parts.splice(1, 0, `${this.skipped} skipped`);
    const right = this.failed.length === 0;
    const sign = right ? color('checkmark', '✔') : color('fail', '✘');
    console.log(`${sign} ${this.file}: ${parts.join(', ')}`);
    for (const title of this.failed) console.log(color('fail', `    ${title}`));
  }
}

function nameOf(file: string | undefined): string {
  if (file === undefined) return 'outside of any test file';
  return path.relative(TESTS, file).replace(/\.test\.js$/, '');
}

function printedPartOf(error: Error): Record<string, unknown> {
  const source = error as unknown as Record<string, unknown>;
  return Object.fromEntries(PRINTED.map((name) => [name, source[name]]));
}

class FileReporter extends Mocha.reporters.Base {
  readonly #skipped: string[] = [];
  #line: FileLine | undefined;

  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    const { outcome } = options.reporterOptions as { outcome: string };
    runner.on(constants.EVENT_TEST_PASS, (test) => void this.#of(test.file).passed++);
    runner.on(constants.EVENT_TEST_PENDING, (test) => {
      this.#of(test.file).skipped++;
      this.#skipped.push(test.fullTitle());
    });
    runner.on(constants.EVENT_TEST_FAIL, (test: Mocha.Test, error: Error & { file?: string }) => {
      this.#of(test.file ?? error.file).failed.push(test.fullTitle());
    });
    for (const event of [constants.EVENT_TEST_END, constants.EVENT_HOOK_END]) {
      runner.on(event, (test: Mocha.Test) => {
        if (test.file !== undefined) this.#of(test.file).milliseconds += test.duration ?? 0;
      });
    }
    runner.once(constants.EVENT_RUN_END, () => {
      this.#line?.print();
      writeFileSync(outcome, JSON.stringify(this.#outcome()));
    });
  }

  /** Files come one after another, also when several run at a time: mocha keeps their events together. */
  #of(file: string | undefined): FileLine {
    const name = nameOf(file);
    if (this.#line?.file !== name) {
      this.#line?.print();
      this.#line = new FileLine(name);
    }
    return this.#line;
  }

  #outcome(): Outcome {
    return {
      passed: this.stats.passes,
      failures: this.failures.map((test) => ({
        titlePath: test.titlePath(),
        err: printedPartOf(test.err as Error),
      })),
      skipped: this.#skipped,
    };
  }
}

export = FileReporter;
