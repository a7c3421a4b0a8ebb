// The receiving end of uploads, plain Node: answers each with the hash of what came. By http, and on a port of
// its own by bare TCP. Writes {port, rawPort}.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { argument, print } from '../helpers/program-side';

export interface ReceiverArgument {
  readonly host: string;
}

export interface Receiving {
  readonly port: number;
  readonly rawPort: number;
}

const { host } = argument<ReceiverArgument>();
/** So much of what comes to /leave is read before the receiver goes away. */
const READ_BYTES = 300_000;

const server = http.createServer((request, response) => {
  const hash = createHash('sha256');
  let bytes = 0;
  request.on('error', () => undefined);
  request.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    bytes += chunk.length;
    if (request.url === '/leave' && bytes >= READ_BYTES) request.socket.resetAndDestroy();
  });
  request.on('end', () => response.end(hash.digest('hex')));
});

const raw = net.createServer({ allowHalfOpen: true }, (socket) => {
  const hash = createHash('sha256');
  socket.on('data', (chunk: Buffer) => hash.update(chunk));
  socket.on('end', () => socket.end(hash.digest('hex')));
});

async function main(): Promise<void> {
  server.listen(0, host);
  raw.listen(0, host);
  await Promise.all([once(server, 'listening'), once(raw, 'listening')]);
  const portOf = (listening: net.Server): number => (listening.address() as net.AddressInfo).port;
  print({ port: portOf(server), rawPort: portOf(raw) } satisfies Receiving);
}

void main();
