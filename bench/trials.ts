// Trials and what is made of them: interleaving, medians, ratios within a round. Knows no workload.
import { Progress } from '../scripts/progress';
import type { Contestant } from './options';
import { spread, type Spread } from './stats';
import type { Timeline } from './timeline';

/** How the bytes of one trial travelled, as the sender reports it. */
export interface ZeroCopyUse {
  engine?: string;
  state?: string;
  reason?: string;
  poolReason?: string;
  /** Sends without a copy of ours. */
  sends: number;
  /** Part of the bytes that was sent so, 0 to 1. */
  share: number;
  /** Part of those sends whose fate was reported, 0 to 1: of a merged range only the first one's is. */
  known: number;
  /** Part of the known ones that the kernel copied after all, 0 to 1. */
  copied: number;
  /** All counters of the library within the measured window. */
  counters: Record<string, number>;
}

export interface Trial {
  contestant: string;
  round: number;
  figures: Record<string, number>;
  /** Part of the time, 0 to 1, in which other processes had the sender's CPU. */
  disturbed?: number;
  zeroCopy?: ZeroCopyUse;
  /** What a reader of its figures has to know. */
  remark?: string;
}

export type Measured = Omit<Trial, 'contestant' | 'round'>;

export interface Figure {
  key: string;
  heading: string;
  digits: number;
}

/** Bound of the main figure against the first contestant's. */
export interface Target {
  most?: number;
  least?: number;
}

/** A bound of another figure, or of the main one beside another contestant than the first. */
export interface FurtherTarget extends Target {
  /** What is compared, in words. */
  what: string;
  figure: string;
  /** A contestant; absent: the first. */
  beside?: string;
}

export interface Judgement extends FurtherTarget {
  value: number;
  verdict: 'met' | 'missed';
}

export interface Case {
  label: string;
  /** Cases of one panel are drawn side by side, panels below each other. */
  panel?: string;
  bytes: number;
  /** For every contestant that is to be judged. */
  target?: Target;
  /** By name, where each has a bound of its own. */
  targets?: Readonly<Record<string, Target>>;
  /** By name, what else is judged. */
  further?: Readonly<Record<string, readonly FurtherTarget[]>>;
}

/** What a workload measures and how it is to be read. */
export interface Plan {
  workload: string;
  title: string;
  /** Facts of the run that belong beside the table, printed as key=value. */
  facts: Record<string, string | number>;
  figures: readonly Figure[];
  /** Key of the figure that is compared and drawn. */
  main: string;
  /** Further figures to compare. */
  alsoCompared: readonly string[];
  /** Against the first contestant, within a round. */
  compare: 'ratio' | 'difference';
  contestants: readonly Contestant[];
  rounds: number;
}

export interface ContestantSummary {
  contestant: string;
  figures: Record<string, Spread>;
  /** By figure; absent for the first contestant. */
  compared?: Record<string, Spread>;
  /** What the verdict is about. */
  target?: Target;
  verdict?: 'met' | 'missed';
  further?: Judgement[];
  marks: string[];
  trials: Trial[];
}

export function nameOf({ label, panel }: Case): string {
  return panel === undefined ? label : `${label} ${panel}`;
}

export interface CaseReport extends Case {
  contestants: ContestantSummary[];
}

export interface Report {
  plan: Plan;
  cases: CaseReport[];
  /** Lines over time, where a workload has them. */
  series?: Series[];
  /** What sockets said over time. */
  timelines?: Timeline[];
}

export interface Series {
  name: string;
  points: [number, number][];
}

const copiedFromHereOn = 0.5;
const partlyCopiedFromHereOn = 0.02;
// A few probes of an engine that has seen that the kernel copies do not claim zero copy.
const claimFromHereOn = 0.02;
const disturbedFromHereOn = 0.1;
const checkSlack = 0.1;

/** One trial of every contestant per round, in an order that turns around every round. */
export async function runCase(
  plan: Plan,
  one: Case,
  runTrial: (contestant: Contestant, round: number) => Promise<Measured>,
): Promise<CaseReport> {
  const [report] = await runCases(plan, [one], (_one, contestant, round) =>
    runTrial(contestant, round),
  );
  return report as CaseReport;
}

/** The same for cases that are to be compared with each other: every round has all of them. */
export async function runCases<C extends Case>(
  plan: Plan,
  cases: readonly C[],
  runTrial: (one: C, contestant: Contestant, round: number) => Promise<Measured>,
): Promise<CaseReport[]> {
  const trials = cases.map((): Trial[] => []);
  const active = plan.contestants.filter(({ missing }) => missing === undefined);
  const progress = new Progress(plan.rounds * cases.length * active.length);
  let done = 0;
  try {
    for (let round = 0; round < plan.rounds; round++) {
      const order = round % 2 === 0 ? active : [...active].reverse();
      for (const [index, one] of cases.entries()) {
        const title = `${plan.workload} ${nameOf(one)} round ${round + 1}/${plan.rounds}`;
        // A log shows that it goes on, too.
        if (!process.stderr.isTTY) progress.say(title);
        for (const contestant of order) {
          progress.at(done++, `${title} ${contestant.name}`);
          const measured = await runTrial(one, contestant, round);
          trials[index]?.push({ contestant: contestant.name, round, ...measured });
        }
      }
    }
  } finally {
    progress.stop();
  }
  return cases.map((one, index) => ({
    ...one,
    contestants: summarise(plan, one, trials[index] ?? []),
  }));
}

/** The same, where the contestants of a round are measured together. */
export async function runRounds(
  plan: Plan,
  one: Case,
  runRound: (contestants: readonly Contestant[], round: number) => Promise<Measured[]>,
): Promise<CaseReport> {
  const trials: Trial[] = [];
  const active = plan.contestants.filter(({ missing }) => missing === undefined);
  const progress = new Progress(plan.rounds);
  try {
    for (let round = 0; round < plan.rounds; round++) {
      const title = `${plan.workload} ${nameOf(one)} round ${round + 1}/${plan.rounds}`;
      if (!process.stderr.isTTY) progress.say(title);
      progress.at(round, title);
      const measured = await runRound(active, round);
      for (const [index, { name }] of active.entries()) {
        trials.push({ contestant: name, round, ...(measured[index] as Measured) });
      }
    }
  } finally {
    progress.stop();
  }
  return { ...one, contestants: summarise(plan, one, trials) };
}

export function summarise(plan: Plan, one: Case, trials: readonly Trial[]): ContestantSummary[] {
  const first = plan.contestants[0]?.name;
  const baseline = trials.filter((trial) => trial.contestant === first);
  return plan.contestants.map(({ name, kind, settings, missing }) => {
    const own = trials.filter((trial) => trial.contestant === name);
    const summary: ContestantSummary = {
      contestant: name,
      figures: Object.fromEntries(
        plan.figures.map(({ key }) => [key, spread(own.map((trial) => figure(trial, key)))]),
      ),
      marks: missing === undefined ? marksOf(own, settings?.engine) : [missing],
      trials: own,
    };
    if (name === first) return summary;
    summary.compared = Object.fromEntries(
      [plan.main, ...plan.alsoCompared].map((key) => [key, compare(plan, own, baseline, key)]),
    );
    const value = summary.compared[plan.main]?.median;
    // Who is told to copy is measured for comparison and has nothing to meet.
    const judged = kind === 'upgraded' && settings?.engine !== 'copy';
    const target = one.targets?.[name] ?? (judged ? one.target : undefined);
    if (target && Number.isFinite(value)) {
      summary.target = target;
      summary.verdict = meets(value as number, target) ? 'met' : 'missed';
    }
    const further = one.further?.[name] ?? [];
    if (further.length > 0) summary.further = judge(plan, own, trials, further);
    return summary;
  });
}

function judge(
  plan: Plan,
  own: Trial[],
  trials: readonly Trial[],
  targets: readonly FurtherTarget[],
): Judgement[] {
  return targets.flatMap((target) => {
    const other = target.beside ?? plan.contestants[0]?.name;
    const others = trials.filter(({ contestant }) => contestant === other);
    const value = compare(plan, own, others, target.figure).median;
    if (!Number.isFinite(value)) return [];
    return { ...target, value, verdict: meets(value, target) ? 'met' : 'missed' };
  });
}

function compare(plan: Plan, own: Trial[], baseline: Trial[], key: string): Spread {
  return spread(
    own.map((trial) => {
      const other = baseline.find(({ round }) => round === trial.round);
      const base = other ? figure(other, key) : NaN;
      return plan.compare === 'ratio' ? figure(trial, key) / base : figure(trial, key) - base;
    }),
  );
}

function figure(trial: Trial, key: string): number {
  return trial.figures[key] ?? NaN;
}

/** What `--check` is about: targets missed by more than the slack, where nothing disturbed the trials. */
export function missedTargets(plan: Plan, cases: readonly CaseReport[]): string[] {
  return cases.flatMap((one) =>
    one.contestants.flatMap(({ contestant, target, compared, further = [], trials }) => {
      if (trials.some(({ disturbed = 0 }) => disturbed >= disturbedFromHereOn)) return [];
      const value = compared?.[plan.main]?.median ?? NaN;
      const first = target === undefined ? [] : [{ ...target, value, what: '' }];
      return [...first, ...further]
        .filter((judged) => !meets(judged.value, slackened(judged)))
        .map(({ what, most, least, value: own }) => {
          const said = what === '' ? own.toFixed(2) : `${what} ${own.toFixed(2)}`;
          return `${nameOf(one)}, ${contestant}: ${said}, the target is ${most ?? least}`;
        });
    }),
  );
}

function slackened({ most, least }: Target): Target {
  return {
    ...(most !== undefined && { most: most * (1 + checkSlack) }),
    ...(least !== undefined && { least: least * (1 - checkSlack) }),
  };
}

function meets(value: number, { most, least }: Target): boolean {
  return (most === undefined || value <= most) && (least === undefined || value >= least);
}

// What claims zero copy but was copied must not pass for a result.
function marksOf(trials: readonly Trial[], asked: string | undefined): string[] {
  const marks = new Set<string>();
  for (const { zeroCopy } of trials) {
    if (!zeroCopy) continue;
    if (zeroCopy.share >= claimFromHereOn) {
      if (zeroCopy.copied >= copiedFromHereOn) marks.add('KERNEL COPIED');
      else if (zeroCopy.copied >= partlyCopiedFromHereOn) marks.add('partly copied');
    }
    if (zeroCopy.reason !== undefined) marks.add(zeroCopy.reason);
    // 'auto' chose one; an engine that is asked for by name may be refused.
    if (asked !== undefined && zeroCopy.engine !== undefined && zeroCopy.engine !== asked) {
      marks.add(`engine ${zeroCopy.engine}`);
    }
    if (zeroCopy.poolReason !== undefined) marks.add(`pool: ${zeroCopy.poolReason}`);
  }
  for (const { remark } of trials) {
    if (remark === undefined) continue;
    marks.add(
      `${remark} ${trials.filter((other) => other.remark === remark).length}/${trials.length}`,
    );
  }
  const disturbed = trials.filter((trial) => (trial.disturbed ?? 0) >= disturbedFromHereOn);
  if (disturbed.length > 0) marks.add(`disturbed ${disturbed.length}/${trials.length}`);
  return [...marks];
}
