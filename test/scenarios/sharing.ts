// Pins memory to a peer that does not read, gives a child process the same socket, and goes on. Writes
// {pinned}, {turns} when timers have run after the child had started, {released} when the memory was handed
// back and the child is gone, and ends the connection with bytes of its own behind the child's.
import { fork, spawn, type ChildProcess } from 'node:child_process';
import { writeSync } from 'node:fs';
import type net from 'node:net';
import { connect, type Reason, type ZeroCopyOptions } from '../../lib/index';
import { descriptorOf, handleOf } from '../../lib/node/internals';
import { fillFrom, OVERWRITTEN } from '../../scripts/pattern';
import { argument, print } from '../helpers/program-side';
import { until } from '../../scripts/until';

export interface SharingArgument {
  readonly port: number;
  readonly address: string;
  readonly engine: NonNullable<ZeroCopyOptions['engine']>;
  /**
   * How the child gets the socket: as its standard output, by its number, by a message, or by a message where it ran
   * before anything was upgraded.
   */
  readonly manner: 'stdio' | 'number' | 'message' | 'message to an earlier child';
  /** Whether the child starts while what it was given is still to be handed to the kernel. */
  readonly start: 'at once' | 'when accepted';
  /** How the parent lets go of the socket, once the child's bytes are there, or before. */
  readonly end: 'end' | 'destroy';
  /** Bytes of the parent, then of the child, then of the parent again. */
  readonly parts: readonly [number, number, number];
}

export interface SharingEvent {
  readonly pinned?: number;
  readonly turns?: number;
  readonly released?: { readonly reason: Reason | undefined; readonly pendingBytes: number };
}

const TURNS = 20;

const given = argument<SharingArgument>();

function part(stream: number, number: 0 | 1 | 2): Buffer {
  const data = Buffer.allocUnsafeSlow(given.parts[number]);
  fillFrom(
    data,
    stream,
    given.parts.slice(0, number).reduce((sum, bytes) => sum + bytes, 0),
  );
  return data;
}

const isByMessage = given.manner.startsWith('message');

function asChild(): void {
  if (!isByMessage) {
    const data = part(Number(process.env['STREAM']), 1);
    for (let at = 0; at < data.length;) at += writeSync(1, data, at);
    return;
  }
  process.once('message', (stream, socket) => {
    (socket as net.Socket).write(part(stream as number, 1), () => process.disconnect());
    (socket as net.Socket).unref();
  });
}

function forkChild(): ChildProcess {
  const env = { ...process.env, STREAM: 'by message' };
  return fork(__filename, [JSON.stringify(given)], { env, stdio: ['ignore', 2, 2, 'ipc'] });
}

function startChild(socket: net.Socket, earlier: ChildProcess | undefined): ChildProcess {
  const stream = socket.localPort as number;
  if (isByMessage) {
    const child = earlier ?? forkChild();
    child.send(stream, socket, { keepOpen: true });
    return child;
  }
  const env = { ...process.env, STREAM: String(stream) };
  const argv = [__filename, JSON.stringify(given)];
  const number = descriptorOf(handleOf(socket) as object) as number;
  const output = given.manner === 'number' ? number : socket;
  return spawn(process.execPath, argv, { env, stdio: ['ignore', output, 'inherit'] });
}

function turns(): Promise<void> {
  let seen = 0;
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      if (++seen < TURNS) return;
      clearInterval(timer);
      resolve();
    }, 5);
  });
}

async function asParent(): Promise<void> {
  const earlier = given.manner === 'message to an earlier child' ? forkChild() : undefined;
  const zeroCopy = { engine: given.engine, threshold: 1 };
  const socket = connect({ port: given.port, host: given.address, zeroCopy });
  socket.on('data', () => undefined);
  await new Promise((resolve) => socket.once('connect', resolve));
  const stream = socket.localPort as number;
  const data = part(stream, 0);
  const released = new Promise((resolve) => {
    socket.write(data, () => resolve(data.fill(OVERWRITTEN)));
  });
  if (given.start === 'when accepted') {
    await until('the kernel holds it', () => socket.writableLength === 0);
  }
  const child = startChild(socket, earlier);
  const gone = new Promise((resolve) => child.once('exit', resolve));
  // Node stops the parent's reading; a program may go on with it.
  if (given.end === 'end') socket.resume();
  else socket.destroy();
  print({ pinned: socket.zeroCopy.pendingBytes } satisfies SharingEvent);
  const stay = setInterval(() => undefined, 60_000);
  await turns();
  print({ turns: TURNS } satisfies SharingEvent);
  await Promise.all([released, gone]);
  clearInterval(stay);
  const { reason, pendingBytes } = socket.zeroCopy;
  print({ released: { reason, pendingBytes } } satisfies SharingEvent);
  if (given.end === 'end') socket.end(part(stream, 2));
}

if (process.env['STREAM'] === undefined) void asParent();
else asChild();
