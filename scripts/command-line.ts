// Reads command lines, and reports mistakes in them.
import { parseArgs, type ParseArgsConfig } from 'node:util';

/** A mistake on the command line: printed as one line, exit status 2. */
export class UsageError extends Error {}

/** As parseArgs() of node:util. Throws: UsageError. */
export function readCommandLine<T extends ParseArgsConfig>(
  config: T,
): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (error) {
    // The first sentence only: the others explain how to pass such words as arguments.
    throw new UsageError((error as Error).message.split('. ')[0]);
  }
}
