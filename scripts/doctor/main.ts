// `msg-zerocopy doctor`: diagnose() for people and for scripts.
import { constants, copyFileSync, existsSync } from 'node:fs';
import path from 'node:path';
import { diagnose } from '../../lib/index';
import { UsageError } from '../command-line';
import { type Arguments, parse, USAGE } from './arguments';
import { tableOf } from './table';

const EXIT_OK = 0;
const EXIT_COPIES = 1;
const EXIT_USAGE = 2;

/** Runs one command line; answers the exit status. */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    return await report(parse(argv));
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`msg-zerocopy doctor: ${error.message}; see 'msg-zerocopy doctor --help'`);
      return EXIT_USAGE;
    }
    if (isAboutTarget(error)) {
      console.error(`msg-zerocopy doctor: ${error.message}`);
      return EXIT_USAGE;
    }
    throw error;
  }
}

async function report({ help, json, target, writeSeccomp }: Arguments): Promise<number> {
  if (help) {
    console.log(USAGE);
    return EXIT_OK;
  }
  if (writeSeccomp !== undefined) return writeProfile(writeSeccomp);
  const diagnosis = await diagnose(target);
  console.log(json ? JSON.stringify(diagnosis, undefined, 2) : tableOf(diagnosis));
  return diagnosis.zeroCopy ? EXIT_OK : EXIT_COPIES;
}

// In the package as well as in a checkout.
const PROFILE = path.resolve(__dirname, '../../../examples/deploy/seccomp.json');

function writeProfile(file: string): number {
  try {
    copyFileSync(PROFILE, file, constants.COPYFILE_EXCL);
  } catch (error) {
    console.error(`msg-zerocopy doctor: ${whyNotWritten(file, error as NodeJS.ErrnoException)}`);
    return EXIT_USAGE;
  }
  console.log(
    `${file} is written. It allows io_uring, and less than Docker's own profile otherwise; see SECURITY.md\n` +
      `docker run --security-opt seccomp=${file} IMAGE`,
  );
  return EXIT_OK;
}

function whyNotWritten(file: string, { code, message }: NodeJS.ErrnoException): string {
  if (code === 'EEXIST') return `${file} exists: remove it first, or name another`;
  const folder = path.dirname(file);
  if (existsSync(folder)) return `${file} cannot be written: ${message}`;
  return `the folder ${folder} does not exist: create it (mkdir -p ${folder}), or name another file`;
}

// diagnose() throws of nothing but its argument: what it is, or that it does not resolve.
function isAboutTarget(error: unknown): error is Error {
  const { code, syscall } = error as NodeJS.ErrnoException;
  return code === 'ERR_OUT_OF_RANGE' || syscall === 'getaddrinfo';
}
