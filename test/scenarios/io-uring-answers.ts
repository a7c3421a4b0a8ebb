// Answers requests by the ring until it is told to stop, then says what that took while nothing came.
import http from 'node:http';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { enableZeroCopy, isZeroCopy } from '../../lib/index';
import { fillFrom } from '../../scripts/pattern';
import { argument, print } from '../helpers/program-side';

export interface AnswersArgument {
  readonly bytes: number;
  readonly idleMs: number;
}

export interface Idled {
  readonly cpuMs: number;
  readonly engine: string;
  readonly notifications: number;
  readonly zeroCopySends: number;
}

const { bytes, idleMs } = argument<AnswersArgument>();
const body = Buffer.allocUnsafeSlow(bytes);
fillFrom(body, 1, 0);
const server = http.createServer((_request, response) => response.end(body));
enableZeroCopy(server, { engine: 'io_uring', threshold: 1 });
let last: Socket | undefined;
server.on('connection', (socket: Socket) => (last = socket));

async function main(): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  print({ port: (server.address() as AddressInfo).port });
  await once(process.stdin, 'data');
  process.stdin.pause();
  const before = process.cpuUsage();
  await sleep(idleMs);
  const { user, system } = process.cpuUsage(before);
  if (!isZeroCopy(last)) throw new Error('nobody came');
  await last.zeroCopy.flush();
  const { engine, stats } = last.zeroCopy;
  const { notifications, zeroCopySends } = stats;
  print({ cpuMs: (user + system) / 1000, engine, notifications, zeroCopySends });
  process.exit();
}

void main();
