// A server that does something drastic right behind a write: the bytes must be the kernel's by then, as plain
// Node's are.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { isMainThread, Worker } from 'node:worker_threads';
import { enableZeroCopy, type ZeroCopyOptions } from '../../lib/index';
import { loadNative } from '../../lib/native/binding';
import { fillFrom } from '../../scripts/pattern';
import { argument, print } from '../helpers/program-side';

export type Deed =
  | 'standStill'
  | 'sigkill'
  | 'sigterm'
  | 'abort'
  | 'execve'
  | 'exit'
  | 'exitListener'
  | 'exception'
  | 'spawn'
  | 'send';

export interface AtOnceArgument {
  readonly engine: NonNullable<ZeroCopyOptions['engine']>;
  readonly deed: Deed;
  readonly bytes: number;
  /** Requests, each with its answer, before the one that counts. */
  readonly answersBefore: number;
  /** The answer that counts shares a system call with others; there are others. */
  readonly isShared: boolean;
  /** It is served by a worker. */
  readonly isWorkers: boolean;
  /** What a child process writes. */
  readonly childsWord: string;
}

const RECEIVING_CHILD = `process.on('message', (word, socket) => {
  if (socket) socket.write(word, () => process.disconnect());
  else process.send('ready');
})`;

// Taken before the first upgrade.
const kill = process.kill.bind(process);
const given = argument<AtOnceArgument>();
const { engine, deed, bytes, answersBefore, childsWord } = given;
const body = Buffer.alloc(bytes);
fillFrom(body, 1, 0);
let receiver: ChildProcess | undefined;

/** As computing would, until the test has seen the bytes and says so. */
function standStill(): void {
  readSync(0, Buffer.alloc(1));
}

const deeds: Readonly<Record<Deed, (socket: net.Socket) => void>> = {
  standStill,
  sigkill: () => kill(process.pid, 'SIGKILL'),
  sigterm: () => process.kill(process.pid, 'SIGTERM'),
  abort: () => process.abort(),
  // Of Node since 22.15.
  execve: () =>
    (process as unknown as { execve(file: string, args: string[]): void }).execve('/bin/true', []),
  exit: () => process.exit(),
  // What the others' listeners answer comes behind ours.
  exitListener: () => process.exit(),
  exception() {
    throw new Error('of this test');
  },
  spawn(socket) {
    spawn('printf', [childsWord], { stdio: ['ignore', socket, 'inherit'] });
    standStill();
  },
  send(socket) {
    receiver?.send(childsWord, socket, { keepOpen: true });
    standStill();
  },
};

/** Calls `onShared` for each answer that is to share a system call with others. */
function countShared(onShared: () => void): void {
  const { native } = loadNative();
  if (native === undefined) return;
  const counted = <Args extends unknown[]>(real: (...args: Args) => number) => {
    return (...args: Args): number => {
      const queued = real(...args);
      if (queued >= 0) onShared();
      return queued;
    };
  };
  native.queueSend = counted(native.queueSend);
  native.queueAnswer = counted(native.queueAnswer);
}

async function main(): Promise<void> {
  if (deed === 'send') {
    const stdio = ['ignore', 'inherit', 'inherit', 'ipc'] as const;
    receiver = spawn(process.execPath, ['-e', RECEIVING_CHILD], { stdio: [...stdio] });
    receiver.send('hello');
    await once(receiver, 'message');
  }
  let requests = 0;
  let shared = 0;
  let othersShare = false;
  countShared(() => shared++);
  const server = http.createServer((request, response) => {
    if (request.url === '/others') {
      shared = 0;
      response.end(body);
      othersShare = shared > 0;
      return;
    }
    // On a busy machine responses may have shared calls some turns ago, and no longer do.
    const isLast = ++requests > answersBefore && (!given.isShared || othersShare);
    othersShare = false;
    shared = 0;
    response.setHeader('X-Last', String(isLast));
    const { socket } = request;
    const answer = (): void => {
      response.end(body);
      if (isLast) print({ shared });
    };
    if (isLast && deed === 'exitListener') process.on('exit', answer);
    else answer();
    if (isLast) deeds[deed](socket);
  });
  enableZeroCopy(server, { engine });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  print({ port: (server.address() as net.AddressInfo).port });
}

if (given.isWorkers && isMainThread) new Worker(__filename, { argv: process.argv.slice(2) });
else void main();
