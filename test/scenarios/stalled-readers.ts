// Clients that ask a server for a file, and read nothing of it until they are told to go.
import { once } from 'node:events';
import net from 'node:net';
import { argument, print } from '../helpers/program-side';

export interface StalledArgument {
  readonly port: number;
  readonly readers: number;
}

async function stall(port: number): Promise<void> {
  const socket = net.connect(port, '127.0.0.1').pause();
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write('GET / HTTP/1.1\r\nHost: files\r\n\r\n');
}

async function main({ port, readers }: StalledArgument): Promise<void> {
  await Promise.all(Array.from({ length: readers }, () => stall(port)));
  // What is paused keeps no loop alive; standard input does.
  process.stdin.once('data', () => process.exit(0));
  print({ readers });
}

void main(argument<StalledArgument>());
