// Workers that have memory pinned when they end, beside a main thread that uses the addon itself.
// The memory comes from the main thread (transferred), so that freeing it with a worker's isolate puts
// it back where the main thread allocates, which it does at once: a page that the kernel still
// references would be sent with what is in it then.
// Writes {ended: exit codes} when the workers are gone, {refilled} after their memory was used again.
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
  /** How the workers end; 'with main': by process.exit() of the main thread. */
  readonly ending: 'terminate' | 'process.exit' | 'naturally' | 'with main';
}

/** Below malloc's threshold for mapping a block of its own, which would not be used again. */
const CHUNK_BYTES = 96 * 1024;
const CHUNKS = 32;
/** Kept between the chunks, so that they do not merge and go back to the system. */
const SPACER_BYTES = 8 * 1024;
const ENOUGH_BYTES = 1024 * 1024;
const MAIN_EXIT_CODE = 5;
const WORKER_EXIT_CODE = 7;

async function open(given: WorkersArgument): Promise<ZeroCopySocket> {
  const { port, address: host } = given;
  const socket = connect({ port, host, zeroCopy: { engine: 'msg_zerocopy' } });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

async function pinned(socket: ZeroCopySocket): Promise<void> {
  await until('memory is pinned', () => socket.zeroCopy.pendingBytes >= ENOUGH_BYTES);
}

// --- in a worker -----------------------------------------------------------------------------------

async function work(given: WorkersArgument): Promise<void> {
  const port = parentPort;
  if (port === null) throw new Error('not in a worker');
  const socket = await open(given);
  port.postMessage({ stream: socket.localPort });
  const [chunks] = (await once(port, 'message')) as [ArrayBuffer[]];
  for (const chunk of chunks) socket.write(new Uint8Array(chunk));
  await pinned(socket);
  port.postMessage({ pinned: true });
  if (given.ending === 'process.exit') process.exit(WORKER_EXIT_CODE);
  if (given.ending === 'naturally') {
    socket.end();
    port.unref();
  }
}

// --- in the main thread ----------------------------------------------------------------------------

const spacers: ArrayBuffer[] = [];

function makeChunks(stream: number): ArrayBuffer[] {
  return Array.from({ length: CHUNKS }, (_, i) => {
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
  const chunks = makeChunks(stream);
  worker.postMessage(chunks, chunks);
  await once(worker, 'message');
  return { worker, exit };
}

function useMemoryAgain(workers: number): ArrayBuffer[] {
  return Array.from({ length: 2 * workers * CHUNKS }, () => {
    const fresh = new ArrayBuffer(CHUNK_BYTES);
    new Uint8Array(fresh).fill(OVERWRITTEN);
    return fresh;
  });
}

async function main(given: WorkersArgument): Promise<void> {
  const own = await open(given);
  for (const chunk of makeChunks(own.localPort as number)) own.write(new Uint8Array(chunk));
  await pinned(own);
  const all = await Promise.all(Array.from({ length: given.workers }, () => startWorker(given)));
  if (given.ending === 'with main') process.exit(MAIN_EXIT_CODE);
  if (given.ending === 'terminate') for (const { worker } of all) void worker.terminate();
  if (given.ending === 'naturally') print({ ending: true });
  const codes = await Promise.all(all.map(({ exit }) => exit));
  const kept = useMemoryAgain(given.workers);
  print({ ended: codes, refilled: kept.length });
  own.end();
  // Referenced to the end, or it would be collected before the peer reads.
  process.once('exit', () => kept.length);
}

if (isMainThread) void main(argument<WorkersArgument>());
else void work(workerData as WorkersArgument);
