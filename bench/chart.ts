// A report as an SVG drawing: bars for cases, lines for series over time. Every viewer shows it: colours
// stand in attributes, and a style only replaces them where the reader's scheme is dark.
import type { Facts } from './host';
import type { CaseReport, ContestantSummary, Plan, Report, Series, Target } from './trials';

export const width = 860;
const height = 440;
export const frame = { left: 64, right: 24, top: 96, bottom: 64 };
export const plot = {
  width: width - frame.left - frame.right,
  height: height - frame.top - frame.bottom,
};
// Okabe and Ito: told apart also by readers who see fewer colours.
const colours = [
  ['#8a919a', '#8a919a'],
  ['#0072b2', '#56b4e9'],
  ['#d55e00', '#f0803c'],
  ['#009e73', '#2fc79a'],
  ['#aa5c93', '#d98cbd'],
  ['#b08900', '#e6c229'],
  ['#7a4b12', '#c08a4a'],
  ['#c43c5f', '#ff7f9c'],
  ['#4d5fb0', '#9aa8ff'],
] as const;
const legendRows = { top: 42, height: 17 };
const light = { paper: '#ffffff', ink: '#1f2328', faint: '#656d76', rule: '#d0d7de' };
const dark = { paper: '#0d1117', ink: '#e6edf3', faint: '#9198a1', rule: '#3d444d' };
/** From one panel to the next below it. */
const panelStep = plot.height + 72;
/** Bars that are narrower have their label written upwards. */
const roomForLabel = 42;

export function chartOf(report: Report, facts: Facts): string {
  const { plan } = report;
  const names = plan.contestants.map(({ name }) => name);
  const panels = report.series ? [lines(plan, report.series)] : panelsOf(report);
  const whole = height + (panels.length - 1) * panelStep;
  return [
    opening(whole, plan.title),
    legend(names.map(wordsFor)),
    ...panels.flatMap((panel, index) =>
      index === 0 ? panel : [`<g transform="translate(0 ${index * panelStep})">`, ...panel, '</g>'],
    ),
    text(frame.left, whole - 12, footer(plan, facts), 'note'),
    '</svg>',
    '',
  ].join('\n');
}

/** How a drawing begins, whatever it shows. */
export function opening(whole: number, title: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${whole}" font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="${escape(title)}">
${styles()}
<rect class="paper" width="${width}" height="${whole}" fill="${light.paper}"/>
${text(frame.left, 28, title, 'title')}`;
}

// Labels have a seam in the colour of the paper, so that no line runs through them.
function styles(): string {
  const scheme = ({ paper, ink, faint, rule }: typeof light): string =>
    `.paper { fill: ${paper}; } text { fill: ${ink}; } .note, .axis, .absolute { fill: ${faint}; } .rule { stroke: ${rule}; }
.whisker, .target { stroke: ${ink}; } .value, .absolute, .upwards { stroke: ${paper}; }`;
  const others = colours
    .map(([, colour], index) => `.f${index} { fill: ${colour}; } .s${index} { stroke: ${colour}; }`)
    .join(' ');
  return `<style>
${scheme(light)}
.title { font-size: 16px; font-weight: 600; } .note, .axis { font-size: 12px; } .group { text-anchor: middle; } .tick { text-anchor: end; }
.value { font-weight: 600; font-size: 12px; text-anchor: middle; } .absolute { font-size: 10.5px; text-anchor: middle; } .upwards { font-weight: 600; font-size: 11px; }
.value, .absolute, .upwards { paint-order: stroke; stroke-width: 3px; } .whisker { opacity: .55; } .target { stroke-dasharray: 4 3; } .line { fill: none; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
${scheme(dark)}
${others}
}
</style>`;
}

/** The attributes of a shape in one of the colours. */
export function filled(index: number): string {
  const colour = index % colours.length;
  return `class="f${colour}" fill="${colours[colour]?.[0]}"`;
}

/** The same of a line. */
export function drawn(index: number): string {
  const colour = index % colours.length;
  return `class="line s${colour}" stroke="${colours[colour]?.[0]}"`;
}

const ourWords: Readonly<Record<string, string>> = {
  plain: 'plain Node',
  upgraded: 'this package',
  auto: 'this package',
  msg_zerocopy: 'this package, MSG_ZEROCOPY',
  io_uring: 'this package, io_uring',
  'c-copy': 'C, copying',
  'c-zerocopy': 'C, MSG_ZEROCOPY',
};

/** A contestant as readers know it, who have not read how the bench is called. */
function wordsFor(name: string): string {
  const [base = name, pool] = name.split('+');
  const words = ourWords[base];
  if (words === undefined) return name;
  return pool === undefined ? words : `${words}, from a ${pool}`;
}

function legend(names: readonly string[]): string {
  let x = frame.left;
  let y = legendRows.top;
  return names
    .map((name, index) => {
      const room = 34 + name.length * 7.2;
      if (x + room > width && x > frame.left) {
        x = frame.left;
        y += legendRows.height;
      }
      const entry = `<rect x="${x}" y="${y}" width="12" height="12" rx="2" ${filled(index)}/>${text(x + 18, y + 11, name, 'axis')}`;
      x += room;
      return entry;
    })
    .join('');
}

function panelsOf({ plan, cases }: Report): string[][] {
  const names = [...new Set(cases.map(({ panel }) => panel))];
  return names.map((name) =>
    bars(
      plan,
      cases.filter(({ panel }) => panel === name),
      name,
    ),
  );
}

function bars(plan: Plan, cases: readonly CaseReport[], panel: string | undefined): string[] {
  const relative = plan.compare === 'ratio';
  const valueOf = (summary: ContestantSummary): Bar => barOf(plan, summary);
  const highest = Math.max(
    ...cases
      .flatMap((one) => one.contestants.map((summary) => valueOf(summary).max))
      .filter(isFinite),
  );
  // Without anybody to be compared with there is nothing to draw, but there are axes.
  const axis = scaleOf(0, (Number.isFinite(highest) ? highest : 1) * 1.15);
  const groupWidth = plot.width / cases.length;
  const unit = plan.figures.find(({ key }) => key === plan.main)?.heading ?? plan.main;
  return [
    ...axis.ticks.map((tick) =>
      rule(axis.y(tick), relative ? `${Math.round(tick * 100)} %` : String(tick)),
    ),
    text(
      frame.left,
      frame.top - 12,
      `${panel === undefined ? '' : `${panel}: `}${unit}${relative ? `, relative to ${wordsFor(plan.contestants[0]?.name ?? '')}` : ''}`,
      'axis',
    ),
    ...cases.flatMap((one, index) =>
      group(plan, one, frame.left + index * groupWidth, groupWidth, axis),
    ),
  ];
}

interface Bar {
  value: number;
  min: number;
  max: number;
  absolute: string;
}

function barOf(plan: Plan, summary: ContestantSummary): Bar {
  const figure = summary.figures[plan.main] ?? { median: NaN, min: NaN, max: NaN };
  const digits = plan.figures.find(({ key }) => key === plan.main)?.digits ?? 2;
  const absolute = figure.median.toFixed(digits);
  if (plan.compare === 'difference') {
    return { value: figure.median, min: figure.min, max: figure.max, absolute };
  }
  const same = Number.isFinite(figure.median) ? 1 : NaN;
  const itself = { median: same, min: same, max: same };
  const ratio = summary.compared?.[plan.main] ?? itself;
  return { value: ratio.median, min: ratio.min, max: ratio.max, absolute };
}

function group(plan: Plan, one: CaseReport, left: number, room: number, axis: Scale): string[] {
  const count = one.contestants.length;
  const barWidth = Math.min(56, (room * 0.8) / count);
  const start = left + (room - barWidth * count) / 2;
  const labelled: string[] = [];
  const parts = one.contestants.flatMap((summary, index) => {
    const bar = barOf(plan, summary);
    // Who took no part, or had nobody to be compared with, has nothing to draw.
    if (!Number.isFinite(bar.value)) return [];
    const middle = start + barWidth * (index + 0.5);
    const top = axis.y(bar.value);
    const over = Math.min(top, axis.y(bar.max));
    const label = plan.compare === 'ratio' ? `${Math.round(bar.value * 100)} %` : bar.absolute;
    labelled.push(...labels(plan, bar, label, middle, over, barWidth));
    return [
      `<rect x="${round(middle - barWidth / 2 + 2)}" y="${round(top)}" width="${round(barWidth - 4)}" height="${round(axis.y(0) - top)}" rx="2" ${filled(index)}><title>${escape(`${one.label} ${summary.contestant}: ${bar.absolute}`)}</title></rect>`,
      bar.max > bar.min ? stroke('whisker', middle, axis.y(bar.min), middle, axis.y(bar.max)) : '',
      ownTarget(plan, one, summary, axis, middle - barWidth / 2, middle + barWidth / 2),
    ];
  });
  const bound = plan.compare === 'ratio' ? boundOf(one.target) : undefined;
  if (bound !== undefined) {
    parts.push(
      stroke('target', left + room * 0.06, axis.y(bound), left + room * 0.94, axis.y(bound)),
    );
  }
  // Labels last: they are readable wherever a line ends up.
  const below = text(left + room / 2, height - frame.bottom + 20, one.label, 'group');
  return [...parts, ...labelled, below];
}

function labels(
  plan: Plan,
  { absolute }: Bar,
  label: string,
  middle: number,
  over: number,
  barWidth: number,
): string[] {
  // The absolute value is left to the bar's title then.
  if (barWidth < roomForLabel) {
    const at = `${round(middle + 4)} ${round(over - 5)}`;
    return [
      `<text transform="translate(${at}) rotate(-90)" class="upwards">${escape(label)}</text>`,
    ];
  }
  if (plan.compare !== 'ratio') return [text(middle, over - 5, label, 'value')];
  return [text(middle, over - 17, label, 'value'), text(middle, over - 5, absolute, 'absolute')];
}

function boundOf(target: Target | undefined): number | undefined {
  return target?.most ?? target?.least;
}

/** A bound that is this contestant's alone. */
function ownTarget(
  plan: Plan,
  one: CaseReport,
  { contestant }: ContestantSummary,
  axis: Scale,
  from: number,
  to: number,
): string {
  const bound = plan.compare === 'ratio' ? boundOf(one.targets?.[contestant]) : undefined;
  return bound === undefined ? '' : stroke('target', from, axis.y(bound), to, axis.y(bound));
}

function lines(plan: Plan, series: readonly Series[]): string[] {
  const points = series.flatMap((one) => one.points);
  const across = Math.max(...points.map(([x]) => x));
  const axis = scaleOf(0, Math.max(...points.map(([, y]) => y)) * 1.08);
  const x = (value: number): number => frame.left + (value / across) * plot.width;
  const name = new Map(plan.contestants.map((contestant, index) => [contestant.name, index]));
  return [
    ...axis.ticks.map((tick) => rule(axis.y(tick), String(tick))),
    text(frame.left, frame.top - 12, 'resident memory, MiB, over minutes', 'axis'),
    ...series.map((one) => {
      const path = one.points.map(([px, py]) => `${round(x(px))},${round(axis.y(py))}`).join(' ');
      return `<polyline ${drawn(name.get(one.name) ?? 0)} points="${path}"/>`;
    }),
    ...[0, 0.25, 0.5, 0.75, 1].map((part) =>
      text(x(part * across), height - frame.bottom + 20, (part * across).toFixed(1), 'group'),
    ),
  ];
}

export interface Scale {
  ticks: number[];
  y(value: number): number;
}

/** About five ticks at round numbers, over the height of a plot. */
export function scaleOf(low: number, high: number, room: number = plot.height): Scale {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step =
    [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? rough;
  const ticks = Array.from({ length: Math.floor(high / step) + 1 }, (_, index) =>
    Number((index * step).toPrecision(6)),
  );
  return { ticks, y: (value) => frame.top + room * (1 - (value - low) / (high - low)) };
}

export function rule(y: number, label: string): string {
  const line = stroke('rule', frame.left, y, width - frame.right, y);
  return `${line}${text(frame.left - 8, y + 4, label, 'axis tick')}`;
}

export function stroke(kind: string, x1: number, y1: number, x2: number, y2: number): string {
  return `<line class="${kind}" x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}"/>`;
}

export function text(x: number, y: number, content: string, kind: string): string {
  return `<text x="${round(x)}" y="${round(y)}" class="${kind}">${escape(content)}</text>`;
}

function footer(plan: Plan, facts: Facts): string {
  const bounds = plan.compare === 'ratio' ? ', dashed: target' : '';
  const rounds =
    plan.rounds > 1
      ? `; median of ${plan.rounds} rounds, whiskers: lowest and highest${bounds}`
      : '';
  return `Linux ${facts['kernel']}, Node ${facts['node']}, ${plan.facts['place']}${rounds}`;
}

export function round(value: number): number {
  return Math.round(value * 10) / 10;
}

export function escape(content: string): string {
  return content.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
