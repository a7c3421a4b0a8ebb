// What a soak came to: as JSON, and as a table for people.
import { linesOf } from '../table';
import type { Counts, Sample } from './protocol';
import { slopePerMinute } from './samples';

export interface Growth {
  /** Bytes a minute over the second half of the run. */
  readonly heapPerMinute: number;
  readonly rssPerMinute: number;
  readonly externalPerMinute: number;
  readonly heapBytes: number;
  readonly rssBytes: number;
}

export interface Report {
  readonly seed: number;
  readonly place: string;
  readonly seconds: number;
  readonly failures: readonly string[];
  /** What was asked for, and cannot be had here. */
  readonly absent: readonly string[];
  readonly counts: Counts;
  readonly growth: Growth;
  /** The sender's. */
  readonly samples: readonly Sample[];
}

const MIB = 1024 * 1024;
/** A shorter half says nothing: the process is still warming up. */
const LEAST_JUDGED_SECONDS = 120;
/** What a half may grow by, of the live heap and of what malloc keeps. */
const MOST_HEAP_GROWTH = 8 * MIB;
const MOST_RSS_GROWTH = 64 * MIB;

/** Whether memory grew in the second half of the run. */
export function judgeGrowth(samples: readonly Sample[]): { growth: Growth; problems: string[] } {
  // The last one is of an idle process.
  const busy = samples.slice(1, -1);
  const half = busy.slice(Math.floor(busy.length / 2));
  const last = samples.at(-1);
  const growth: Growth = {
    heapPerMinute: Math.round(slopePerMinute(half, (sample) => sample.heapBytes)),
    rssPerMinute: Math.round(slopePerMinute(half, (sample) => sample.rssBytes)),
    externalPerMinute: Math.round(slopePerMinute(half, (sample) => sample.externalBytes)),
    heapBytes: last?.heapBytes ?? 0,
    rssBytes: last?.rssBytes ?? 0,
  };
  const seconds = (half.at(-1)?.seconds ?? 0) - (half[0]?.seconds ?? 0);
  if (seconds < LEAST_JUDGED_SECONDS) return { growth, problems: [] };
  const minutes = seconds / 60;
  const problems: string[] = [];
  const judge = (what: string, perMinute: number, most: number): void => {
    if (perMinute * minutes > most) {
      problems.push(`${what} grew by ${mib(perMinute)} MiB a minute for ${minutes.toFixed(1)}`);
    }
  };
  judge('the heap', growth.heapPerMinute, MOST_HEAP_GROWTH);
  judge('resident memory', growth.rssPerMinute, MOST_RSS_GROWTH);
  return { growth, problems };
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(2);
}

/** The report for people. */
export function render(report: Report): string {
  const { counts, growth, failures, absent, samples } = report;
  const rows = Object.entries(counts)
    .filter(([, count]) => count !== 0)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, count]) => [name, count.toLocaleString('en')]);
  const [before] = samples;
  const after = samples.at(-1);
  const held = (name: keyof Sample): string => `${name} ${before?.[name]} -> ${after?.[name]}`;
  const kept = [
    'sockets',
    'descriptors',
    'ringMappings',
    'packetRings',
    'openPorts',
    'pinnedBytes',
  ] as const;
  return [
    `soak over ${report.place}, ${report.seconds.toFixed(0)} s, seed ${report.seed}`,
    ...absent.map((what) => `not run: ${what}`),
    '',
    ...linesOf(rows, 1),
    '',
    `the sender before and after: ${kept.map(held).join(', ')}`,
    `its heap ${mib(growth.heapBytes)} MiB, ${mib(growth.heapPerMinute)} MiB a minute; ` +
      `resident ${mib(growth.rssBytes)} MiB, ${mib(growth.rssPerMinute)} MiB a minute`,
    '',
    failures.length === 0 ? 'all right' : `${failures.length} FAILURES:`,
    ...failures,
  ].join('\n');
}
