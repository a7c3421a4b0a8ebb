// What scenarios of workers that end share: memory that comes from the main thread (transferred), so that freeing
// it with a worker's isolate puts it back where the main thread allocates.
import { once } from 'node:events';
import { type MessagePort, Worker } from 'node:worker_threads';
import { connect, type ZeroCopySocket } from '../../lib/index';
import { fillFrom } from '../../scripts/pattern';

/** Where workers send to, and how many there are. */
export interface WorkersPlan {
  readonly port: number;
  readonly address: string;
  readonly workers: number;
}

/** Below malloc's threshold for mapping a block of its own, which would not be used again. */
export const CHUNK_BYTES = 96 * 1024;
/** Kept between the chunks, so that they do not merge and go back to the system. */
const SPACER_BYTES = 8 * 1024;
export const MAIN_EXIT_CODE = 5;
export const WORKER_EXIT_CODE = 7;

interface StartedWorker {
  readonly worker: Worker;
  readonly exit: Promise<number>;
}

const spacers: ArrayBuffer[] = [];

export async function open(
  { port, address: host }: { readonly port: number; readonly address: string },
  engine: 'msg_zerocopy' | 'io_uring',
): Promise<ZeroCopySocket> {
  const socket = connect({ port, host, zeroCopy: { engine } });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** Memory with the beginning of a stream. */
export function makeChunks(stream: number, count: number): ArrayBuffer[] {
  return Array.from({ length: count }, (_, i) => {
    const chunk = new ArrayBuffer(CHUNK_BYTES);
    spacers.push(new ArrayBuffer(SPACER_BYTES));
    fillFrom(Buffer.from(chunk), stream, i * CHUNK_BYTES);
    return chunk;
  });
}

/** Keeps memory referenced to the end, or it would be collected before the peer reads. */
export function keepToTheEnd(chunks: readonly ArrayBuffer[]): void {
  process.once('exit', () => chunks.length + spacers.length);
}

/** In a worker: connects, and takes memory to write from the main thread. */
export async function takeMemory(
  port: MessagePort,
  given: { readonly port: number; readonly address: string },
  engine: 'msg_zerocopy' | 'io_uring',
): Promise<{ socket: ZeroCopySocket; chunks: readonly ArrayBuffer[] }> {
  const socket = await open(given, engine);
  port.postMessage({ stream: socket.localPort });
  const [chunks] = (await once(port, 'message')) as [ArrayBuffer[]];
  return { socket, chunks };
}

/** In the main thread: settles with the exit codes when all workers are gone. */
export async function ended(
  workers: readonly StartedWorker[],
  ending: string,
): Promise<readonly number[]> {
  if (ending === 'with main') process.exit(MAIN_EXIT_CODE);
  if (ending === 'terminate') for (const { worker } of workers) void worker.terminate();
  return Promise.all(workers.map(({ exit }) => exit));
}

/** Starts a worker, which names its stream; settles when it is ready, or gone. */
export async function startWorker(
  file: string,
  workerData: object,
  chunkCount: number,
): Promise<StartedWorker> {
  const worker = new Worker(file, { workerData });
  const exit = once(worker, 'exit').then(([code]) => code as number);
  const [{ stream }] = (await once(worker, 'message')) as [{ stream: number }];
  const chunks = makeChunks(stream, chunkCount);
  worker.postMessage(chunks, chunks);
  // A message that is posted right before process.exit() does not always arrive.
  await Promise.race([once(worker, 'message'), exit]);
  return { worker, exit };
}
