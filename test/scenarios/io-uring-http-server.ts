// An http server whose connections send by io_uring. Paths: /end/N and /chunks/N answer N bytes of the
// keystream that the header x-stream names. An upgrade gets the raw socket, on which frames follow as ws
// makes them. Bodies are overwritten as soon as they are released.
// Argument: {address, engine, threshold}. Writes {port}, and {released} when it is told to.
import http from 'node:http';
import type net from 'node:net';
import { createInterface } from 'node:readline';
import { enableZeroCopy, isZeroCopy, type ZeroCopyOptions } from '../../lib/index';
import { fillFrom, OVERWRITTEN } from '../../scripts/pattern';
import { argument, print } from '../helpers/program-side';
import { FRAME_HEADER_BYTES, FRAME_START, frameBytes, FRAMES } from './io-uring-http-frames';

export interface HttpServerArgument {
  readonly address: string;
  readonly engine: NonNullable<ZeroCopyOptions['engine']>;
  /** 1: everything goes by the engine. */
  readonly threshold: NonNullable<ZeroCopyOptions['threshold']>;
}

export interface Released {
  readonly released: {
    readonly responses: number;
    readonly callbacks: number;
    /** Callbacks of a connection that came before one of an earlier response. */
    readonly outOfOrder: number;
    readonly zeroCopySends: number;
    readonly engines: readonly string[];
  };
}

let responses = 0;
let callbacks = 0;
let outOfOrder = 0;
const sockets = new Set<net.Socket>();
/** Of each connection: responses begun, and callbacks come. */
const counts = new WeakMap<net.Socket, { begun: number; done: number }>();

function take(stream: number, offset: number, bytes: number): Buffer {
  const buffer = Buffer.allocUnsafeSlow(bytes);
  fillFrom(buffer, stream, offset);
  return buffer;
}

function releaseCallback(socket: net.Socket, buffer: Buffer): () => void {
  const count = counts.get(socket) ?? { begun: 0, done: 0 };
  counts.set(socket, count);
  const index = count.begun++;
  responses++;
  return () => {
    buffer.fill(OVERWRITTEN);
    callbacks++;
    if (count.done++ !== index) outOfOrder++;
  };
}

const respond: http.RequestListener = (request, response) => {
  const [, how, size] = (request.url ?? '').split('/');
  const bytes = Number(size);
  const stream = Number(request.headers['x-stream']);
  const { socket } = request;
  sockets.add(socket);
  if (how === 'end') {
    const body = take(stream, 0, bytes);
    response.end(body, releaseCallback(socket, body));
    return;
  }
  // In chunks, the last of which is released behind the others.
  const third = Math.floor(bytes / 3);
  for (const offset of [0, third]) {
    const chunk = take(stream, offset, third);
    response.write(chunk, () => chunk.fill(OVERWRITTEN));
  }
  const last = take(stream, 2 * third, bytes - 2 * third);
  response.end(last, releaseCallback(socket, last));
};

// As ws does: a small header from memory that is used again at once, corked with its payload.
function sendFrames(socket: net.Socket, stream: number): void {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  let offset = 0;
  for (let i = 0; i < FRAMES; i++) {
    const payload = take(stream, offset, frameBytes(i));
    offset += payload.length;
    header.writeBigUInt64BE(BigInt(payload.length), 2);
    header.writeUInt16BE(FRAME_START, 0);
    socket.cork();
    socket.write(Buffer.from(header));
    socket.write(payload, () => payload.fill(OVERWRITTEN));
    socket.uncork();
    header.fill(OVERWRITTEN);
  }
  socket.end();
}

const { address, engine, threshold } = argument<HttpServerArgument>();
const server = enableZeroCopy(http.createServer(respond), { engine, threshold });
server.on('upgrade', (request: http.IncomingMessage, socket: net.Socket) => {
  sockets.add(socket);
  socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n');
  sendFrames(socket, Number(request.headers['x-stream']));
});

createInterface({ input: process.stdin }).on('line', () => {
  let zeroCopySends = 0;
  const engines = new Set<string>();
  for (const socket of sockets) {
    if (!isZeroCopy(socket)) continue;
    zeroCopySends += socket.zeroCopy.stats.zeroCopySends;
    engines.add(socket.zeroCopy.engine);
  }
  print({
    released: { responses, callbacks, outOfOrder, zeroCopySends, engines: [...engines] },
  } satisfies Released);
});

server.listen(0, address, () => print({ port: (server.address() as net.AddressInfo).port }));
