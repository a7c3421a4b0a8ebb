// A worker thread with connections of its own, which ends in the middle of sending: by terminate(), by
// process.exit() or by itself. The memory that its end frees is used again at once.
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { OVERWRITTEN } from '../../pattern';
import { episodeOf } from '../names';
import type { Counts, SenderOrder, Sent } from '../protocol';
import { afterMs, type Episode, type World } from '../world';

const PROGRAM = path.join(__dirname, '../worker-program.js');

/** What a worker is started with. */
export interface WorkerOrder {
  readonly order: SenderOrder;
  readonly seed: number;
  /** Number of the worker. */
  readonly episode: number;
  readonly connections: number;
}

/** To the worker. */
export type WorkerCommand = 'exit' | 'finish' | 'say';

export type FromWorker =
  { readonly sent: Sent } | { readonly failure: string } | { readonly counts: Counts };

/** Tokens that one worker's connections may take. */
export const CONNECTIONS_OF_ONE = 64;
const EXIT_CODE = 7;
const LATE_MS = 45_000;
/** As much as a worker's connections may have had in flight, in pieces that malloc keeps. */
const AGAIN_BYTES = 96 * 1024;
const AGAIN = 64;

export const workerEpisode: Episode = async (world, chance, token) => {
  const { ledger } = world;
  const ending = chance.pick(['terminate', 'terminate', 'exit', 'finish'] as const);
  const workerData: WorkerOrder = {
    order: { ...world.order, ending: 'finish' },
    seed: chance.between(0, 2 ** 31),
    episode: episodeOf(token),
    connections: chance.between(1, 4),
  };
  const worker = new Worker(PROGRAM, { workerData });
  const exit = once(worker, 'exit') as Promise<[number]>;
  worker.on('message', (message: FromWorker) => take(world, message));
  worker.on('error', (error) => ledger.fail(`worker: ${error.stack}`));
  await once(worker, 'online');
  await afterMs(chance.size(20, 1500));
  if (ending === 'terminate') void worker.terminate();
  else worker.postMessage(ending satisfies WorkerCommand);
  const late = setTimeout(() => {
    ledger.fail(`worker, token ${token}: asked to ${ending} ${LATE_MS} ms ago`);
    console.error(`soak: threads of ${process.pid}: ${threads().join('; ')}`);
    // One whose loop turns says what it waits for.
    worker.postMessage('say' satisfies WorkerCommand);
  }, LATE_MS);
  const [code] = await exit;
  clearTimeout(late);
  useMemoryAgain();
  ledger.add(`workers ended: ${ending}`);
  const expected = ending === 'terminate' ? 1 : ending === 'exit' ? EXIT_CODE : 0;
  if (code !== expected) ledger.fail(`a worker that was to ${ending} exited with ${code}`);
};

function take(world: World, message: FromWorker): void {
  if ('sent' in message) world.sent(message.sent);
  else if ('failure' in message) world.ledger.fail(`in a worker: ${message.failure}`);
  else world.ledger.addAll(message.counts);
}

/** What each thread of this process does: its state, and the system call with its arguments. */
function threads(): string[] {
  const folder = '/proc/self/task';
  const read = (thread: string, file: string): string => {
    try {
      return readFileSync(`${folder}/${thread}/${file}`, 'utf8').trim();
    } catch {
      return '?'; // it ended, or only root may know
    }
  };
  return readdirSync(folder).map((thread) => {
    const [, name = '', state = ''] = /\((.*)\) (\S)/.exec(read(thread, 'stat')) ?? [];
    return `${thread} ${name} ${state} ${read(thread, 'syscall')}`;
  });
}

function useMemoryAgain(): void {
  for (let i = 0; i < AGAIN; i++) Buffer.allocUnsafeSlow(AGAIN_BYTES).fill(OVERWRITTEN);
}

/** Ends a worker as it was told to. */
export function exitWorker(): never {
  process.exit(EXIT_CODE);
}
