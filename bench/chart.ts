// A report as an SVG drawing: bars for cases, lines for series over time.
import type { GroupMark, Mark, Spec } from 'vega' with { 'resolution-mode': 'import' };
import { colours, draw, faint, field, ink, legend, legendColumns, textOf, width } from './drawing';
import type { Facts } from './host';
import type { CaseReport, ContestantSummary, Plan, Report, Series } from './trials';

const height = 280;
/** Bars that are narrower have their label written upwards. */
const roomForLabel = 40;
/** A label's height, and how far it stays from a line: both in pixels. */
const lineHeight = 14;
const clearance = 4;
const innerPadding = 0.12;
const outerPadding = 0.16;

/** Draws a report. */
export function chartOf(report: Report, facts: Facts): Promise<string> {
  const { plan } = report;
  const { series } = report;
  const notes = [...(series ? [] : [subtitle(plan)]), footer(report, facts)];
  return draw(plan.title, notes, series ? lines(plan, series) : bars(report));
}

const ourWords: Readonly<Record<string, string>> = {
  plain: 'plain Node',
  upgraded: 'this package',
  auto: 'this package',
  msg_zerocopy: 'this package, MSG_ZEROCOPY',
  io_uring: 'this package, io_uring',
  copy: 'this package, copying',
  'c-copy': 'C, copying',
  'c-zerocopy': 'C, MSG_ZEROCOPY',
  pipe: 'this package, piped',
  sendFile: 'this package, sendFile()',
  floor: 'a bare send from Node',
  send: 'this package, send()',
  'send-many': 'this package, sendMany()',
  gso: 'this package, segmentSize, copied',
  'gso-zerocopy': 'this package, segmentSize, uncopied',
  ring: 'this package, transmit ring',
  receive: 'this package',
  gro: 'this package, gro: true',
  'raw-socket': "npm's raw-socket",
  'c-send': 'C, send()',
  'c-sendto': 'C, sendto()',
  'c-sendmmsg': 'C, sendmmsg()',
  'c-gso': 'C, UDP_SEGMENT, copied',
  'c-gso-zerocopy': 'C, UDP_SEGMENT, uncopied',
  'c-ring': 'C, transmit ring',
};

/** A contestant as readers know it, who have not read how the bench is called. */
export function wordsFor(name: string): string {
  const [base = name, pool] = name.split('+');
  const words = ourWords[base.replace(/^upgraded:/, '')];
  if (words === undefined) return name;
  return pool === undefined ? words : `${words}, from a ${pool}`;
}

function subtitle(plan: Plan): string {
  const { heading = plan.main } = plan.figures.find(({ key }) => key === plan.main) ?? {};
  const unit = heading.replace(/^proc\b/, 'CPU time of the process,');
  if (plan.compare !== 'ratio') return unit;
  return `${unit}, as a percentage of ${wordsFor(plan.contestants[0]?.name ?? '')}; less is better`;
}

function footer({ plan, cases }: Report, facts: Facts): string {
  const bounded = plan.compare === 'ratio' && cases.some((one) => one.target ?? one.targets);
  const rounds =
    plan.rounds > 1 ? [`medians of ${plan.rounds} rounds; thin lines: lowest and highest`] : [];
  const place = `Linux ${facts['kernel']}, Node ${facts['node']}, ${plan.facts['place']}`;
  return [place, ...rounds, ...(bounded ? ['dashed: target'] : [])].join('; ');
}

/** One bar, with all that is drawn of it. */
interface Bar {
  group: string;
  name: string;
  value: number;
  min: number;
  max: number;
  label: string;
  /** The measured value, where the label is a ratio and there is room for both. */
  absolute: string;
  bound: number | null;
  /** Pixels above the bar's foot at which its label stands. */
  labelAt: number;
}

function barsOf(plan: Plan, cases: readonly CaseReport[]): Bar[] {
  return cases.flatMap((one) =>
    one.contestants.flatMap((summary): Bar[] => {
      const [value, min, max] = valuesOf(plan, summary);
      // Contestants without a result, or without one to compare it with, are not drawn.
      if (!Number.isFinite(value)) return [];
      const digits = plan.figures.find(({ key }) => key === plan.main)?.digits ?? 2;
      const absolute = summary.figures[plan.main]?.median.toFixed(digits) ?? '';
      const ratio = plan.compare === 'ratio';
      const target = one.targets?.[summary.contestant] ?? one.target;
      const bound = ratio ? (target?.most ?? target?.least ?? null) : null;
      return [
        {
          group: one.label,
          name: wordsFor(summary.contestant),
          ...{ value, min, max, bound, absolute },
          label: ratio ? `${Math.round(value * 100)} %` : absolute,
          labelAt: 0,
        },
      ];
    }),
  );
}

function valuesOf(plan: Plan, { figures, compared }: ContestantSummary): [number, number, number] {
  const own = figures[plan.main];
  const first = own !== undefined && Number.isFinite(own.median) ? 1 : NaN;
  const itself = { median: first, min: first, max: first };
  const { median, min, max } =
    plan.compare === 'ratio'
      ? (compared?.[plan.main] ?? itself)
      : (own ?? { median: NaN, min: NaN, max: NaN });
  return [median, min, max];
}

function bars({ plan, cases }: Report): Spec {
  const panels = [...new Set(cases.map(({ panel }) => panel))].map((title) => ({
    title,
    cases: cases.filter(({ panel }) => panel === title),
  }));
  const names = plan.contestants.map(({ name }) => wordsFor(name));
  return {
    width,
    layout: { columns: 1, padding: { row: 36 } },
    scales: [{ name: 'colour', type: 'ordinal', domain: names, range: colours }],
    legends: [legend('colour', legendColumns(names))],
    marks: panels.map((panel) => panelOf(plan, names, panel.title, panel.cases)),
  };
}

const percentLabels = {
  labels: { update: { text: { signal: "format(datum.value * 100, 'd') + ' %'" } } },
};

function panelOf(
  plan: Plan,
  names: readonly string[],
  title: string | undefined,
  cases: readonly CaseReport[],
): GroupMark {
  const all = barsOf(plan, cases);
  const highest = Math.max(0, ...all.flatMap(({ max, bound }) => [max, bound ?? 0])) || 1;
  const step = ((width / cases.length) * (1 - outerPadding)) / names.length;
  const upright = step * (1 - innerPadding) >= roomForLabel;
  const both = upright && plan.compare === 'ratio';
  // Room for labels above the highest bar.
  const top = highest * (upright ? 1.2 : 1.3);
  const size = upright ? (both ? 2 : 1) * lineHeight : 34;
  const placed = all.map((bar) => ({ ...bar, labelAt: clearOfLines(bar, height / top, size) }));
  return {
    type: 'group',
    ...(title !== undefined && { title: { text: title, anchor: 'start', fontSize: 13 } }),
    encode: { enter: { width: { value: width }, height: { value: height } } },
    data: [{ name: 'bars', values: placed }],
    scales: [
      {
        name: 'x',
        type: 'band',
        domain: cases.map(({ label }) => label),
        range: 'width',
        padding: outerPadding,
      },
      { name: 'y', type: 'linear', domain: [0, top], range: [height, 0] },
      {
        name: 'bar',
        type: 'band',
        domain: [...names],
        range: [0, bandwidth(cases.length)],
        padding: innerPadding,
      },
    ] as NonNullable<Spec['scales']>,
    axes: [
      {
        orient: 'left',
        scale: 'y',
        grid: true,
        domain: false,
        tickCount: 5,
        ...(plan.compare === 'ratio' && { encode: percentLabels }),
      },
      { orient: 'bottom', scale: 'x', ticks: false, labelPadding: 8 },
    ],
    marks: [...barMarks(), ...labelMarks(upright, both)],
  };
}

/** Of one group of bars: what Vega's band scale makes of the same padding. */
function bandwidth(groups: number): number {
  return (width / (groups - outerPadding + 2 * outerPadding)) * (1 - outerPadding);
}

/** Where a label stands that no target's line crosses, in pixels above the foot of its bar. */
function clearOfLines({ max, bound }: Bar, pixels: number, size: number): number {
  const above = max * pixels + clearance;
  if (bound === null) return above;
  const line = bound * pixels;
  const crossed = line > above - clearance && line < above + size + clearance;
  return crossed ? line + clearance : above;
}

function x(band: number): Record<string, unknown> {
  return { scale: 'x', field: 'group', offset: { scale: 'bar', field: 'name', band } };
}

function barMarks(): Mark[] {
  const from = { data: 'bars' };
  const across = { x: x(0), x2: x(1) };
  const marks: unknown[] = [
    {
      type: 'rect',
      from,
      encode: {
        enter: {
          ...across,
          y: field('value', 'y'),
          y2: { scale: 'y', value: 0 },
          fill: field('name', 'colour'),
          tooltip: { signal: "datum.name + ', ' + datum.group + ': ' + datum.absolute" },
        },
      },
    },
    {
      type: 'rule',
      from,
      encode: {
        enter: {
          x: x(0.5),
          y: field('min', 'y'),
          y2: field('max', 'y'),
          stroke: { value: ink },
          strokeOpacity: { value: 0.55 },
        },
      },
    },
    {
      type: 'rule',
      from: { data: 'bars' },
      encode: {
        enter: {
          ...across,
          y: field('bound', 'y'),
          stroke: { value: ink },
          strokeDash: { value: [4, 3] },
          strokeOpacity: { signal: 'datum.bound === null ? 0 : 1' },
        },
      },
    },
  ];
  return marks as Mark[];
}

function labelMarks(upright: boolean, both: boolean): Mark[] {
  const at = (above: number): Record<string, unknown> => ({
    x: x(0.5),
    y: { signal: `${height} - datum.labelAt - ${above}` },
  });
  if (!upright) {
    return textOf('bars', {
      ...at(0),
      ...{ text: field('label'), angle: { value: -90 }, align: { value: 'left' } },
      ...{ baseline: { value: 'middle' }, fontSize: { value: 11 } },
    });
  }
  const centred = { align: { value: 'center' }, baseline: { value: 'bottom' } };
  const label = { ...at(both ? lineHeight : 0), ...centred, text: field('label') };
  const own = { ...at(0), ...centred, text: field('absolute'), fill: { value: faint } };
  return [
    ...textOf('bars', { ...label, fontSize: { value: 12 }, fontWeight: { value: 600 } }),
    ...(both ? textOf('bars', { ...own, fontSize: { value: 10.5 } }) : []),
  ];
}

function lines(plan: Plan, series: readonly Series[]): Spec {
  const values = series.flatMap(({ name, points }) =>
    points.map(([minutes, mib]) => ({ name: wordsFor(name), minutes, mib })),
  );
  const names = plan.contestants.map(({ name }) => wordsFor(name));
  const along = (data: string, name: string) => ({ data, field: name });
  return {
    width,
    height,
    data: [{ name: 'points', values }],
    scales: [
      { name: 'x', type: 'linear', domain: along('points', 'minutes'), range: 'width', zero: true },
      {
        name: 'y',
        type: 'linear',
        domain: along('points', 'mib'),
        range: 'height',
        zero: true,
        nice: true,
      },
      { name: 'colour', type: 'ordinal', domain: names, range: colours },
    ],
    axes: [
      { orient: 'left', scale: 'y', grid: true, tickCount: 5, title: 'resident memory, MiB' },
      { orient: 'bottom', scale: 'x', title: 'minutes' },
    ],
    legends: [legend('colour', legendColumns(names))],
    marks: [
      {
        type: 'group',
        from: { facet: { name: 'one', data: 'points', groupby: 'name' } },
        marks: [
          {
            type: 'line',
            from: { data: 'one' },
            encode: {
              enter: {
                x: field('minutes', 'x'),
                y: field('mib', 'y'),
                stroke: field('name', 'colour'),
                strokeWidth: { value: 2 },
              },
            },
          },
        ],
      },
    ],
  };
}
