// A server of one of the frameworks: alone, in the workers of node:cluster, or in worker threads.
// Writes {ports}; told {say} it writes what it sent so far, told {stop} it ends by itself.
import cluster from 'node:cluster';
import { once } from 'node:events';
import type net from 'node:net';
import { createInterface } from 'node:readline';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { metrics } from '../../lib/index';
import { argument, print } from '../helpers/program-side';
import { type Framework, frameworks, type Settings } from './frameworks';

export interface ServerArgument extends Settings {
  readonly framework: Framework;
  readonly crew: 'alone' | 'cluster' | 'threads';
}

export interface Listening {
  /** One port for all workers of node:cluster, one for each thread. */
  readonly ports: readonly number[];
}

/** What one process or thread sent so far. */
export interface Said {
  readonly zeroCopySends: number;
  readonly zeroCopyBytes: number;
  readonly kernelCopiedSends: number;
  readonly copiedBytes: number;
  readonly pendingBytes: number;
}

type Command = { readonly say: true } | { readonly stop: true };

const MEMBERS = 2;

async function serve({ framework, ...settings }: ServerArgument) {
  const { server, close } = await frameworks[framework](settings);
  const say = (): Said => {
    const { totals, pendingBytes } = metrics();
    const { zeroCopySends, kernelCopiedSends, copiedBytes } = totals;
    // A file that is piped goes by sendfile(2).
    const zeroCopyBytes = totals.zeroCopyBytes + totals.fileBytes;
    const sent = { zeroCopySends, zeroCopyBytes, kernelCopiedSends, copiedBytes };
    return { ...sent, pendingBytes };
  };
  return { port: (server.address() as net.AddressInfo).port, say, close };
}

function commands(): AsyncIterable<string> {
  return createInterface({ input: process.stdin });
}

async function alone(given: ServerArgument): Promise<void> {
  const { port, say, close } = await serve(given);
  print({ ports: [port] } satisfies Listening);
  for await (const line of commands()) {
    if ('stop' in (JSON.parse(line) as Command)) break;
    print([say()]);
  }
  await close();
  process.stdin.destroy();
}

// A worker process or thread: `tell` reaches who started it.
async function member(given: ServerArgument, tell: (line: object) => void) {
  const { port, say, close } = await serve(given);
  tell({ port });
  return async (command: Command): Promise<void> => {
    if ('say' in command) tell(say());
    else await close();
  };
}

interface Member {
  tell(command: Command): void;
  told(): Promise<unknown>;
  ended(): Promise<unknown>;
}

async function crew(members: readonly Member[]): Promise<void> {
  const all = async () => Promise.all(members.map((each) => each.told()));
  const ports = ((await all()) as { port: number }[]).map(({ port }) => port);
  print({ ports: [...new Set(ports)] } satisfies Listening);
  for await (const line of commands()) {
    const command = JSON.parse(line) as Command;
    const answers = 'say' in command ? all() : undefined;
    for (const each of members) each.tell(command);
    if (answers === undefined) break;
    print(await answers);
  }
  await Promise.all(members.map((each) => each.ended()));
  process.stdin.destroy();
}

function forked(): Member {
  const worker = cluster.fork();
  const ended = once(worker, 'exit');
  return {
    tell: (command) => void worker.send(command),
    told: async () => (await once(worker, 'message'))[0],
    ended: () => ended,
  };
}

function threaded(given: ServerArgument): Member {
  const worker = new Worker(__filename, { workerData: given });
  const ended = once(worker, 'exit');
  return {
    tell: (command) => worker.postMessage(command),
    told: async () => (await once(worker, 'message'))[0],
    ended: () => ended,
  };
}

async function main(): Promise<void> {
  if (!isMainThread) {
    const parent = parentPort as NonNullable<typeof parentPort>;
    const obey = await member(workerData as ServerArgument, (line) => parent.postMessage(line));
    parent.on('message', (command: Command) => {
      void obey(command).then(() => 'stop' in command && parent.close());
    });
    return;
  }
  const given = argument<ServerArgument>();
  if (cluster.isWorker) {
    const obey = await member(given, (line) => void process.send?.(line));
    process.on('message', (command: Command) => {
      void obey(command).then(() => 'stop' in command && process.disconnect());
    });
    return;
  }
  if (given.crew === 'alone') return alone(given);
  if (given.crew === 'cluster') cluster.setupPrimary({ args: process.argv.slice(2) });
  const start = given.crew === 'cluster' ? forked : () => threaded(given);
  await crew(Array.from({ length: MEMBERS }, start));
}

void main();
