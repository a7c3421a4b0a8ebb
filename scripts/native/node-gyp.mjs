// Finds node-gyp: this package does not depend on it, npm brings one along.
import { existsSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

export const REMEDY = [
  'node-gyp was not found, neither in this project nor with npm. Install it and try again:',
  '  npm install --save-dev node-gyp',
].join('\n');

/** The program, for Node to run; undefined: there is none. */
export function findNodeGyp(env, root) {
  for (const from of requirers(env, root)) {
    try {
      const folder = path.dirname(createRequire(from).resolve('node-gyp/package.json'));
      return path.join(folder, 'bin/node-gyp.js');
    } catch {
      // The next one.
    }
  }
  return undefined;
}

// Files from whose place node-gyp is looked for.
function requirers(env, root) {
  const prefix = path.resolve(path.dirname(process.execPath), '..');
  const folders = (env.PATH ?? '').split(path.delimiter).filter((folder) => folder !== '');
  const npms = [
    // Set by npm and npx (and by pnpm and Yarn, to themselves).
    env.npm_execpath,
    path.join(prefix, 'lib/node_modules/npm/package.json'),
    ...folders.map((folder) => path.join(folder, 'npm')),
  ];
  return [
    path.join(root, 'package.json'),
    path.join(process.cwd(), 'package.json'),
    ...npms.filter((file) => file && existsSync(file)).map((file) => realpathSync(file)),
  ];
}
