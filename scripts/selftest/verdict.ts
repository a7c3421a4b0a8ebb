// Whether a run was all right: what was sent, released, reported and received must agree. Pure.
import type { Reason } from '../../lib/index';
import type { ReceiverResult, SenderResult } from './protocol';
import type { Trial } from './trial';

/** Reasons to copy that are the self-test's own, and explain nothing where zero copy was asked for. */
const OWN_CHOICE: ReadonlySet<Reason> = new Set<Reason>(['below-threshold', 'source', 'disabled']);

interface Run {
  readonly trial: Trial;
  /** Absent, when it was skipped or did not end. */
  readonly sent?: SenderResult;
}

/** What is wrong with the sender's accounts; nothing, if all is well. */
export function senderProblems(trial: Trial, sent: SenderResult): string[] {
  const { stats, travelled, reasons } = sent;
  const parts =
    travelled.zeroCopyBytes +
    travelled.copiedBytes +
    travelled.kernelCopiedBytes +
    travelled.unknownBytes;
  const unreported = stats.zeroCopySends - stats.notifications;
  const failed = 'failedSends' in stats ? stats.failedSends : 0;
  return said([
    [sent.messages === 0, 'nothing was sent'],
    [sent.stalled, 'stopped early, because data did not arrive'],
    [sent.unsettled > 0, `${sent.unsettled} sends never released their memory`],
    [
      unreported !== 0,
      `gap: of ${stats.zeroCopySends} zero-copy sends ${stats.notifications} were reported complete`,
    ],
    [stats.strayNotifications > 0, `${stats.strayNotifications} completions of unknown sends`],
    [sent.pendingSends > 0, `${sent.pendingSends} sends are still pending`],
    [sent.pendingBytes > 0, `${sent.pendingBytes} bytes are still pending`],
    [failed > 0, `${failed} sends failed without a report`],
    [
      travelled.bytes !== sent.passedBytes || parts !== travelled.bytes,
      `${sent.passedBytes} bytes were sent, but the reports account for ${parts} of ${travelled.bytes}`,
    ],
    [
      trial.zeroCopy && stats.zeroCopySends === 0 && !reasons.some((why) => !OWN_CHOICE.has(why)),
      'zero copy was asked for and never tried',
    ],
    [!trial.zeroCopy && stats.zeroCopySends > 0, 'zero copy was used without being asked for'],
  ]);
}

/** Problems with the data that arrived, from any sender. */
export function receiverProblems(received: ReceiverResult): string[] {
  const { wrongMessages, wrongBytes, duplicates, cut } = received;
  return said([
    [wrongBytes > 0, `${wrongBytes} wrong bytes arrived`],
    [wrongMessages > 0 && wrongBytes === 0, `${wrongMessages} messages have a wrong length`],
    [duplicates > 0, `${duplicates} messages arrived more than once`],
    [cut !== undefined, `reception ended early: ${cut}`],
  ]);
}

/** What got lost between a sender and a receiver of the same run. */
export function losses(trial: Trial, sent: SenderResult, received: ReceiverResult): string[] {
  const { missing, drops, strangers } = received;
  const full = drops > 0 ? ` (the receiving socket was full ${drops} times)` : '';
  const stream = trial.mode === 'tcp';
  // A port is this run's alone; raw and packet sockets see everybody's packets.
  const alone = trial.mode === 'tcp' || trial.mode === 'udp';
  return said([
    [missing > 0, `${missing} of ${sent.messages} messages did not arrive${full}`],
    [
      stream && sent.bytes !== received.bytes,
      `${sent.bytes} bytes sent, ${received.bytes} received`,
    ],
    [alone && strangers > 0, `${strangers} messages belong to another run`],
  ]);
}

/** Whether the kernel sent the bytes without copying: yes, no, in part, or '?': it does not say. */
export function zeroCopyWord(trial: Trial, { travelled, stats }: SenderResult): string {
  if (!trial.zeroCopy) return '-';
  if (stats.zeroCopySends === 0) return 'n';
  const { zeroCopyBytes, kernelCopiedBytes } = travelled;
  if (zeroCopyBytes === 0) return kernelCopiedBytes === 0 ? '?' : 'n';
  return kernelCopiedBytes === 0 ? 'y' : 'part';
}

/**
 * Whether zero copy was asked for, and the kernel says of all who could have had it that it copied. Linux has none
 * for raw sockets, and a ring does not tell.
 */
export function nothingZeroCopy(runs: readonly Run[]): boolean {
  const words = telling(runs).map(({ trial, sent }) => zeroCopyWord(trial, sent));
  return words.length > 0 && words.every((word) => word === 'n');
}

/** Why no send without copying was even tried; empty: some were. The kernel's copying explains nothing then. */
export function reasonsForNoTry(runs: readonly Run[]): Reason[] {
  const asked = telling(runs).map(({ sent }) => sent);
  if (asked.some(({ stats }) => stats.zeroCopySends > 0)) return [];
  return [...new Set(asked.flatMap(({ reasons }) => reasons))].filter(
    (why) => !OWN_CHOICE.has(why),
  );
}

/** Those whose kernel would say that it did not copy. */
function telling(runs: readonly Run[]): { trial: Trial; sent: SenderResult }[] {
  return runs.flatMap(({ trial, sent }) => {
    const tells = trial.zeroCopy && (trial.mode === 'tcp' || trial.mode === 'udp');
    return tells && sent !== undefined ? [{ trial, sent }] : [];
  });
}

function said(problems: readonly (readonly [boolean, string])[]): string[] {
  return problems.filter(([is]) => is).map(([, problem]) => problem);
}
