// What a program has at its own end of the line to the test (see program.ts).
import { writeSync } from 'node:fs';

/** The object that the program was started with. */
export function argument<T>(): T {
  return JSON.parse(process.argv[2] ?? '{}') as T;
}

/** Tells the test something: at once, so that it is said also when the process ends here. */
export function print(line: object): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}
