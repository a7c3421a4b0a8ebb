// The addon in the main thread and in several workers at the same time: each runs a server and a client
// of its own and checks what arrives; the workers end in different ways, in mid-traffic or at rest.
// Writes {done: exit codes of the workers}.
import { once } from 'node:events';
import type net from 'node:net';
import { isMainThread, parentPort, threadId, Worker, workerData } from 'node:worker_threads';
import { connect, createServer } from '../../lib/index';
import { countWrong, fillFrom, OVERWRITTEN } from '../../scripts/pattern';
import { print } from '../helpers/program-side';

const FORCED = { engine: 'msg_zerocopy' } as const;
const BYTES = 4 * 1024 * 1024;
const CHUNK_BYTES = 128 * 1024;
const MOST_TRANSFERS = 1_000;

type Ending = 'naturally' | 'process.exit' | 'terminated at rest' | 'terminated in traffic';
const ENDINGS: readonly Ending[] = [
  'naturally',
  'process.exit',
  'terminated at rest',
  'terminated in traffic',
];

async function transfer(stream: number, whenFlowing: () => void): Promise<void> {
  const server = createServer({ zeroCopy: FORCED }, (socket) => {
    for (let at = 0; at < BYTES; at += CHUNK_BYTES) {
      const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
      fillFrom(chunk, stream, at);
      socket.write(chunk, () => chunk.fill(OVERWRITTEN));
    }
    socket.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const client = connect({ port, host: '127.0.0.1', zeroCopy: FORCED });
  let bytes = 0;
  client.on('data', (chunk: Buffer) => {
    if (countWrong(chunk, stream, bytes) > 0) throw new Error(`wrong bytes near ${bytes}`);
    bytes += chunk.length;
    whenFlowing();
  });
  await once(client, 'end');
  if (bytes !== BYTES) throw new Error(`${bytes} of ${BYTES} bytes`);
  server.close();
}

async function work(ending: Ending): Promise<void> {
  const told = (): void => parentPort?.postMessage('now');
  await transfer(threadId, ending === 'terminated in traffic' ? told : () => undefined);
  // The main thread may be late.
  for (let more = 0; ending === 'terminated in traffic' && more < MOST_TRANSFERS; more++) {
    await transfer(threadId, () => undefined);
  }
  if (ending === 'process.exit') process.exit(0);
  if (ending === 'terminated at rest') {
    parentPort?.on('message', () => undefined); // stays until it is terminated
    told();
  }
}

function startWorker(ending: Ending): Promise<number> {
  const worker = new Worker(__filename, { workerData: ending });
  worker.once('message', () => void worker.terminate());
  return once(worker, 'exit').then(([code]) => code as number);
}

async function main(): Promise<void> {
  const [codes] = await Promise.all([
    Promise.all(ENDINGS.map(startWorker)),
    transfer(100, () => undefined),
  ]);
  print({ done: codes });
}

if (isMainThread) void main();
else void work(workerData as Ending);
