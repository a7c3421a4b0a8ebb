// Writes on a socket that does not keep the event loop, and has nothing more to do. Every buffer is
// overwritten the moment it is released. Writes {end} at the end of the process.
import net from 'node:net';
import { connect, type ZeroCopyOptions, type ZeroCopySocket } from '../../lib/index';
import { fillFrom, OVERWRITTEN } from '../../scripts/pattern';
import { argument, print } from '../helpers/program-side';

export interface UnrefsArgument {
  readonly port: number;
  readonly address: string;
  /** 'plain': a socket of Node's own. */
  readonly engine: NonNullable<ZeroCopyOptions['engine']> | 'plain';
  /** 'promises': chunks that are awaited one after the other. */
  readonly how: 'one write' | 'end' | 'chunks' | 'promises';
  readonly bytes: number;
  readonly chunkBytes: number;
}

export interface UnrefsEnd {
  readonly end: { readonly released: number };
}

const given = argument<UnrefsArgument>();
let released = 0;

function open(): net.Socket {
  const { port, address: host, engine } = given;
  return engine === 'plain'
    ? net.connect({ port, host })
    : connect({ port, host, zeroCopy: { engine, threshold: 1 } });
}

function chunkAt(socket: net.Socket, offset: number): Buffer {
  const chunk = Buffer.allocUnsafeSlow(Math.min(given.chunkBytes, given.bytes - offset));
  fillFrom(chunk, socket.localPort as number, offset);
  return chunk;
}

function taken(chunk: Buffer): void {
  released += chunk.length;
  chunk.fill(OVERWRITTEN);
}

async function send(socket: net.Socket, chunk: Buffer): Promise<void> {
  if (given.engine === 'plain') await new Promise((resolve) => socket.write(chunk, resolve));
  else await (socket as ZeroCopySocket).send(chunk);
}

async function writeAll(socket: net.Socket): Promise<void> {
  for (let offset = 0; offset < given.bytes; offset += given.chunkBytes) {
    const chunk = chunkAt(socket, offset);
    if (given.how === 'end') socket.end(chunk, () => taken(chunk));
    else if (given.how !== 'promises') socket.write(chunk, () => taken(chunk));
    else await send(socket, chunk).then(() => taken(chunk));
  }
}

const socket = open();
socket.once('connect', () => {
  socket.unref();
  void writeAll(socket);
});
process.once('exit', () => print({ end: { released } } satisfies UnrefsEnd));
