// What the self-test prints: a line for each run, and a table at the end of many.
import type { ReceiverResult, SenderResult } from './protocol';
import type { Outcome } from './run';
import { optionsText, titleOf } from './trial';
import { zeroCopyWord } from './verdict';

const MEGABYTE = 1e6;

function megabytes(bytes: number): string {
  return (bytes / MEGABYTE).toFixed(bytes < 10 * MEGABYTE ? 1 : 0);
}

/** The engine that sent, and where everything was copied though zero copy was asked for, why. */
function engineText({ trial, sent }: Outcome): string {
  if (sent === undefined) return '';
  const { engine, reasons } = sent;
  const copies = trial.zeroCopy && engine === 'copy' && reasons.length > 0;
  return copies ? `${engine} (${reasons.join(', ')})` : engine;
}

function notesOf({ result, problems, remedy, received }: Outcome): string {
  if (result === 'ok') return received === undefined ? 'ok' : 'verified';
  const what = `${result.toUpperCase()}: ${problems.join('; ')}`;
  return remedy === undefined ? what : `${what} (remedy: ${remedy})`;
}

/** The line of one run. */
export function lineOf(outcome: Outcome): string {
  const { trial, sent, received } = outcome;
  const words = [`${titleOf(trial)}:`];
  if (sent !== undefined) {
    words.push(
      `tx=${sent.sends} (${megabytes(sent.bytes)} MB)`,
      `txc=${sent.stats.notifications} of ${sent.stats.zeroCopySends}`,
      `zc=${zeroCopyWord(trial, sent)}`,
      `engine=${engineText(outcome)}`,
    );
  }
  if (received !== undefined) words.push(`rx=${megabytes(received.bytes)} MB`);
  return [...words, notesOf(outcome)].join(' ');
}

/** For -v: all that is known of a run. */
export function detailsOf({ trial, sent, received }: Outcome): string[] {
  const lines = [`  messages of ${trial.bytes} bytes`];
  if (sent !== undefined) {
    const { seconds, travelled, stats } = sent;
    lines.push(
      `  ${seconds.toFixed(2)} s, ${megabytes(sent.bytes / seconds)} MB/s`,
      `  travelled ${JSON.stringify(travelled)}`,
      `  stats ${JSON.stringify(stats)}`,
    );
  }
  if (received !== undefined) lines.push(`  received ${JSON.stringify(received)}`);
  return lines;
}

/** What a receiver by itself has to say. */
export function receiverLine(received: ReceiverResult, problems: readonly string[]): string {
  const { messages, bytes, missing, drops, strangers } = received;
  const words = [`rx=${messages} (${megabytes(bytes)} MB)`];
  if (missing > 0) words.push(`lost on the way=${missing}`);
  if (drops > 0) words.push(`dropped here=${drops}`);
  if (strangers > 0) words.push(`others'=${strangers}`);
  words.push(problems.length === 0 ? 'verified' : `FAILED: ${problems.join('; ')}`);
  return words.join(' ');
}

const COLUMNS = ['', 'mode', 'options', 'tx', 'MB', 'completions', 'zerocopy', 'engine', 'result'];
/** Columns of numbers. */
const RIGHT = new Set([3, 4, 5]);

/** The table of many runs. */
export function tableOf(outcomes: readonly Outcome[]): string {
  const rows = [COLUMNS, ...outcomes.map(rowOf)];
  const widths = COLUMNS.map((_name, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => pad(cell, widths[i] ?? 0, i))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function pad(cell: string, width: number, column: number): string {
  return RIGHT.has(column) ? cell.padStart(width) : cell.padEnd(width);
}

function rowOf(outcome: Outcome): string[] {
  const { trial, sent, result } = outcome;
  const start = [`ipv${trial.family}`, trial.mode, optionsText(trial)];
  return [...start, ...numbersOf(outcome, sent), engineText(outcome), result];
}

function numbersOf({ trial }: Outcome, sent: SenderResult | undefined): string[] {
  if (sent === undefined) return ['-', '-', '-', '-'];
  const completions = trial.zeroCopy ? String(sent.stats.notifications) : '-';
  return [String(sent.sends), megabytes(sent.bytes), completions, zeroCopyWord(trial, sent)];
}

/** Below the table: what was skipped, what failed, and the sum. */
export function summaryOf(outcomes: readonly Outcome[]): string {
  const counted = (result: Outcome['result']): number =>
    outcomes.filter((outcome) => outcome.result === result).length;
  const causes = new Map<string, string[]>();
  for (const outcome of outcomes.filter(({ result }) => result !== 'ok')) {
    const note = notesOf(outcome);
    causes.set(note, [...(causes.get(note) ?? []), titleOf(outcome.trial)]);
  }
  const lines = [...causes].map(([note, titles]) => `${titles.join(', ')}: ${note}`);
  lines.push(`${counted('ok')} ok, ${counted('failed')} failed, ${counted('skipped')} skipped`);
  return lines.join('\n');
}
