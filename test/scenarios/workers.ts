// Workers that have memory pinned when they end, beside a main thread that uses the addon itself.
// The memory comes from the main thread (transferred), so that freeing it with a worker's isolate puts
// it back where the main thread allocates, which it does at once: a page that the kernel still
// references would be sent with what is in it then.
// Writes {ended: exit codes} when the workers are gone, {refilled} after their memory was used again.
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import type { ZeroCopySocket } from '../../lib/index';
import { OVERWRITTEN } from '../../scripts/pattern';
import { argument, print } from '../helpers/program-side';
import { until } from '../../scripts/until';
import {
  CHUNK_BYTES,
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
  /** How the workers end; 'with main': by process.exit() of the main thread. */
  readonly ending: 'terminate' | 'process.exit' | 'naturally' | 'with main';
}

const CHUNKS = 32;
const ENOUGH_BYTES = 1024 * 1024;

async function pinned(socket: ZeroCopySocket): Promise<void> {
  await until('memory is pinned', () => socket.zeroCopy.pendingBytes >= ENOUGH_BYTES);
}

// --- in a worker -----------------------------------------------------------------------------------

async function work(given: WorkersArgument): Promise<void> {
  const port = parentPort;
  if (port === null) throw new Error('not in a worker');
  const { socket, chunks } = await takeMemory(port, given, 'msg_zerocopy');
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

function useMemoryAgain(workers: number): ArrayBuffer[] {
  return Array.from({ length: 2 * workers * CHUNKS }, () => {
    const fresh = new ArrayBuffer(CHUNK_BYTES);
    new Uint8Array(fresh).fill(OVERWRITTEN);
    return fresh;
  });
}

async function main(given: WorkersArgument): Promise<void> {
  const own = await open(given, 'msg_zerocopy');
  for (const chunk of makeChunks(own.localPort as number, CHUNKS)) own.write(new Uint8Array(chunk));
  await pinned(own);
  const all = await Promise.all(
    Array.from({ length: given.workers }, () => startWorker(__filename, given, CHUNKS)),
  );
  if (given.ending === 'naturally') print({ ending: true });
  const codes = await ended(all, given.ending);
  const kept = useMemoryAgain(given.workers);
  print({ ended: codes, refilled: kept.length });
  own.end();
  keepToTheEnd(kept);
}

if (isMainThread) void main(argument<WorkersArgument>());
else void work(workerData as WorkersArgument);
