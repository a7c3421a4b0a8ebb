// One timeline as an SVG drawing: CPU per GB, the thresholds as steps, the state as a band.
import {
  drawn,
  escape,
  filled,
  frame,
  opening,
  plot,
  round,
  rule,
  scaleOf,
  stroke,
  text,
} from './chart';
import type { Facts } from './host';
import { formatSize } from './options';
import type { Moment } from './protocol';
import { costsOf, stretchesOf, type Stretch, type Timeline } from './timeline';

const costHeight = 190;
const steps = { top: frame.top + costHeight + 44, height: 170 };
const band = { top: steps.top + steps.height + 40, height: 22 };
const height = band.top + band.height + 64;

/** Sizes of the thresholds' axis, by powers of two; above it: never. */
const smallest = 13;
const largest = 21;

const thresholds = [
  { name: 'stream', colour: 1, of: (moment: Moment) => moment.streamThreshold },
  { name: 'response', colour: 2, of: (moment: Moment) => moment.responseThreshold },
] as const;
const colourOfState: Readonly<Record<string, number>> = { active: 3, probing: 5, paused: 7 };
/** Of a letter, to know whether a label has room. */
const letterWidth = 7;

type Across = (seconds: number) => number;

export function timelineChart(timeline: Timeline, facts: Facts): string {
  const { label, contestant, moments, marks } = timeline;
  const seconds = (moments.at(-1)?.ms ?? 1000) / 1000;
  const x: Across = (value) => frame.left + (value / seconds) * plot.width;
  const stretches = stretchesOf(moments);
  const title = `${label}: state, thresholds and cost over time, ${contestant}`;
  const below = band.top + band.height;
  return [
    opening(height, title),
    ...costPanel(timeline, x),
    ...(stretches.some(({ moment }) => moment.state !== undefined)
      ? [...stepsPanel(stretches, x), ...stateBand(stretches, x)]
      : []),
    ...marks.flatMap((mark) => [
      stroke('target', x(mark.seconds), frame.top, x(mark.seconds), below),
      text(x(mark.seconds) + 4, frame.top + 10, mark.label, 'axis'),
    ]),
    ...[0, 0.25, 0.5, 0.75, 1].map((part) =>
      text(x(part * seconds), below + 20, `${(part * seconds).toFixed(1)} s`, 'axis group'),
    ),
    text(frame.left, height - 12, `Linux ${facts['kernel']}, Node ${facts['node']}`, 'note'),
    '</svg>',
    '',
  ].join('\n');
}

function costPanel({ moments }: Timeline, x: Across): string[] {
  const costs = costsOf(moments);
  const sorted = costs.map(([, cost]) => cost).sort((one, other) => one - other);
  // A single stretch in which hardly anything was sent must not flatten all others.
  const most = (sorted[Math.floor(sorted.length * 0.98)] ?? 1) * 1.15;
  const axis = scaleOf(0, most, costHeight);
  const points = costs.map(
    ([at, cost]) => `${round(x(at))},${round(axis.y(Math.min(cost, most)))}`,
  );
  return [
    text(frame.left, frame.top - 12, 'CPU of the process, s/GB', 'axis'),
    ...axis.ticks.map((tick) => rule(axis.y(tick), String(tick))),
    `<polyline ${drawn(0)} points="${points.join(' ')}"/>`,
  ];
}

function stepsPanel(stretches: readonly Stretch[], x: Across): string[] {
  const rows = largest - smallest + 1;
  const y = (bytes: number | undefined): number =>
    steps.top +
    steps.height * (1 - (bytes === undefined ? rows : Math.log2(bytes) - smallest) / rows);
  const powers = Array.from({ length: rows }, (_, index) => 2 ** (smallest + index));
  return [
    text(frame.left, steps.top - 12, 'zero copy from this size on:', 'axis'),
    ...thresholds.map(({ name, colour }, index) => {
      const at = frame.left + 180 + index * 90;
      return `<rect x="${at}" y="${steps.top - 22}" width="12" height="12" rx="2" ${filled(colour)}/>${text(at + 18, steps.top - 12, name, 'axis')}`;
    }),
    ...powers
      .filter((_, index) => index % 2 === 0)
      .map((bytes) => rule(y(bytes), formatSize(bytes))),
    rule(y(undefined), 'never'),
    // The second one is moved a little, so that both can be seen where they agree.
    ...thresholds.map(({ colour, of }, index) => {
      const path = stretches.map(
        ({ from, to, moment }, at) =>
          `${at === 0 ? 'M' : 'L'}${round(x(from))} ${round(y(of(moment)) + index * 2)}H${round(x(to))}`,
      );
      return `<path ${drawn(colour)} d="${path.join('')}"/>`;
    }),
  ];
}

function stateBand(stretches: readonly Stretch[], x: Across): string[] {
  return [
    text(frame.left, band.top - 8, 'state', 'axis'),
    ...stretches.flatMap(({ from, to, moment }) => {
      const { state = '', reason, engine } = moment;
      const room = x(to) - x(from);
      const name = reason === undefined ? state : `${state}: ${reason}`;
      const told = `${from.toFixed(2)} s: ${name}, engine ${engine}`;
      const colour = colourOfState[state] ?? 0;
      return [
        `<rect x="${round(x(from))}" y="${band.top}" width="${round(Math.max(1, room))}" height="${band.height}" ${filled(colour)} fill-opacity=".55"><title>${escape(told)}</title></rect>`,
        room > name.length * letterWidth ? text(x(from) + 4, band.top + 15, name, 'label') : '',
      ];
    }),
  ];
}
