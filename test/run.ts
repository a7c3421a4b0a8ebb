// Runs the tests: those that can share the machine several files at a time, then those that need it for
// themselves (test/tiers.ts).
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import Mocha from 'mocha';
import type { Outcome } from './outcome';
import { ALONE, type Reasons, REST } from './tiers';
import { readCommandLine, UsageError } from '../scripts/command-line';

const USAGE = `usage: npm test [-- [--grep TEXT] [--jobs N] FILE ...]
       npm run test:rest    what npm test leaves out, because it takes long
       npm run test:all     everything

  FILE     test files, as test/socket/chunks.test.ts; one after another, with the title of each test
  --grep   only tests whose titles match
  --jobs   test files at a time (default: one for each CPU)`;

const TIERS = ['quick', 'rest', 'all'] as const;
type Tier = (typeof TIERS)[number];

const ROOT = path.resolve(__dirname, '../..');
const MOCHA = path.join(path.dirname(require.resolve('mocha/package.json')), 'bin/mocha.js');
const SOURCE_SUFFIX = '.test.ts';
const TIMEOUT_MS = 60_000;

interface Chosen {
  readonly grep: string | undefined;
  readonly jobs: number;
}

/** A bad command line: the message says what is wrong with it. */
// Of the sources: what was compiled from a file that is gone may still be there.
function allFiles(): string[] {
  return readdirSync(path.join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(SOURCE_SUFFIX))
    .map((file) => file.slice(0, -SOURCE_SUFFIX.length))
    .sort();
}

// A list that names files which are gone would leave out, or set apart, nothing.
function checkNames(files: readonly string[], reasons: Reasons): void {
  const unknown = Object.keys(reasons).filter((name) => !files.includes(name));
  if (unknown.length > 0) throw new Error(`test/tiers.ts names no test files: ${unknown}`);
}

function filesOf(tier: Tier): string[] {
  const files = allFiles();
  checkNames(files, REST);
  checkNames(files, ALONE);
  if (tier === 'all') return files;
  return files.filter((file) => file in REST === (tier === 'rest'));
}

function compiled(file: string): string {
  return path.join(__dirname, `${file}.test.js`);
}

function mocha(files: readonly string[], { grep }: Chosen, options: readonly string[]): string {
  const shared = ['--no-config', '--forbid-only', '--require', path.join(__dirname, 'setup.js')];
  const chosen = ['--timeout', String(TIMEOUT_MS), ...(grep === undefined ? [] : ['--grep', grep])];
  const argv = [MOCHA, ...shared, ...chosen, ...options, ...files];
  const { status, signal, error } = spawnSync(process.execPath, argv, {
    cwd: ROOT,
    stdio: 'inherit',
  });
  if (error !== undefined) throw error;
  return signal ?? `exit status ${status}`;
}

/** Runs files; what came of them. */
function run(files: readonly string[], chosen: Chosen, jobs: number): Outcome {
  if (files.length === 0) return { passed: 0, failures: [], skipped: [] };
  const folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-tests-'));
  const outcome = path.join(folder, 'outcome.json');
  const reporter = path.join(__dirname, 'file-reporter.js');
  const options = ['--reporter', reporter, '--reporter-option', `outcome=${outcome}`];
  if (jobs > 1) options.push('--parallel', '--jobs', String(jobs));
  try {
    const ended = mocha(files.map(compiled), chosen, options);
    try {
      return JSON.parse(readFileSync(outcome, 'utf8')) as Outcome;
    } catch {
      const err = { message: `mocha ended early: ${ended}`, stack: '' };
      return { passed: 0, failures: [{ titlePath: ['the test run'], err }], skipped: [] };
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function printEnd(outcomes: readonly Outcome[], seconds: number): number {
  const failures = outcomes.flatMap((outcome) => outcome.failures);
  const skipped = outcomes.flatMap((outcome) => outcome.skipped);
  const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0);
  // As mocha prints the tests of a run.
  const tests = failures.map(({ titlePath, err }) => ({ titlePath: () => titlePath, err }));
  if (tests.length > 0) Mocha.reporters.Base.list(tests as unknown as Mocha.Test[]);
  printSkipped(skipped);
  const counts = `${passed} passed, ${failures.length} failed, ${skipped.length} skipped`;
  console.log(`${counts}, in ${Math.round(seconds)} s`);
  return failures.length;
}

// Often the same is wanting: then it is said once.
function printSkipped(titles: readonly string[]): void {
  const byReason = new Map<string, string[]>();
  for (const title of titles) {
    const [what = '', reason = title] = title.split(/ skipped: (.*)/s);
    byReason.set(reason, [...(byReason.get(reason) ?? []), what]);
  }
  for (const [reason, [first = '', ...others]] of byReason) {
    if (others.length === 0)
      console.log(`skipped: ${first === reason ? '' : `${first}: `}${reason}`);
    else console.log(`skipped: ${reason} (${others.length + 1} suites, such as: ${first})`);
  }
}

function runTier(tier: Tier, chosen: Chosen): number {
  const began = performance.now();
  const files = filesOf(tier);
  const together = files.filter((file) => !(file in ALONE));
  const alone = files.filter((file) => file in ALONE);
  const outcomes = [run(together, chosen, chosen.jobs), run(alone, chosen, 1)];
  const failed = printEnd(outcomes, (performance.now() - began) / 1000);
  if (tier === 'quick') {
    const left = Object.keys(REST).length;
    console.log(`${left} test files take longer, and were left out: npm run test:rest`);
  }
  return failed === 0 ? 0 : 1;
}

/** `test/x.test.ts` and `dist/test/x.test.js` both name a test file. */
function fileNamed(given: string): string {
  const file = path.relative(path.join(ROOT, 'dist'), path.resolve(given));
  const inTests = file.startsWith('..') ? path.relative(ROOT, path.resolve(given)) : file;
  const name = path.relative('test', inTests).replace(/\.test\.[jt]s$/, '');
  if (!allFiles().includes(name)) throw new UsageError(`${given} is no test file`);
  return name;
}

function runFiles(given: readonly string[], chosen: Chosen): number {
  const files = given.map((file) => compiled(fileNamed(file)));
  const reporter = path.join(__dirname, 'reporter.js');
  return mocha(files, chosen, ['--reporter', reporter]) === 'exit status 0' ? 0 : 1;
}

function main(): number {
  const options = { grep: { type: 'string' }, jobs: { type: 'string' } } as const;
  const args = process.argv.slice(2);
  const { values, positionals } = readCommandLine({ args, options, allowPositionals: true });
  const jobs = Number(values.jobs ?? os.availableParallelism());
  if (!Number.isInteger(jobs) || jobs < 1) throw new UsageError('--jobs must be 1 or more');
  const chosen: Chosen = { grep: values.grep, jobs };
  const [tier, ...files] = positionals;
  if (!TIERS.includes(tier as Tier)) throw new UsageError('which tests?');
  return files.length === 0 ? runTier(tier as Tier, chosen) : runFiles(files, chosen);
}

try {
  process.exitCode = main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\n\n${USAGE}`);
  process.exitCode = 2;
}
