// How the scripts that run tests in a special way call mocha.
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);
const mocha = path.join(path.dirname(require.resolve('mocha/package.json')), 'bin/mocha.js');

/**
 * Arguments for Node.
 * @param files compiled test files, or patterns of such. Not those of .mocharc.json: mocha would add them
 * to what it is given
 * @param options of mocha's
 */
export function mochaArguments(files, timeoutMs, options = []) {
  const setup = ['--no-config', '--require', 'dist/test/setup.js', '--forbid-only'];
  const reporter = ['--reporter', 'dist/test/reporter.js', '--timeout', String(timeoutMs)];
  return [mocha, ...setup, ...reporter, ...options, ...files];
}
