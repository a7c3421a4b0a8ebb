#!/usr/bin/env node
// `npx msg-zerocopy COMMAND`: finds the command and hands it the rest of the line.
import { spawnSync } from 'node:child_process';
import path from 'node:path';

interface Command {
  readonly summary: string;
  /** Runs the command; answers the exit status. */
  run(argv: readonly string[]): Promise<number>;
}

const EXIT_USAGE = 2;

const commands: Readonly<Record<string, Command>> = {
  build: {
    summary: 'compiles the native part, where no binary was installed that fits',
    run: (argv) => Promise.resolve(build(argv)),
  },
  doctor: {
    summary: 'says whether zero copy works here and to a host, why not, and what to do',
    run: async (argv) => (await import('./doctor/main.js')).main(argv),
  },
  selftest: {
    summary: 'sends known data in every way there is, and checks what arrives and what is reported',
    // Only now: the library and its addon are loaded by the command that needs them.
    run: async (argv) => (await import('./selftest/main.js')).main(argv),
  },
};

// The program that also builds a checkout, before anything here is compiled.
function build(argv: readonly string[]): number {
  const program = path.resolve(__dirname, '../../scripts/build-native.mjs');
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
    "'msg-zerocopy COMMAND --help' explains a command.",
  ].join('\n');
}

async function dispatch(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === '--help' || name === '-h') {
    console.log(usage());
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
