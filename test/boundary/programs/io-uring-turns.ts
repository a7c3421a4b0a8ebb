// Writes from every place that a program can be in, and looks whether the bytes have left by the next
// turn of the loop. The far end is a worker on a plain socket: this thread can stop where it is and
// wait for it, so that nothing that a later turn would do helps.
// Argument: {engine}. Writes {origin} for each, then {done}.
import { once } from 'node:events';
import { access } from 'node:fs';
import net from 'node:net';
import { performance } from 'node:perf_hooks';
import { isMainThread, MessageChannel, parentPort, Worker, workerData } from 'node:worker_threads';
import { connect, type ZeroCopyOptions, type ZeroCopySocket } from '../../../lib/index';
import { argument, print } from '../../helpers/program-side';

export interface TurnsArgument {
  readonly engine: NonNullable<ZeroCopyOptions['engine']>;
}

export interface Origin {
  readonly origin: string;
  /** The bytes had arrived although this thread stood still from the next turn on. */
  readonly arrived: boolean;
  /** Turns between the write and the answer to it, in a loop that has nothing else to do. */
  readonly turns: number;
  /** The answer came at all, without anything else to wake the loop. */
  readonly answered: boolean;
}

const BYTES = 100_000;
const REPEATS = 5;
/** For the other thread to be scheduled; only what fails takes as long. */
const DEADLINE_MS = 4000;
const RECEIVED = 0;
const ANSWERING = 1;

// --- the far end -----------------------------------------------------------------------------------

function receive(shared: Int32Array): void {
  const server = net.createServer((socket) => {
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      const before = Atomics.add(shared, RECEIVED, chunk.length);
      Atomics.notify(shared, RECEIVED);
      // Whether or not the last bytes of a write came alone.
      const whole = Math.floor((before + chunk.length) / BYTES) > Math.floor(before / BYTES);
      if (whole && Atomics.load(shared, ANSWERING) === 1) socket.write('!');
    });
  });
  server.listen(0, '127.0.0.1', () => {
    parentPort?.postMessage({ port: (server.address() as net.AddressInfo).port });
  });
  parentPort?.on('message', () => parentPort?.postMessage({ pong: true }));
}

// --- where writes come from ------------------------------------------------------------------------

type Schedule = (write: () => void, socket: ZeroCopySocket, worker: Worker) => void;

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
  'a message of a worker': (write, _socket, worker) => {
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
  'a callback of an accepted write': (write, socket) => {
    socket.write(buffer, () => undefined);
    socket.write('', write);
  },
  'a callback of a released write': (write, socket) => void socket.write(buffer, write),
  "'drain'": (write, socket) => {
    const again = (): void => {
      socket.once('drain', write);
      if (!socket.write(buffer)) return;
      socket.off('drain', write);
      again();
    };
    again();
  },
  'a promise of send()': (write, socket) => void socket.send(buffer).then(write),
};

function loopCount(): number {
  const timing = performance.nodeTiming as unknown as { uvMetricsInfo: { loopCount: number } };
  return timing.uvMetricsInfo.loopCount;
}

class Session {
  written = 0;

  constructor(
    readonly socket: ZeroCopySocket,
    readonly worker: Worker,
    readonly shared: Int32Array,
  ) {}

  /** Writes from `schedule`; settles with the turn of it when write() has returned. */
  write(schedule: Schedule): Promise<number> {
    // Whatever the origin writes itself is counted as well.
    const { bytesWritten } = this.socket;
    return new Promise((resolve) => {
      schedule(
        () => {
          this.socket.write(buffer);
          this.written += this.socket.bytesWritten - bytesWritten;
          resolve(loopCount());
        },
        this.socket,
        this.worker,
      );
    });
  }

  /** Stands still until all is there. */
  standStill(): boolean {
    const deadline = performance.now() + DEADLINE_MS;
    for (;;) {
      const received = Atomics.load(this.shared, RECEIVED);
      if (received >= this.written) return true;
      const left = deadline - performance.now();
      if (left <= 0) return false;
      Atomics.wait(this.shared, RECEIVED, received, left);
    }
  }

  async arrives(schedule: Schedule): Promise<boolean> {
    return new Promise((resolve) => {
      void this.write((write, socket, worker) => {
        schedule(
          () => {
            write();
            const turn = loopCount();
            // The first thing that is certainly in a later turn.
            const look = (): void => {
              if (loopCount() === turn) setImmediate(look);
              else resolve(this.standStill());
            };
            setImmediate(look);
          },
          socket,
          worker,
        );
      });
    });
  }

  async answered(schedule: Schedule): Promise<number | undefined> {
    Atomics.store(this.shared, ANSWERING, 1);
    let turn: number | undefined;
    const result = new Promise<number | undefined>((resolve) => {
      const late = setTimeout(() => resolve(undefined), DEADLINE_MS);
      const onData = (): void => {
        // Of a write that the origin made before.
        if (turn === undefined || Atomics.load(this.shared, RECEIVED) < this.written) return;
        this.socket.off('data', onData);
        clearTimeout(late);
        resolve(loopCount() - turn);
      };
      this.socket.on('data', onData);
    });
    void this.write(schedule).then((at) => (turn = at));
    const turns = await result;
    Atomics.store(this.shared, ANSWERING, 0);
    return turns;
  }
}

async function main({ engine }: TurnsArgument): Promise<void> {
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(__filename, { workerData: shared });
  const [{ port }] = (await once(worker, 'message')) as [{ port: number }];
  const socket = connect({ port, host: '127.0.0.1', zeroCopy: { engine, threshold: 32_768 } });
  socket.setNoDelay(true);
  await once(socket, 'connect');
  socket.resume();
  const session = new Session(socket, worker, shared);
  for (const [origin, schedule] of Object.entries(ORIGINS)) {
    let arrived = true;
    let turns = Infinity;
    let answered = true;
    for (let i = 0; i < REPEATS; i++) {
      arrived &&= await session.arrives(schedule);
      await socket.zeroCopy.flush();
      const needed = await session.answered(schedule);
      answered &&= needed !== undefined;
      // Other things wake a loop now and then; what is always there shows in the least.
      turns = Math.min(turns, needed ?? Infinity);
      await socket.zeroCopy.flush();
    }
    print({ origin, arrived, turns, answered } satisfies Origin);
  }
  print({ done: true, engine: socket.zeroCopy.engine, stats: socket.zeroCopy.stats });
  process.exit();
}

if (isMainThread) void main(argument<TurnsArgument>());
else receive(workerData as Int32Array);
