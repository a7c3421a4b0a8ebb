// What node-gyp needs from the system, and from where it can be had.
import { accessSync, constants, existsSync } from 'node:fs';
import path from 'node:path';

export const PACKAGES = [
  '  Debian, Ubuntu   apt-get install g++ make python3',
  '  Alpine           apk add g++ make python3 linux-headers',
  '  Fedora, RHEL     dnf install gcc-c++ make python3',
].join('\n');

function isProgram(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isFound(name, env) {
  if (name.includes('/')) return isProgram(name);
  const folders = (env.PATH ?? '').split(path.delimiter).filter((folder) => folder !== '');
  return folders.some((folder) => isProgram(path.join(folder, name)));
}

/** What is missing, by the names of the programs. CXX, MAKE and PYTHON name others, as for node-gyp. */
export function missingPrograms(env) {
  const python = env.NODE_GYP_FORCE_PYTHON || env.npm_config_python || env.PYTHON;
  const wanted = [
    // "ccache g++" is a compiler, too.
    [(env.CXX || 'g++').trim().split(/\s+/)[0]],
    [env.MAKE || 'make'],
    python ? [python] : ['python3', 'python'],
  ];
  return wanted.filter((names) => !names.some((name) => isFound(name, env))).map(([name]) => name);
}

/** The folder with this Node's own headers in include/node; undefined: node-gyp downloads them. */
export function headersFolder(env) {
  if (env.npm_config_nodedir) return env.npm_config_nodedir;
  const prefix = path.resolve(path.dirname(process.execPath), '..');
  return existsSync(path.join(prefix, 'include/node/node_api.h')) ? prefix : undefined;
}
