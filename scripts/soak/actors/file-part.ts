// A file that an actor sends: the bytes that are due, at times between others that are not.
import fs from 'node:fs';
import type { Chance } from '../chance';

/** What lies around a part that is sent. */
export const MARGIN = Buffer.alloc(10_000, 'no byte of this is ever sent ');

export interface Part {
  readonly path: string;
  readonly start: number;
  /** Inclusive, as createReadStream() and sendFile() take it. */
  readonly end: number;
}

/** Writes it, in place of a file of this name that may still be open. */
export function writePart(path: string, data: Buffer, chance: Chance): Part {
  const isPart = chance.odds(0.5);
  const fresh = `${path}-fresh`;
  fs.writeFileSync(fresh, isPart ? Buffer.concat([MARGIN, data, MARGIN]) : data);
  fs.renameSync(fresh, path);
  const start = isPart ? MARGIN.length : 0;
  return { path, start, end: start + data.length - 1 };
}
