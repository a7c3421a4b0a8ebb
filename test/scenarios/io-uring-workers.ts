// Workers whose environment ends with requests queued in this very turn, in flight or stalled. The
// memory comes from the main thread, which uses it again as soon as the worker is gone: what is still
// sent from it then is wrong. Writes {ended: exit codes} when they are gone.
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import type { ZeroCopySocket } from '../../lib/index';
import { OVERWRITTEN } from '../../scripts/pattern';
import { argument, print } from '../helpers/program-side';
import { until } from '../../scripts/until';
import {
  ended,
  keepToTheEnd,
  makeChunks,
  open,
  startWorker,
  WORKER_EXIT_CODE,
  takeMemory,
  type WorkersPlan,
} from './worker-memory';

export interface WorkersArgument extends WorkersPlan {
  /** What the worker's writes have come to when it ends. */
  readonly state: 'queued' | 'in flight' | 'stalled';
  readonly ending: 'terminate' | 'process.exit' | 'process.exit later' | 'with main';
}

const CHUNKS: Record<WorkersArgument['state'], number> = {
  queued: 8,
  'in flight': 8,
  stalled: 160,
};
function inState(
  { zeroCopy, writableLength }: ZeroCopySocket,
  { state }: WorkersArgument,
): boolean {
  return zeroCopy.pendingBytes > 0 && (state === 'stalled') === writableLength > 0;
}

// --- in a worker -----------------------------------------------------------------------------------

// Nothing more of this turn happens.
function standStill(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

async function work(given: WorkersArgument): Promise<void> {
  const port = parentPort;
  if (port === null) throw new Error('not in a worker');
  const { socket, chunks } = await takeMemory(port, given, 'io_uring');
  for (const chunk of chunks) socket.write(new Uint8Array(chunk));
  if (given.state !== 'queued') await until('the state', () => inState(socket, given));
  port.postMessage({ ready: true });
  if (given.ending === 'process.exit') process.exit(WORKER_EXIT_CODE);
  if (given.ending === 'process.exit later') setImmediate(() => process.exit(WORKER_EXIT_CODE));
  else if (given.state === 'queued') standStill();
  else port.on('message', () => undefined);
}

// --- in the main thread ----------------------------------------------------------------------------

async function main(given: WorkersArgument): Promise<void> {
  const own = await open(given, 'io_uring');
  const all = await Promise.all(
    Array.from({ length: given.workers }, () =>
      startWorker(__filename, given, CHUNKS[given.state]),
    ),
  );
  for (const chunk of makeChunks(own.localPort as number, CHUNKS.queued)) {
    own.write(new Uint8Array(chunk));
  }
  const codes = await ended(all, given.ending);
  const refilled = makeChunks(0, 2 * given.workers * CHUNKS[given.state]);
  for (const chunk of refilled) Buffer.from(chunk).fill(OVERWRITTEN);
  print({ ended: codes });
  own.end();
  keepToTheEnd(refilled);
}

if (isMainThread) void main(argument<WorkersArgument>());
else void work(workerData as WorkersArgument);
