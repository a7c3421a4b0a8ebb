// Builds the addon: node-gyp for the release build, cmake-js for debug builds: --sanitize with
// AddressSanitizer + UndefinedBehaviorSanitizer, --thread with ThreadSanitizer, --debug with neither.
// Headers come from the running Node's own include folder where it has one, so that nothing is downloaded.
// `npx msg-zerocopy build` is this program, too.
import { spawnSync } from 'node:child_process';
import {
  accessSync,
  constants,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { findNodeGyp, REMEDY as NODE_GYP_REMEDY } from './native/node-gyp.mjs';
import { headersFolder, missingPrograms, PACKAGES } from './native/toolchain.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
// Published it lies deeper: a binding.gyp in the root of a package makes every `npm ci` compile it.
const inCheckout = existsSync(path.join(root, 'binding.gyp'));
const bindingGyp = path.join(root, inCheckout ? 'binding.gyp' : 'native/binding.gyp');
const require = createRequire(import.meta.url);

const HELP = "see 'msg-zerocopy build --help'";
const USAGE = `usage: msg-zerocopy build [--output FILE]

Compiles the native addon for this machine into this package's folder (build/Release), where it takes
precedence over an installed binary. Needs a C++17 compiler, make, python3 and Node's headers. Without headers
beside this Node, or in the folder that npm_config_nodedir names, node-gyp downloads them.

  --output FILE   writes it there instead, for a read-only node_modules, and changes nothing else. Start
                  programs with MSG_ZEROCOPY_ADDON=FILE in the environment to load it.`;

const OPTIONS = {
  sanitize: { type: 'boolean' },
  thread: { type: 'boolean' },
  debug: { type: 'boolean' },
  // For those who work on it: a warning of the compiler is an error.
  strict: { type: 'boolean' },
  output: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
};

/** Something that the reader of the message can mend. */
class Failure extends Error {
  constructor(message, status = 1) {
    super(message);
    this.status = status;
  }
}

function parse() {
  try {
    return parseArgs({ options: OPTIONS }).values;
  } catch (error) {
    throw new Failure(`${error.message.split('. ')[0]}; ${HELP}`, 2);
  }
}

function environment(strict) {
  const env = { ...process.env };
  const headers = headersFolder(env);
  if (headers === undefined) {
    console.error(
      'msg-zerocopy build: this Node has no headers beside it; node-gyp downloads them.',
    );
  } else {
    env.npm_config_nodedir = headers;
  }
  // binding.gyp asks `node`, which is to be this one.
  env.PATH = [path.dirname(process.execPath), env.PATH ?? ''].join(path.delimiter);
  // Where nothing has changed, nothing is printed.
  env.GNUMAKEFLAGS = `${env.GNUMAKEFLAGS ?? ''} --silent`.trim();
  // Behind binding.gyp's own flags: compilers that are not born yet have warnings of their own.
  if (!strict) env.CXXFLAGS = `${env.CXXFLAGS ?? ''} -Wno-error`.trim();
  return env;
}

// The Makefile holds the list of sources and the version as they were when it was made.
function isConfigured(folder) {
  const made = statSync(path.join(folder, 'build/Makefile'), { throwIfNoEntry: false });
  if (made === undefined) return false;
  const from = ['binding.gyp', 'package.json', 'scripts/sources.mjs'];
  return from.every((file) => statSync(path.join(root, file)).mtimeMs < made.mtimeMs);
}

function run(command, folder, env) {
  const result = spawnSync(process.execPath, command, { cwd: folder, env, stdio: 'inherit' });
  if (result.error) throw result.error;
  return result.status ?? 1;
}

function buildRelease(folder, env) {
  const missing = missingPrograms(env);
  if (missing.length > 0) {
    throw new Failure(`${missing.join(', ')} not found. Install:\n${PACKAGES}`);
  }
  const nodeGyp = findNodeGyp(env, root);
  if (nodeGyp === undefined) throw new Failure(NODE_GYP_REMEDY);
  const steps = isConfigured(folder) ? ['build'] : ['configure', 'build'];
  if (run([nodeGyp, ...steps, '--silent'], folder, env) === 0) return;
  throw new Failure(`node-gyp failed. If headers or programs are missing, install:\n${PACKAGES}`);
}

/** A file where a folder of this path would be; undefined: there is none. Systems and versions of Node differ in the error. */
function fileInTheWay(folder) {
  if (existsSync(folder)) return statSync(folder).isDirectory() ? undefined : folder;
  return fileInTheWay(path.dirname(folder));
}

/** Makes the folder of a file: what is wrong with it is said before anything is compiled. Throws: Failure. */
function makeFolderOf(file) {
  const example = `--output ${path.join(file, 'msg_zerocopy.node')}`;
  try {
    const inTheWay = fileInTheWay(path.dirname(file));
    if (inTheWay !== undefined) {
      throw new Failure(
        `${inTheWay} is not a folder. Name a file that can be written: --output FILE`,
      );
    }
    if (statSync(file, { throwIfNoEntry: false })?.isDirectory()) {
      throw new Failure(`${file} is a folder. Name a file in it:\n  ${example}`);
    }
    mkdirSync(path.dirname(file), { recursive: true });
    accessSync(path.dirname(file), constants.W_OK);
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(`${error.message}. Name a file that can be written: --output FILE`);
  }
}

/** A copy of the sources is compiled, and the result moved. */
function compileInto(file, strict) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-build-'));
  const fresh = `${file}.${process.pid}`;
  try {
    for (const part of ['package.json', 'native', 'scripts/sources.mjs']) {
      cpSync(path.join(root, part), path.join(folder, part), { recursive: true });
    }
    copyFileSync(bindingGyp, path.join(folder, 'binding.gyp'));
    const modules = path.resolve(path.dirname(require.resolve('node-addon-api')), '..');
    buildRelease(folder, { ...environment(strict), NODE_PATH: modules });
    mkdirSync(path.dirname(file), { recursive: true });
    // Renamed, not overwritten: a process that has the old one mapped keeps it.
    copyFileSync(path.join(folder, 'build/Release/msg_zerocopy.node'), fresh);
    renameSync(fresh, file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
    rmSync(fresh, { force: true });
  }
}

function buildInto(file, strict) {
  makeFolderOf(file);
  compileInto(file, strict);
  console.log(`${file}\nTo use it, start programs with MSG_ZEROCOPY_ADDON=${file}`);
}

function buildHere(strict) {
  try {
    accessSync(root, constants.W_OK);
  } catch {
    throw new Failure(
      `${root} cannot be written to. Put the result elsewhere:\n` +
        '  npx msg-zerocopy build --output /some/where/msg_zerocopy.node\n' +
        'and start programs with MSG_ZEROCOPY_ADDON=/some/where/msg_zerocopy.node',
    );
  }
  const file = path.join(root, 'build/Release/msg_zerocopy.node');
  if (inCheckout) buildRelease(root, environment(strict));
  else compileInto(file, strict);
  console.log(file);
}

/** By cmake-js, for those who work on it: build-<name>/Debug/msg_zerocopy.node. */
function buildDebug(name, definitions = []) {
  const cmakeJs = path.join(path.dirname(require.resolve('cmake-js/package.json')), 'bin/cmake-js');
  const flags = ['--debug', '--out', `build-${name}`, ...definitions];
  if (run([cmakeJs, 'compile', ...flags], root, environment(true)) !== 0) {
    throw new Failure('cmake-js failed');
  }
}

function main() {
  const { help, output, sanitize, thread, debug, strict } = parse();
  if (help) {
    console.log(USAGE);
  } else if (process.platform !== 'linux') {
    console.log(`no native addon on ${process.platform}: Node's own sockets are used`);
  } else if (sanitize) {
    buildDebug('sanitize', ['--CDMSG_ZEROCOPY_SANITIZE=ON']);
  } else if (thread) {
    buildDebug('thread', ['--CDMSG_ZEROCOPY_THREAD=ON']);
  } else if (debug) {
    buildDebug('debug');
  } else if (output !== undefined) {
    if (output === '') throw new Failure(`--output needs the name of a file; ${HELP}`, 2);
    buildInto(path.resolve(output), strict);
  } else {
    buildHere(strict);
  }
}

try {
  main();
} catch (error) {
  // Of the system: a folder that may not be written to, a full disk.
  if (!(error instanceof Failure) && error.syscall === undefined) throw error;
  console.error(`msg-zerocopy build: ${error.message}`);
  process.exitCode = error.status ?? 1;
}
