// Builds the addon: node-gyp for the release build, cmake-js with --sanitize for debug +
// AddressSanitizer + UndefinedBehaviorSanitizer. Headers come from the running Node's own include
// folder where it has one, so that nothing is downloaded.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);

if (process.platform !== 'linux') {
  console.log(`msg-zerocopy: no native part on ${process.platform}; the copy fallback is used`);
  process.exit(0);
}

const env = { ...process.env };
const prefix = path.resolve(path.dirname(process.execPath), '..');
if (!env.npm_config_nodedir && existsSync(path.join(prefix, 'include/node/node_api.h'))) {
  env.npm_config_nodedir = prefix;
}

// The Makefile holds the list of sources as it was when it was made.
function isConfigured() {
  const made = statSync(path.join(root, 'build/Makefile'), { throwIfNoEntry: false });
  const from = ['binding.gyp', 'scripts/sources.mjs'].map((file) => path.join(root, file));
  return made !== undefined && from.every((file) => statSync(file).mtimeMs < made.mtimeMs);
}

const sanitize = process.argv.includes('--sanitize');
const cmakeJs = path.join(path.dirname(require.resolve('cmake-js/package.json')), 'bin/cmake-js');
const nodeGyp = path.join(
  path.dirname(require.resolve('node-gyp/package.json')),
  'bin/node-gyp.js',
);
const command = sanitize
  ? [cmakeJs, 'compile', '--debug', '--out', 'build-sanitize', '--CDMSG_ZEROCOPY_SANITIZE=ON']
  : [nodeGyp, isConfigured() ? 'build' : 'rebuild', '--silent'];
const result = spawnSync(process.execPath, command, { cwd: root, env, stdio: 'inherit' });
if (result.error) throw result.error;
process.exit(result.status ?? 1);
