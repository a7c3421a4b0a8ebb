// Writes and ends in the same turn, in the way it is asked to. Every buffer is overwritten the moment
// it is released. Writes {control} when it connected, {beforeExit} when the loop has run dry.
import { connect, type ZeroCopyOptions, type ZeroCopySocket } from '../../lib/index';
import { fillFrom, OVERWRITTEN } from '../../scripts/pattern';
import { argument, print } from '../helpers/program-side';

export interface ExitArgument {
  readonly port: number;
  readonly address: string;
  readonly engine: NonNullable<ZeroCopyOptions['engine']>;
  readonly sockets: number;
  readonly then:
    | 'exits'
    | 'exits in a tick'
    | 'exits in a microtask'
    | 'exits in an immediate'
    | 'throws'
    | 'writes at exit'
    | 'writes before exit'
    | 'destroys and exits'
    | 'ends'
    | 'returns'
    | 'unrefs';
}

export interface Control {
  readonly control: { readonly engine: string; readonly reason: string };
}

/** Of each socket: together less than a send buffer takes at once. */
const SIZES = [300_000, 10, 40_000, 4000, 200_000, 1];

const given = argument<ExitArgument>();
const sockets: ZeroCopySocket[] = [];

function writeAll(socket: ZeroCopySocket): void {
  const stream = socket.localPort as number;
  let offset = 0;
  for (const bytes of SIZES) {
    const chunk = Buffer.allocUnsafeSlow(bytes);
    fillFrom(chunk, stream, offset);
    offset += bytes;
    socket.write(chunk, () => chunk.fill(OVERWRITTEN));
  }
}

function writeToAll(): void {
  for (const socket of sockets) writeAll(socket);
}

const ways: Record<ExitArgument['then'], () => void> = {
  exits: () => {
    writeToAll();
    process.exit(3);
  },
  'exits in a tick': () => {
    writeToAll();
    process.nextTick(() => process.exit(3));
  },
  'exits in a microtask': () => {
    writeToAll();
    queueMicrotask(() => process.exit(3));
  },
  'exits in an immediate': () => {
    writeToAll();
    setImmediate(() => process.exit(3));
  },
  throws: () => {
    writeToAll();
    throw new Error('thrown on purpose');
  },
  'writes at exit': () => {
    process.once('exit', writeToAll);
    process.exit(3);
  },
  'writes before exit': () => {
    process.once('beforeExit', () => {
      writeToAll();
      for (const socket of sockets) socket.end();
    });
    for (const socket of sockets) socket.unref();
  },
  'destroys and exits': () => {
    writeToAll();
    for (const socket of sockets) socket.destroy();
    process.exit(3);
  },
  ends: () => {
    writeToAll();
    for (const socket of sockets) socket.end();
  },
  returns: writeToAll,
  unrefs: () => {
    writeToAll();
    for (const socket of sockets) socket.unref();
  },
};

function open(): Promise<void> {
  const { port, address: host, engine } = given;
  const socket = connect({ port, host, zeroCopy: { engine, threshold: 1 } });
  sockets.push(socket);
  socket.on('error', () => undefined);
  // One that reads keeps the loop alive by itself.
  socket.pause();
  return new Promise((resolve) => socket.once('connect', resolve));
}

void Promise.all(Array.from({ length: given.sockets }, open)).then(() => {
  const { engine, reason } = (sockets[0] as ZeroCopySocket).zeroCopy;
  print({ control: { engine, reason: reason ?? 'none' } } satisfies Control);
  // Out of the promise, which would make another event of an exception.
  setTimeout(ways[given.then], 1);
});
