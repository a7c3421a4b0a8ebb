// Runs the package with the tools of others: by this Node, and by each that MSG_ZEROCOPY_TEST_NODES names. All of
// a run is by one Node: tests, npm, bundlers, and every program that finds its `node` on PATH.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { testNodes } from '../helpers/test-nodes';

const USAGE = `usage: npm run test:ecosystem [-- [--grep TEXT] [FILE ...]]

  FILE     some of the files, as test/process/other-runtimes.test.ts
  --grep   only tests whose titles match, a regular expression`;

const TESTS = path.resolve(__dirname, '..');
const ROOT = path.resolve(TESTS, '../..');
const MOCHA = path.join(path.dirname(require.resolve('mocha/package.json')), 'bin/mocha.js');
const TIMEOUT_MS = 300_000;

/** Below test/, without what follows the name. */
function allFiles(): string[] {
  const packages = readdirSync(path.join(ROOT, 'test/integration'))
    .filter((file) => file.startsWith('package-'))
    .map((file) => `integration/${file.slice(0, -'.test.ts'.length)}`);
  return ['ecosystem/tools', ...packages, 'process/other-runtimes', 'process/package-loader'];
}

function fileNamed(given: string): string {
  const name = path.relative(path.join(ROOT, 'test'), path.resolve(given));
  const file = name.replace(/(\.test)?\.ts$/, '');
  if (allFiles().includes(file)) return file;
  throw new TypeError(`${given} is none of these files: ${allFiles().join(', ')}`);
}

function compiled(file: string): string {
  return path.join(TESTS, `${file}${file === 'ecosystem/tools' ? '' : '.test'}.js`);
}

function passesUnder(node: string, files: readonly string[], grep: string | undefined): boolean {
  const reporter = path.join(__dirname, 'reporter.js');
  const setup = ['--no-config', '--forbid-only', '--require', path.join(TESTS, 'setup.js')];
  const options = ['--reporter', reporter, '--timeout', String(TIMEOUT_MS)];
  if (grep !== undefined) options.push('--grep', grep);
  const { status, error } = spawnSync(node, [MOCHA, ...setup, ...options, ...files.map(compiled)], {
    cwd: ROOT,
    stdio: 'inherit',
    env: {
      ...process.env,
      PATH: `${path.dirname(node)}:${process.env['PATH']}`,
      MSG_ZEROCOPY_TEST_MANAGERS: 'all',
    },
  });
  if (error !== undefined) throw error;
  return status === 0;
}

function main(): number {
  const options = { grep: { type: 'string' } } as const;
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const files = positionals.length > 0 ? positionals.map(fileNamed) : allFiles();
  const nodes = [process.execPath, ...testNodes()];
  const failed = nodes.filter((node) => !passesUnder(node, files, values.grep));
  for (const node of failed) console.log(`failed by ${node}`);
  return failed.length === 0 ? 0 : 1;
}

try {
  process.exitCode = main();
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  console.error(`${error.message}\n\n${USAGE}`);
  process.exitCode = 2;
}
