// Opens and closes connections, each with a zero-copy write in both directions, and says what is left
// of them: memory, descriptors, ports. Run with --expose-gc. Writes {left} after each round.
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import type net from 'node:net';
import { connect, createServer } from '../../lib/index';
import { getReactor, Reactor } from '../../lib/native/reactor';
import { argument, print } from '../helpers/program-side';
import { until } from '../../scripts/until';

export interface ManyArgument {
  readonly rounds: number;
  readonly connections: number;
}

export interface Left {
  readonly left: {
    readonly heapBytes: number;
    readonly externalBytes: number;
    readonly descriptors: number;
    readonly ports: number;
    /** Sockets that were not collected. */
    readonly sockets: number;
  };
}

const FORCED = { engine: 'msg_zerocopy' } as const;
const AT_A_TIME = 20;
const BODY = Buffer.alloc(64 * 1024, 3);

const { rounds, connections } = argument<ManyArgument>();
const collect = (globalThis as unknown as { gc: () => void }).gc;

let alive = 0;
const registry = new FinalizationRegistry<undefined>(() => alive--);

function watch(socket: net.Socket): void {
  alive++;
  registry.register(socket, undefined);
}

const server = createServer({ zeroCopy: FORCED }, (socket) => {
  watch(socket);
  socket.on('error', () => undefined).resume();
  socket.end(BODY);
});

// Some end, some are destroyed with memory pinned, some are reset: each path has to let go.
async function connection(port: number, index: number): Promise<void> {
  const client = connect({ port, host: '127.0.0.1', zeroCopy: FORCED });
  watch(client);
  client.on('error', () => undefined);
  client.write(BODY, () => undefined);
  if (index % 3 === 0) client.end();
  client.once('connect', () => {
    if (index % 3 === 1) client.destroy();
    if (index % 3 === 2) client.resetAndDestroy();
  });
  client.resume();
  await new Promise<void>((resolve) => client.once('close', () => resolve()));
}

function ports(): number {
  const reactor = getReactor();
  return reactor instanceof Reactor ? reactor.native.describe().openPorts : -1;
}

async function settle(): Promise<void> {
  await until('the ports are closed', () => ports() === 0);
  // Finalizers run in a turn of their own after the collection; the last connections of a round stay
  // reachable a while from Node's own lists.
  await until('the sockets are collected', () => {
    collect();
    return alive <= 2 * AT_A_TIME;
  });
}

async function main(): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < connections; i += AT_A_TIME) {
      await Promise.all(Array.from({ length: AT_A_TIME }, (_, k) => connection(port, i + k)));
    }
    await settle();
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    print({
      left: {
        heapBytes: heapUsed,
        externalBytes: external + arrayBuffers,
        descriptors: readdirSync('/proc/self/fd').length,
        ports: ports(),
        sockets: alive,
      },
    } satisfies Left);
  }
  server.close();
}

void main();
