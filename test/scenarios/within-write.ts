// Writes from every place that a program can be in, and stands still behind write(): only what the kernel
// was given within it can arrive. The far end is a worker on a plain socket, so it reads meanwhile.
// Argument: {engine}. Writes {origin} for each, then {done}.
import { once } from 'node:events';
import { access } from 'node:fs';
import net from 'node:net';
import { performance } from 'node:perf_hooks';
import { isMainThread, MessageChannel, parentPort, Worker, workerData } from 'node:worker_threads';
import { connect, type ZeroCopyOptions, type ZeroCopySocket } from '../../lib/index';
import { argument, print } from '../helpers/program-side';

export interface WithinWriteArgument {
  readonly engine: NonNullable<ZeroCopyOptions['engine']>;
}

export interface Origin {
  readonly origin: string;
  /** The bytes arrived although this thread stood still from the return of write() on. */
  readonly arrived: boolean;
}

const BYTES = 100_000;
const REPEATS = 5;
/** For the other thread to be scheduled on a busy machine; only what fails takes as long. */
const DEADLINE_MS = 10_000;
const RECEIVED = 0;

// --- the far end -----------------------------------------------------------------------------------

function receive(shared: Int32Array): void {
  const server = net.createServer((socket) => {
    socket.on('data', (chunk: Buffer) => {
      Atomics.add(shared, RECEIVED, chunk.length);
      Atomics.notify(shared, RECEIVED);
    });
  });
  server.listen(0, '127.0.0.1', () => {
    parentPort?.postMessage({ port: (server.address() as net.AddressInfo).port });
  });
  parentPort?.on('message', () => parentPort?.postMessage({ pong: true }));
}

// --- where writes come from ------------------------------------------------------------------------

type Schedule = (write: () => void, session: Session) => void;

const buffer = Buffer.alloc(BYTES, 1);

const ORIGINS: Readonly<Record<string, Schedule>> = {
  'a timer': (write) => setTimeout(write, 1),
  'an immediate': (write) => setImmediate(write),
  'an immediate of an immediate': (write) => setImmediate(() => setImmediate(write)),
  'a tick of a timer': (write) => setTimeout(() => process.nextTick(write), 1),
  'a microtask of a timer': (write) => setTimeout(() => void Promise.resolve().then(write), 1),
  'a microtask of an immediate': (write) => setImmediate(() => queueMicrotask(write)),
  'a tick of a microtask': (write) => queueMicrotask(() => process.nextTick(write)),
  'a callback of the thread pool': (write) => access('/', () => write()),
  'a signal': (write) => {
    process.once('SIGUSR2', write);
    process.kill(process.pid, 'SIGUSR2');
  },
  'a message of a worker': (write, { worker }) => {
    worker.once('message', write);
    worker.postMessage({ ping: true });
  },
  'a message port': (write) => {
    const { port1, port2 } = new MessageChannel();
    port1.once('message', () => {
      write();
      port1.close();
    });
    port2.postMessage(0);
  },
  "the 'close' of a handle": (write) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => server.close(write));
  },
  'a callback of an accepted write': (write, session) => {
    session.put(() => undefined);
    session.socket.write('', write);
  },
  'a callback of a released write': (write, session) => void session.put(write),
  "'drain'": (write, session) => {
    // Buffered by the stream alone: behind what fills the kernel's buffer, plain Node's write waits, too.
    session.socket.cork();
    while (session.put());
    session.socket.once('drain', write).uncork();
  },
  'a promise of send()': (write, session) => void session.send().then(write),
};

class Session {
  #written = 0;

  constructor(
    readonly socket: ZeroCopySocket,
    readonly worker: Worker,
    readonly shared: Int32Array,
  ) {}

  put(callback?: () => void): boolean {
    this.#written += BYTES;
    return this.socket.write(buffer, callback);
  }

  send(): Promise<unknown> {
    this.#written += BYTES;
    return this.socket.send(buffer);
  }

  /** Writes from `schedule`, and stands still behind it until all is there; whether it came. */
  arrives(schedule: Schedule): Promise<boolean> {
    return new Promise((resolve) => {
      schedule(() => {
        this.put();
        resolve(this.#standStill());
      }, this);
    });
  }

  #standStill(): boolean {
    const deadline = performance.now() + DEADLINE_MS;
    for (;;) {
      const received = Atomics.load(this.shared, RECEIVED);
      if (received >= this.#written) return true;
      const left = deadline - performance.now();
      if (left <= 0) return false;
      Atomics.wait(this.shared, RECEIVED, received, left);
    }
  }
}

async function main({ engine }: WithinWriteArgument): Promise<void> {
  const shared = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(__filename, { workerData: shared });
  const [{ port }] = (await once(worker, 'message')) as [{ port: number }];
  const socket = connect({ port, host: '127.0.0.1', zeroCopy: { engine, threshold: 32_768 } });
  socket.setNoDelay(true);
  await once(socket, 'connect');
  socket.resume();
  const session = new Session(socket, worker, shared);
  for (const [origin, schedule] of Object.entries(ORIGINS)) {
    let arrived = true;
    for (let i = 0; i < REPEATS && arrived; i++) {
      arrived = await session.arrives(schedule);
      await socket.zeroCopy.flush();
    }
    print({ origin, arrived } satisfies Origin);
  }
  print({ done: true, engine: socket.zeroCopy.engine, stats: socket.zeroCopy.stats });
  process.exit();
}

if (isMainThread) void main(argument<WithinWriteArgument>());
else receive(workerData as Int32Array);
