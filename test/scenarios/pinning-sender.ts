// Pins megabytes to a peer that does not read, and ends in the way it is asked to. Every buffer is
// overwritten the moment it is released. Writes {pinned} when the kernel holds the memory, and
// {beforeExit} when the event loop has run dry by itself.
import { type ZeroCopySocket, connect } from '../../lib/index';
import { fillFrom, OVERWRITTEN } from '../../scripts/pattern';
import { argument, print } from '../helpers/program-side';
import { until } from '../../scripts/until';

export interface SenderArgument {
  readonly port: number;
  readonly address: string;
  /** What it does once memory is pinned; 'waits': for a signal. */
  readonly then:
    | 'ends'
    | 'destroys'
    | 'unrefs'
    | 'unrefs and stays'
    | 'destroys and unrefs'
    | 'exits'
    | 'throws'
    | 'waits'
    | 'returns';
  /** Whether the socket reads: one that does keeps the loop alive by itself. */
  readonly reading: 'reading' | 'paused';
  readonly bytes: number;
}

export interface Pinned {
  readonly pinned: { readonly pendingBytes: number; readonly acceptedBytes: number };
}

export interface BeforeExit {
  readonly beforeExit: {
    readonly pendingBytes: number;
    readonly writableLength: number;
    /** Callbacks that had fired. */
    readonly released: number;
  };
}

/** Written when the process of an unref'ed socket still runs after more than half a second. */
export interface Stayed {
  readonly stayed: true;
}

const CHUNK_BYTES = 256 * 1024;
const STAY_MS = 1_500;

const given = argument<SenderArgument>();
const enoughBytes = Math.min(1024 * 1024, given.bytes / 4);
let released = 0;

function writeAll(socket: ZeroCopySocket): void {
  const stream = socket.localPort as number;
  for (let offset = 0; offset < given.bytes; offset += CHUNK_BYTES) {
    const chunk = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, given.bytes - offset));
    fillFrom(chunk, stream, offset);
    socket.write(chunk, () => {
      released++;
      chunk.fill(OVERWRITTEN);
    });
  }
}

function finish(socket: ZeroCopySocket): void {
  switch (given.then) {
    case 'ends':
      socket.end();
      break;
    case 'destroys':
      socket.destroy();
      break;
    case 'unrefs':
      socket.unref();
      break;
    case 'unrefs and stays':
      socket.unref();
      setTimeout(() => print({ stayed: true } satisfies Stayed), STAY_MS).unref();
      break;
    case 'destroys and unrefs':
      socket.unref();
      socket.destroy();
      break;
    case 'exits':
      process.exit(3);
      break;
    case 'throws':
      throw new Error('thrown on purpose');
    case 'waits':
      setInterval(() => undefined, 60_000);
      break;
    case 'returns':
      break;
  }
}

function acceptedBytes(socket: ZeroCopySocket): number {
  return socket.zeroCopy.stats.zeroCopyBytes;
}

const socket = connect({
  port: given.port,
  host: given.address,
  zeroCopy: { engine: 'msg_zerocopy' },
});
socket.on('error', () => undefined);
if (given.reading === 'paused') socket.pause();
socket.once('connect', () => {
  writeAll(socket);
  void until('memory is pinned', () => socket.zeroCopy.pendingBytes >= enoughBytes).then(() => {
    const { pendingBytes } = socket.zeroCopy;
    print({ pinned: { pendingBytes, acceptedBytes: acceptedBytes(socket) } } satisfies Pinned);
    // Out of the promise, which would make another event of an exception.
    setImmediate(finish, socket);
  });
});
process.once('beforeExit', () => {
  const { pendingBytes } = socket.zeroCopy;
  const { writableLength } = socket;
  print({ beforeExit: { pendingBytes, writableLength, released } } satisfies BeforeExit);
});
