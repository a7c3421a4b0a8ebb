// A worker that sends, and tells its own metrics() and the stats of its socket when told to.
import { once } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';
import { connect, metrics } from '../../lib/index';

export interface MetricsWorkerArgument {
  readonly port: number;
  readonly writes: number;
}

const BYTES = 100_000;

async function work({ port, writes }: MetricsWorkerArgument): Promise<void> {
  const told = parentPort;
  if (told === null) throw new Error('not in a worker');
  const before = metrics();
  const socket = connect({ port, host: '127.0.0.1', zeroCopy: { engine: 'msg_zerocopy' } });
  await once(socket, 'connect');
  for (let i = 0; i < writes; i++) await socket.send(Buffer.alloc(BYTES, i));
  told.postMessage({ before, after: metrics(), stats: socket.zeroCopy.stats });
  await once(told, 'message');
  socket.destroy();
}

void work(workerData as MetricsWorkerArgument);
