// Workers whose environment ends with requests queued in this very turn, in flight or stalled. The
// memory comes from the main thread, which uses it again as soon as the worker is gone: what is still
// sent from it then is wrong. Writes {ended: exit codes} when they are gone.
import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { connect, type ZeroCopySocket } from '../../lib/index';
import { fillFrom, OVERWRITTEN } from '../../scripts/pattern';
import { argument, print } from '../helpers/program-side';
import { until } from '../../scripts/until';

export interface WorkersArgument {
  readonly port: number;
  readonly address: string;
  readonly workers: number;
  /** What the worker's writes have come to when it ends. */
  readonly state: 'queued' | 'in flight' | 'stalled';
  readonly ending: 'terminate' | 'process.exit' | 'process.exit later' | 'with main';
}

/** Below malloc's threshold for mapping a block of its own, which would not be used again. */
const CHUNK_BYTES = 96 * 1024;
const CHUNKS: Record<WorkersArgument['state'], number> = {
  queued: 8,
  'in flight': 8,
  stalled: 160,
};
/** Kept between the chunks, so that they do not merge and go back to the system. */
const SPACER_BYTES = 8 * 1024;
const MAIN_EXIT_CODE = 5;
const WORKER_EXIT_CODE = 7;

async function open({ port, address: host }: WorkersArgument): Promise<ZeroCopySocket> {
  const socket = connect({ port, host, zeroCopy: { engine: 'io_uring' } });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

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
  const socket = await open(given);
  port.postMessage({ stream: socket.localPort });
  const [chunks] = (await once(port, 'message')) as [ArrayBuffer[]];
  for (const chunk of chunks) socket.write(new Uint8Array(chunk));
  if (given.state !== 'queued') await until('the state', () => inState(socket, given));
  port.postMessage({ ready: true });
  if (given.ending === 'process.exit') process.exit(WORKER_EXIT_CODE);
  if (given.ending === 'process.exit later') setImmediate(() => process.exit(WORKER_EXIT_CODE));
  else if (given.state === 'queued') standStill();
  else port.on('message', () => undefined);
}

// --- in the main thread ----------------------------------------------------------------------------

const spacers: ArrayBuffer[] = [];

function makeChunks(stream: number, count: number): ArrayBuffer[] {
  return Array.from({ length: count }, (_, i) => {
    const chunk = new ArrayBuffer(CHUNK_BYTES);
    spacers.push(new ArrayBuffer(SPACER_BYTES));
    fillFrom(Buffer.from(chunk), stream, i * CHUNK_BYTES);
    return chunk;
  });
}

async function startWorker(
  given: WorkersArgument,
): Promise<{ worker: Worker; exit: Promise<number> }> {
  const worker = new Worker(__filename, { workerData: given });
  const exit = once(worker, 'exit').then(([code]) => code as number);
  const [{ stream }] = (await once(worker, 'message')) as [{ stream: number }];
  const chunks = makeChunks(stream, CHUNKS[given.state]);
  worker.postMessage(chunks, chunks);
  // A message that is posted right before process.exit() does not always arrive.
  await Promise.race([once(worker, 'message'), exit]);
  return { worker, exit };
}

async function main(given: WorkersArgument): Promise<void> {
  const own = await open(given);
  const all = await Promise.all(Array.from({ length: given.workers }, () => startWorker(given)));
  for (const chunk of makeChunks(own.localPort as number, CHUNKS.queued)) {
    own.write(new Uint8Array(chunk));
  }
  if (given.ending === 'with main') process.exit(MAIN_EXIT_CODE);
  if (given.ending === 'terminate') for (const { worker } of all) void worker.terminate();
  const codes = await Promise.all(all.map(({ exit }) => exit));
  const refilled = makeChunks(0, 2 * given.workers * CHUNKS[given.state]);
  for (const chunk of refilled) Buffer.from(chunk).fill(OVERWRITTEN);
  print({ ended: codes });
  own.end();
  // Referenced to the end, or it would be collected before the peer reads.
  process.once('exit', () => refilled.length + spacers.length);
}

if (isMainThread) void main(argument<WorkersArgument>());
else void work(workerData as WorkersArgument);
