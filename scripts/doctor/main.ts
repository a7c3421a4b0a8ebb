// `msg-zerocopy doctor`: diagnose() for people and for scripts.
import { diagnose } from '../../lib/index';
import { type Arguments, parse, USAGE, UsageError } from './arguments';
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
      console.error(`msg-zerocopy doctor: ${error.message}\n\n${USAGE}`);
      return EXIT_USAGE;
    }
    if (isAboutTarget(error)) {
      console.error(`msg-zerocopy doctor: ${error.message}`);
      return EXIT_USAGE;
    }
    throw error;
  }
}

async function report({ help, json, target }: Arguments): Promise<number> {
  if (help) {
    console.log(USAGE);
    return EXIT_OK;
  }
  const diagnosis = await diagnose(target);
  console.log(json ? JSON.stringify(diagnosis, undefined, 2) : tableOf(diagnosis));
  return diagnosis.zeroCopy ? EXIT_OK : EXIT_COPIES;
}

// diagnose() throws of nothing but its argument: what it is, or that it does not resolve.
function isAboutTarget(error: unknown): error is Error {
  const { code, syscall } = error as NodeJS.ErrnoException;
  return code === 'ERR_OUT_OF_RANGE' || syscall === 'getaddrinfo';
}
