// A diagnosis as text for people.
import type { Diagnosis, Finding, Verdict } from '../../lib/index';

const WORDS: Readonly<Record<Verdict, string>> = {
  ok: 'ok',
  note: 'note',
  limited: 'LIMITED',
  blocked: 'BLOCKED',
};

const VERDICT_WIDTH = 9;
const WIDTH = 100;

/** The lines of a diagnosis, of at most 100 columns, but for commands: those are to be copied. */
export function tableOf(diagnosis: Diagnosis): string {
  return [headOf(diagnosis), '', ...diagnosis.findings.flatMap(linesOf)].join('\n');
}

function headOf({ zeroCopy, platform, kernel, node, target, findings }: Diagnosis): string {
  const to = target === undefined ? 'here' : `to ${target.host}`;
  const blocking = findings.filter(({ verdict }) => verdict === 'blocked').map(({ id }) => id);
  const answer = zeroCopy
    ? `Zero copy can work ${to}`
    : `Everything is copied ${to} (${blocking.join(', ')})`;
  return `${answer}. ${platform} ${kernel}, Node ${node}`;
}

function linesOf({ verdict, title, detail, remedy }: Finding): string[] {
  const indent = ' '.repeat(VERDICT_WIDTH);
  const [first = '', ...rest] = wrap(`${title}: ${detail}`, WIDTH - VERDICT_WIDTH);
  const lines = [
    WORDS[verdict].padEnd(VERDICT_WIDTH) + first,
    ...rest.map((line) => indent + line),
  ];
  if (remedy === undefined) return lines;
  lines.push(`${indent}remedy: ${remedy.command}`);
  if (remedy.weakensSecurity !== undefined) {
    const warning = `this weakens security: ${remedy.weakensSecurity}`;
    lines.push(...wrap(warning, WIDTH - VERDICT_WIDTH).map((line) => indent + line));
  }
  return lines;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
