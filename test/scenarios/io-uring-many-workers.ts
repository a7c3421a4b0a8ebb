// Workers one after another, each with a ring of its own, and what is left of them: descriptors,
// mappings of rings, memory. Writes {left} before the first, after some, and again after many.
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import net from 'node:net';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { capabilities, connect } from '../../lib/index';
import { argument, print } from '../helpers/program-side';

export interface ManyWorkersArgument {
  /** Workers before the second {left}, and between it and the third. */
  readonly some: number;
  readonly many: number;
}

export interface Left {
  readonly left: {
    readonly descriptors: number;
    readonly rings: number;
    readonly mappings: number;
    readonly residentBytes: number;
    readonly wrong: number;
  };
}

const ENDINGS = ['naturally', 'process.exit', 'terminate', 'terminate in flight'] as const;
type Ending = (typeof ENDINGS)[number];

const BYTES = 200_000;

async function work({ port, ending }: { port: number; ending: Ending }): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1', zeroCopy: { engine: 'io_uring' } });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  const body = Buffer.allocUnsafeSlow(BYTES).fill(7);
  await socket.send(body);
  const { engine, reason } = socket.zeroCopy;
  if (engine !== 'io_uring') {
    const { io_uring } = capabilities().tcp;
    throw new Error(`sent by ${engine}: ${reason}; now: ${JSON.stringify(io_uring)}`);
  }
  if (ending === 'terminate in flight') socket.write(body);
  parentPort?.postMessage('done');
  if (ending === 'process.exit') process.exit(0);
  if (ending === 'naturally') socket.end();
  else parentPort?.on('message', () => undefined); // stays until it is terminated
}

let wrong = 0;

function receive(socket: net.Socket): void {
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => {
    for (const byte of chunk) if (byte !== 7) wrong++;
  });
  socket.on('end', () => socket.end());
}

async function runWorker(port: number, ending: Ending): Promise<void> {
  const worker = new Worker(__filename, { workerData: { port, ending } });
  const exit = once(worker, 'exit');
  await once(worker, 'message');
  if (ending.startsWith('terminate')) void worker.terminate();
  await exit;
}

function targetOf(descriptor: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return ''; // that of the folder being read
  }
}

function left(): Left['left'] {
  const targets = readdirSync('/proc/self/fd').map(targetOf);
  const mappings = readFileSync('/proc/self/maps', 'utf8').split('\n');
  return {
    descriptors: targets.length,
    rings: targets.filter((target) => target.includes('io_uring')).length,
    mappings: mappings.filter((line) => line.includes('io_uring')).length,
    residentBytes: process.memoryUsage.rss(),
    wrong,
  };
}

async function main({ some, many }: ManyWorkersArgument): Promise<void> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    receive(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  for (const count of [0, some, many]) {
    for (let i = 0; i < count; i++) {
      await runWorker(port, ENDINGS[i % ENDINGS.length] as Ending);
    }
    // Not events.once(): a worker that ends in flight resets its connection, and that would reject.
    for (const socket of sockets) await new Promise((resolve) => socket.once('close', resolve));
    print({ left: left() } satisfies Left);
  }
  server.close();
}

if (isMainThread) void main(argument<ManyWorkersArgument>());
else void work(workerData as { port: number; ending: Ending });
