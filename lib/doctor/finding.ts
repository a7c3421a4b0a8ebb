// What a diagnosis consists of, and the words that its parts share.

/**
 * `ok`: as it should be; `note`: worth knowing, nothing is lost by leaving it; `limited`: zero copy works, but less of
 * it, for fewer sockets, or not on every path; `blocked`: because of this everything is copied.
 */
export type Verdict = 'ok' | 'note' | 'limited' | 'blocked';

export interface Remedy {
  /** What to type, as root where it changes the machine. Capitals stand for what cannot be known here. */
  readonly command: string;
  /** What is given up by it; absent where nothing is. */
  readonly weakensSecurity?: string;
}

export interface Finding {
  /** Stable, and there is one finding of each: 'optmem', 'memlock', 'taps' … */
  readonly id: string;
  readonly title: string;
  readonly verdict: Verdict;
  /** What was found and what follows from it. */
  readonly detail: string;
  /** Absent where there is nothing to do, or nothing that helps. */
  readonly remedy?: Remedy;
}

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB'] as const;

/** 65536 as '64 KiB'. */
export function bytesText(bytes: number): string {
  let size = bytes;
  let unit = 0;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${Number.isInteger(size) ? size : size.toFixed(1)} ${UNITS[unit]}`;
}
