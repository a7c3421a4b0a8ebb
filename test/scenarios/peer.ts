// The far end of the exit and worker tests, on plain sockets: accepts connections, leaves them unread
// until it is told to read, and compares each with the keystream numbered by the sender's port.
// Argument: {address}. Writes {port}, then {arrival} for each connection that ended.
import net from 'node:net';
import { createInterface } from 'node:readline';
import type { Arrival } from '../helpers/peer';
import { countWrong } from '../../scripts/pattern';
import { argument, print } from '../helpers/program-side';

export interface PeerEvent {
  readonly arrival?: Arrival;
}

type Command =
  | { readonly read: 'all' }
  | { readonly read: 'slowly'; readonly bytes: number; readonly everyMs: number };

let command: Command | undefined;
const connections = new Set<net.Socket>();

function obey(socket: net.Socket): void {
  if (command === undefined) return;
  if (command.read === 'all') {
    socket.resume();
    return;
  }
  const { bytes, everyMs } = command;
  const timer = setInterval(() => {
    // read() emits 'data', and 'end' behind the last of it.
    socket.read(socket.readableLength > bytes ? bytes : undefined);
  }, everyMs);
  socket.once('close', () => clearInterval(timer));
}

function receive(socket: net.Socket): void {
  const stream = socket.remotePort;
  if (stream === undefined) {
    // Reset before it was accepted: its sender is unknown.
    print({ arrival: { bytes: 0, wrong: 0, how: 'reset' } });
    socket.destroy();
    return;
  }
  let bytes = 0;
  let wrong = 0;
  let how = 'closed';
  connections.add(socket);
  socket.on('data', (chunk: Buffer) => {
    wrong += countWrong(chunk, stream, bytes);
    bytes += chunk.length;
  });
  socket.once('end', () => {
    // libuv calls it an end when a reset arrives behind unread data; a write tells the two apart.
    socket.write('?', (error) => {
      how = error ? 'reset' : 'end';
      socket.destroy();
    });
  });
  socket.once('error', (error: NodeJS.ErrnoException) => {
    how = error.code === 'ECONNRESET' || error.code === 'EPIPE' ? 'reset' : error.message;
  });
  socket.once('close', () => {
    connections.delete(socket);
    print({ arrival: { bytes, wrong, how } });
  });
  // After the 'data' listener, which makes a stream flow unless it was paused by hand.
  socket.pause();
  obey(socket);
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    command = JSON.parse(line) as Command;
    for (const socket of connections) obey(socket);
  })
  .on('close', () => process.exit());

const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, receive);
server.listen(0, argument<{ address: string }>().address, () =>
  print({ port: (server.address() as net.AddressInfo).port }),
);
