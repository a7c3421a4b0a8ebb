// One end of an exchange of socket.io, ioredis or pg, with nothing in the program for zero copy. A server
// writes {port}. Both write what they received, as hashes, and what went zero-copy; told {stop}, they end.
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { Redis } from 'ioredis';
import pg from 'pg';
import { Server } from 'socket.io';
import { io } from 'socket.io-client';
import { metrics } from '../../lib/index';
import { argument, print } from '../helpers/program-side';
import { until } from '../../scripts/until';
import { content, MESSAGE_BYTES, sha256 } from '../integration/content';
import { startPostgres, startRedis } from './databases';

export interface ExchangerArgument {
  readonly library: 'socket.io' | 'ioredis' | 'pg';
  readonly role: 'server' | 'client';
  readonly host: string;
  /** Of the server, for a client. */
  readonly port: number;
  readonly messages: number;
  /** Keystream of the first message. */
  readonly firstStream: number;
}

export interface Received {
  readonly received: readonly string[];
  readonly zeroCopyBytes: number;
  readonly zeroCopySends: number;
  readonly kernelCopiedSends: number;
}

const given = argument<ExchangerArgument>();
const { host, port } = given;

function message(i: number): Buffer {
  return content(given.firstStream + i, MESSAGE_BYTES);
}

const numbers = Array.from({ length: given.messages }, (_, i) => i);
const received: string[] = [];

async function finish(close: () => unknown): Promise<void> {
  await until('all memory is released', () => metrics().pendingBytes === 0);
  const { zeroCopyBytes, zeroCopySends, kernelCopiedSends } = metrics().totals;
  print({ received, zeroCopyBytes, zeroCopySends, kernelCopiedSends } satisfies Received);
  const commands = createInterface({ input: process.stdin });
  await once(commands, 'line');
  commands.close();
  process.stdin.destroy();
  await close();
}

async function listening(server: net.Server): Promise<void> {
  if (!server.listening) await once(server, 'listening');
  print({ port: (server.address() as net.AddressInfo).port });
}

/** What the sockets of socket.io's two ends have in common. */
interface Emitter {
  emitWithAck(event: 'message', data: Buffer): Promise<unknown>;
  on(event: 'message', listener: (data: Buffer, acknowledge: () => void) => void): unknown;
}

/** Sends all messages and takes all of the other end's; settles when either end has everything. */
async function exchange(socket: Emitter): Promise<void> {
  const complete = new Promise<void>((resolve) => {
    socket.on('message', (data: Buffer, acknowledge: () => void) => {
      received.push(sha256(data));
      acknowledge();
      if (received.length === given.messages) resolve();
    });
  });
  const acknowledged = numbers.map((i) => socket.emitWithAck('message', message(i)));
  await Promise.all([complete, ...acknowledged]);
}

const servers = {
  'socket.io': async () => {
    const listener = http.createServer();
    const sockets = new Server(listener, { maxHttpBufferSize: 2 * MESSAGE_BYTES });
    sockets.on('connection', (socket) => {
      void exchange(socket).then(() => finish(() => sockets.close()));
    });
    await listening(listener.listen(0, host));
  },
  ioredis: async () => {
    const server = startRedis(host, (value) => received.push(sha256(value)));
    await listening(server);
    await once(server, 'quit');
    await finish(() => server.close());
  },
  pg: async () => {
    const server = startPostgres(host, (value) => received.push(sha256(value)));
    await listening(server);
    await once(server, 'quit');
    await finish(() => server.close());
  },
};

const clients = {
  'socket.io': async () => {
    const socket = io(`http://${host}:${port}`, { transports: ['websocket'] });
    await exchange(socket);
    await finish(() => socket.disconnect());
  },
  ioredis: async () => {
    const redis = new Redis({ host, port, lazyConnect: true });
    await redis.connect();
    for (const i of numbers) await redis.set(`key ${i}`, message(i));
    for (const i of numbers) received.push(sha256((await redis.getBuffer(`key ${i}`)) as Buffer));
    await finish(() => redis.quit());
  },
  pg: async () => {
    const client = new pg.Client({ host, port, user: 'a', password: 'b', database: 'c' });
    await client.connect();
    for (const i of numbers) {
      const { rows } = await client.query('SELECT $1::bytea AS value', [message(i)]);
      received.push(sha256((rows as [{ value: Buffer }])[0].value));
    }
    await finish(() => client.end());
  },
};

void (given.role === 'server' ? servers : clients)[given.library]();
