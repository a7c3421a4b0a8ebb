// The parts of a diagnosis, and helpers for their texts.

/**
 * `ok`: as it should be; `note`: good to know, no need to act; `limited`: zero copy works, but less of
 * it, for fewer sockets, or not on every path; `blocked`: because of this everything is copied.
 */
export type Verdict = 'ok' | 'note' | 'limited' | 'blocked';

/** What to do about a finding. */
export interface Remedy {
  /** A command, to run as root if it changes the machine. Replace the words in capitals. */
  readonly command: string;
  /** What the remedy costs, such as security; absent if nothing. */
  readonly weakensSecurity?: string;
}

/** One thing that was looked at. */
export interface Finding {
  /** Stable, and there is one finding of each: 'optmem', 'memlock', 'taps' … */
  readonly id: string;
  readonly title: string;
  readonly verdict: Verdict;
  /** What was found and what follows from it. */
  readonly detail: string;
  /** Absent if there is nothing to do, or nothing that helps. */
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

/** What diagnose() found. */
export interface Diagnosis {
  /** Whether zero copy can work here, and to the target if there is one: no finding is `blocked`. */
  readonly zeroCopy: boolean;
  /** As process.platform. */
  readonly platform: string;
  /** Release of the running kernel. */
  readonly kernel: string;
  /** Version of Node. */
  readonly node: string;
  readonly target?: {
    readonly host: string;
    /** What it resolved to. */
    readonly address: string;
    readonly family: 4 | 6;
    readonly port?: number;
  };
  /** In the order: the package, limits, the machine, the path to the target, trials. */
  readonly findings: readonly Finding[];
}
