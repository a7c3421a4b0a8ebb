// A report as text for a terminal.
import { linesOf } from '../scripts/table';
import { median, type Spread } from './stats';
import { changeRows } from './timeline';
import { nameOf, type CaseReport, type ContestantSummary, type Figure } from './trials';
import type { Plan, Report, Target } from './trials';

export function formatReport({ plan, cases, timelines = [] }: Report): string {
  const facts = Object.entries(plan.facts).map(([key, value]) => `${key}=${value}`);
  const rows = [headings(plan), ...cases.flatMap((one) => caseRows(plan, one))];
  return [
    `\n${plan.workload}: ${plan.title}`,
    facts.join(' '),
    '',
    ...align(rows),
    ...timelines.flatMap((one) => [
      '',
      `${one.label}, ${one.contestant}`,
      ...align(changeRows(one)),
    ]),
  ].join('\n');
}

function headings(plan: Plan): string[] {
  const sign = plan.compare === 'ratio' ? '/' : '-';
  const first = plan.contestants[0]?.name ?? '';
  return [
    'case',
    'contestant',
    ...plan.figures.map(({ heading }) => heading),
    ...comparedFigures(plan).map(({ heading }) => `${heading.split(' ')[0]}${sign}${first}`),
    'zero-copy',
    'known',
    'copied',
    'target',
    'remarks',
  ];
}

function caseRows(plan: Plan, one: CaseReport): string[][] {
  return one.contestants.map((summary, index) => [
    index === 0 ? nameOf(one) : '',
    summary.contestant,
    ...plan.figures.map((figure) => formatFigure(plan, figure, summary.figures[figure.key])),
    ...comparedFigures(plan).map(({ key }) => formatCompared(summary.compared?.[key])),
    percentOf(summary, 'share'),
    percentOf(summary, 'known'),
    percentOf(summary, 'copied'),
    formatTarget(summary),
    summary.marks.join(', '),
  ]);
}

function comparedFigures(plan: Plan): Figure[] {
  return plan.figures.filter(({ key }) => key === plan.main || plan.alsoCompared.includes(key));
}

// The spread is shown where it matters; beside every figure it would hide the medians.
function formatFigure(plan: Plan, figure: Figure, value: Spread | undefined): string {
  if (!value || !Number.isFinite(value.median)) return '';
  const text = value.median.toFixed(figure.digits);
  if (figure.key !== plan.main || value.min === value.max) return text;
  return `${text} [${value.min.toFixed(figure.digits)} to ${value.max.toFixed(figure.digits)}]`;
}

function formatCompared(value: Spread | undefined): string {
  if (!value || !Number.isFinite(value.median)) return '';
  const text = value.median.toFixed(2);
  if (value.min === value.max) return text;
  return `${text} [${value.min.toFixed(2)} to ${value.max.toFixed(2)}]`;
}

function percentOf(summary: ContestantSummary, key: 'share' | 'known' | 'copied'): string {
  const uses = summary.trials.flatMap(({ zeroCopy }) => zeroCopy ?? []);
  if (uses.length === 0) return '';
  if (key !== 'share' && uses.every(({ sends }) => sends === 0)) return '-';
  return `${(median(uses.map((use) => use[key])) * 100).toFixed(1)}%`;
}

function formatTarget({ verdict, target, further = [] }: ContestantSummary): string {
  const first = verdict && target ? [formatBound(target, verdict)] : [];
  const others = further.map(
    (one) => `${one.what} ${one.value.toFixed(2)} ${formatBound(one, one.verdict)}`,
  );
  return [...first, ...others].join(', ');
}

function formatBound({ most, least }: Target, verdict: 'met' | 'missed'): string {
  const bound = most === undefined ? `>= ${least}` : `<= ${most}`;
  return `${bound} ${verdict === 'met' ? 'met' : 'MISSED'}`;
}

// An empty column is left out.
function align(rows: readonly string[][]): string[] {
  const shown = (rows[0] ?? []).map(
    (_, column) => column === 0 || rows.slice(1).some((row) => row[column] !== ''),
  );
  const texts = shown[1] === true ? 2 : 1;
  return linesOf(
    rows.map((row) => row.filter((_, column) => shown[column])),
    texts,
  );
}
