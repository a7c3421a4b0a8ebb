#!/usr/bin/env node
// `npx msg-zerocopy COMMAND`: finds the command and hands it the rest of the line.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { VERSION } from '../lib/version';

interface Command {
  readonly summary: string;
  /** Runs the command; answers the exit status. */
  run(argv: readonly string[]): Promise<number>;
}

const EXIT_USAGE = 2;

const commands: Readonly<Record<string, Command>> = {
  bench: {
    summary: 'compares CPU time with plain Node; only in a checkout of the repository',
    run: (argv) => Promise.resolve(bench(argv)),
  },
  build: {
    summary: 'compiles the native addon, if npm installed no binary for this machine',
    run: (argv) => Promise.resolve(build(argv)),
  },
  doctor: {
    summary: 'says whether zero copy works here and to a host, why not, and what to do',
    run: async (argv) => (await import('./doctor/main.js')).main(argv),
  },
  selftest: {
    summary:
      'sends known data by every kind of socket, and checks what arrives and what is reported',
    // Only now: the library and its addon are loaded by the command that needs them.
    run: async (argv) => (await import('./selftest/main.js')).main(argv),
  },
};

// The program that also builds a checkout, before anything here is compiled.
function build(argv: readonly string[]): number {
  return runProgram('../../scripts/build-native.mjs', argv);
}

// It compiles senders in C to compare with, and takes minutes: not what a dependency is for.
function bench(argv: readonly string[]): number {
  const program = '../bench/run.js';
  if (existsSync(path.resolve(__dirname, program))) return runProgram(program, argv);
  console.error(
    'msg-zerocopy bench: the bench is not in the package. In a checkout of the repository:\n' +
      '  npm install && npm run bench -- tcp http udp',
  );
  return EXIT_USAGE;
}

function runProgram(file: string, argv: readonly string[]): number {
  const program = path.resolve(__dirname, file);
  const { status, error } = spawnSync(process.execPath, [program, ...argv], { stdio: 'inherit' });
  if (error !== undefined) throw error;
  return status ?? 1;
}

function usage(): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  const lines = Object.entries(commands).map(
    ([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`,
  );
  return [
    'usage: msg-zerocopy COMMAND [arguments]',
    '',
    ...lines,
    '',
    "'msg-zerocopy COMMAND --help' explains a command, '--version' prints the version.",
  ].join('\n');
}

async function dispatch(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === '--help' || name === '-h') {
    console.log(usage());
    return 0;
  }
  if (name === '--version' || name === '-v') {
    console.log(VERSION);
    return 0;
  }
  const command = name !== undefined && Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) {
    if (name !== undefined) console.error(`msg-zerocopy: unknown command '${name}'`);
    console.error(usage());
    return EXIT_USAGE;
  }
  return command.run(rest);
}

dispatch(process.argv.slice(2)).then(
  (status) => (process.exitCode = status),
  (error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  },
);
