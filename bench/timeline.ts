// What a socket said over time, and when it changed its mind. Pure.
import { formatSize } from './options';
import type { Moment } from './protocol';
import { median } from './stats';

export interface Timeline {
  label: string;
  contestant: string;
  moments: Moment[];
  /** What was done to it, by seconds since the recording began. */
  marks: Mark[];
}

export interface Mark {
  seconds: number;
  label: string;
}

/** A stretch in which all that a socket said of itself stayed the same. */
export interface Stretch {
  from: number;
  to: number;
  moment: Moment;
}

const said = ['engine', 'state', 'reason', 'streamThreshold', 'responseThreshold'] as const;

export function stretchesOf(moments: readonly Moment[]): Stretch[] {
  const stretches: Stretch[] = [];
  for (const moment of moments) {
    const last = stretches.at(-1);
    const seconds = moment.ms / 1000;
    if (last) last.to = seconds;
    if (last === undefined || said.some((key) => last.moment[key] !== moment[key])) {
      stretches.push({ from: seconds, to: seconds, moment });
    }
  }
  return stretches;
}

/** Seconds, and CPU seconds per GB in the time before that; only where something was sent. */
export function costsOf(moments: readonly Moment[]): [number, number][] {
  return moments.flatMap((moment, index): [number, number][] => {
    const before = moments[index - 1];
    if (before === undefined || moment.bytes <= before.bytes) return [];
    const gigabytes = (moment.bytes - before.bytes) / 1e9;
    return [[moment.ms / 1000, (moment.cpu - before.cpu) / 1e6 / gigabytes]];
  });
}

/** A table of the changes, with what a gigabyte cost until the next one. */
export function changeRows({ moments, marks }: Timeline): string[][] {
  const costs = costsOf(moments);
  const changes = stretchesOf(moments).map(({ from, to, moment }) => {
    const within = costs.filter(([at]) => at > from && at <= to).map(([, cost]) => cost);
    return {
      from,
      cells: [
        moment.engine ?? '',
        moment.state ?? '',
        moment.reason ?? '',
        formatThreshold(moment, moment.streamThreshold),
        formatThreshold(moment, moment.responseThreshold),
        within.length > 0 ? median(within).toFixed(3) : '',
      ],
    };
  });
  const done = marks.map(({ seconds, label }) => ({ from: seconds, cells: [label] }));
  const rows = [...changes, ...done]
    .sort((one, other) => one.from - other.from)
    .map(({ from, cells }) => [from.toFixed(2), ...cells]);
  return [['s', 'engine', 'state', 'reason', 'stream', 'response', 'median s/GB'], ...rows];
}

function formatThreshold({ state }: Moment, bytes: number | undefined): string {
  if (state === undefined) return '';
  return bytes === undefined ? 'never' : formatSize(bytes);
}
