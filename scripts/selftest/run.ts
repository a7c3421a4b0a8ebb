// Runs one trial: a receiver, a sender, what the one tells of the other, and the verdict.
import type { SpawnOptions } from 'node:child_process';
import { randomInt } from 'node:crypto';
import path from 'node:path';
import type { Place } from '../place';
import type {
  FromReceiver,
  FromSender,
  ReceiverOrder,
  ReceiverResult,
  SenderResult,
  ToReceiver,
  ToSender,
} from './protocol';
import { Side } from './side';
import type { Mode, Trial } from './trial';
import { Unavailable } from '../rig/availability';
import { losses, receiverProblems, senderProblems } from './verdict';

export interface Outcome {
  readonly trial: Trial;
  readonly result: 'ok' | 'failed' | 'skipped';
  readonly problems: readonly string[];
  /** Of a skipped one: what would change it. */
  readonly remedy?: string;
  readonly sent?: SenderResult;
  readonly received?: ReceiverResult;
}

const START_MS = 15_000;
/** Longer than a sender and a receiver take to give up by themselves. */
const END_MS = 20_000;
const MOST_TOKEN = 2 ** 31;
const MOST_WINDOW = 64;
/** What the kernel counts for a packet beside its payload, roughly. */
const PACKET_OVERHEAD_BYTES = 2048;

const CHILD: SpawnOptions = { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] };

const receiverProgram = path.join(__dirname, 'receiver.js');
const senderProgram = path.join(__dirname, 'sender.js');

/** A sender and a receiver of this machine. @param port 0: a free one */
export async function runTrial(place: Place, trial: Trial, port: number): Promise<Outcome> {
  const token = randomInt(MOST_TOKEN);
  const address = place.address('receiver', trial.family);
  const { family, mode } = trial;
  const receiver = startReceiver(place, { trial: { family, mode }, address, port, token });
  // Both at once: starting takes longer than a short run.
  const sender = startSender(place, mode);
  try {
    const listening = await receiver.next('listening', START_MS);
    const window = windowFor(trial, listening.receiveBuffer);
    receiver.onMessage((message) => {
      if (message.event === 'received') tell(sender, { arrived: message.messages });
    });
    tell(sender, { order: { trial, address, port: listening.port, token, ...window } });
    const deadline = trial.seconds * 1000 + END_MS;
    const { result: sent } = await sender.next('sent', deadline);
    const { messages, bytes } = sent;
    receiver.tell({ finish: { messages, bytes } } satisfies ToReceiver);
    const { result: received } = await receiver.next('result', END_MS);
    return judged(trial, sent, received);
  } catch (error) {
    return unfinished(trial, error);
  } finally {
    await Promise.all([sender.end(), receiver.end()]);
  }
}

/** A sender whose receiver is on another host: only its own accounts can be checked. */
export async function runSender(place: Place, trial: Trial, port: number): Promise<Outcome> {
  const address = place.address('receiver', trial.family);
  const token = randomInt(MOST_TOKEN);
  const sender = startSender(place, trial.mode);
  tell(sender, { order: { trial, address, port, token } });
  try {
    const { result } = await sender.next('sent', trial.seconds * 1000 + END_MS);
    return judged(trial, result, undefined);
  } catch (error) {
    return withReceiverHint(unfinished(trial, error), `--bind ${address} -p ${port}`);
  } finally {
    await sender.end();
  }
}

/** A missing receiver was, most often, not started. */
function withReceiverHint(outcome: Outcome, where: string): Outcome {
  const { mode } = outcome.trial;
  const hint = `(remedy: first start 'msg-zerocopy selftest ${mode} -r ${where}' there)`;
  const problems = outcome.problems.map((problem) =>
    problem.includes('ECONNREFUSED') ? `${problem} ${hint}` : problem,
  );
  return { ...outcome, problems };
}

export function startReceiver(place: Place, order: ReceiverOrder): Side<FromReceiver> {
  const argv = [process.execPath, receiverProgram, JSON.stringify(order)];
  return new Side('receiver', place.start('receiver', argv, CHILD));
}

function startSender(place: Place, mode: Mode): Side<FromSender> {
  return new Side('sender', place.start('sender', [process.execPath, senderProgram, mode], CHILD));
}

function tell(sender: Side<FromSender>, message: ToSender): void {
  sender.tell(message);
}

// No more than surely fits into the receiving socket, of which the kernel counts more than the bytes
// that packets carry, so that a message that does not arrive was lost on the way. TCP sees to
// that itself.
function windowFor(trial: Trial, receiveBuffer: number): { window?: number } {
  if (trial.mode === 'tcp') return {};
  const each = 2 * trial.bytes + PACKET_OVERHEAD_BYTES;
  const fitting = Math.floor(receiveBuffer / 2 / each);
  return { window: Math.min(MOST_WINDOW, Math.max(1, fitting)) };
}

function judged(trial: Trial, sent: SenderResult, received: ReceiverResult | undefined): Outcome {
  const problems = senderProblems(trial, sent);
  if (received !== undefined) {
    problems.push(...receiverProblems(received), ...losses(trial, sent, received));
  }
  return {
    trial,
    result: problems.length === 0 ? 'ok' : 'failed',
    problems,
    sent,
    ...(received === undefined ? {} : { received }),
  };
}

export function unfinished(trial: Trial, error: unknown): Outcome {
  if (error instanceof Unavailable) {
    return { trial, result: 'skipped', problems: [error.reason], remedy: error.remedy };
  }
  return { trial, result: 'failed', problems: [(error as Error).message] };
}
