// A plain client of io-uring-http-server.ts that checks every byte of every answer.
// Argument: {host, port, what}. Writes {result}.
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { countWrong } from '../../scripts/pattern';
import { parseResponses } from '../helpers/http-kit';
import { argument, print } from '../helpers/program-side';
import { FRAME_HEADER_BYTES, FRAME_START, frameBytes, FRAMES } from './io-uring-http-frames';

export interface HttpClientArgument {
  readonly host: string;
  readonly port: number;
  readonly what: 'keep-alive' | 'pipelining' | 'close' | 'upgrade';
}

export interface Result {
  readonly result: {
    readonly answers: number;
    readonly bytes: number;
    readonly wrong: number;
    readonly connections: number;
  };
}

const SIZES = [1, 1024, 4096, 10_000, 16_384, 65_536, 131_072, 262_144, 1_048_576] as const;
const CONNECTIONS = 8;
const ROUNDS = 6;

const { host, port, what } = argument<HttpClientArgument>();
let answers = 0;
let bytes = 0;
let wrong = 0;
let connections = 0;
let nextStream = 1;

function check(body: Buffer, stream: number, expected: number): void {
  answers++;
  bytes += body.length;
  wrong += countWrong(body, stream, 0) + Math.abs(expected - body.length);
}

async function get(agent: http.Agent | false, how: string, size: number): Promise<void> {
  const stream = nextStream++;
  const headers = { 'x-stream': String(stream) };
  const request = http.get({ host, port, path: `/${how}/${size}`, headers, agent });
  request.once('socket', (socket) => {
    if (socket.connecting) connections++;
  });
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  const parts: Buffer[] = [];
  response.on('data', (part: Buffer) => parts.push(part));
  await once(response, 'end');
  check(Buffer.concat(parts), stream, size);
}

async function overConnections(agent: http.Agent | false): Promise<void> {
  const one = async (): Promise<void> => {
    for (let round = 0; round < ROUNDS; round++) {
      for (const size of SIZES) {
        await get(agent, 'end', size);
        await get(agent, 'chunks', size);
      }
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, one));
  if (agent !== false) agent.destroy();
}

async function everything(socket: net.Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  socket.on('data', (part: Buffer) => parts.push(part));
  await once(socket, 'end');
  return Buffer.concat(parts);
}

// Every request in one write; the last of them closes.
async function pipelined(): Promise<void> {
  const asked: [stream: number, size: number][] = [];
  let requests = '';
  for (let i = 0; i < 3 * SIZES.length; i++) {
    const size = SIZES[(i * 4) % SIZES.length] as number;
    const stream = nextStream++;
    asked.push([stream, size]);
    const close = i === 3 * SIZES.length - 1 ? 'connection: close\r\n' : '';
    const path = `/${i % 2 === 0 ? 'end' : 'chunks'}/${size}`;
    requests += `GET ${path} HTTP/1.1\r\nhost: x\r\nx-stream: ${stream}\r\n${close}\r\n`;
  }
  connections++;
  const socket = net.connect({ host, port });
  socket.write(requests);
  const responses = parseResponses(await everything(socket));
  responses.forEach(({ body }, index) => {
    const [stream, size] = asked[index] as [number, number];
    check(body, stream, size);
  });
}

async function upgraded(): Promise<void> {
  const stream = nextStream++;
  connections++;
  const headers = { connection: 'upgrade', upgrade: 'x', 'x-stream': String(stream) };
  const request = http.get({ host, port, path: '/', headers });
  const [, socket, head] = (await once(request, 'upgrade')) as [unknown, net.Socket, Buffer];
  const wire = Buffer.concat([head, await everything(socket)]);
  let at = 0;
  let offset = 0;
  for (let i = 0; i < FRAMES; i++) {
    const length = Number(wire.readBigUInt64BE(at + 2));
    if (wire.readUInt16BE(at) !== FRAME_START || length !== frameBytes(i)) wrong++;
    at += FRAME_HEADER_BYTES;
    wrong += countWrong(wire.subarray(at, at + frameBytes(i)), stream, offset);
    at += frameBytes(i);
    offset += frameBytes(i);
    answers++;
  }
  bytes += wire.length;
  wrong += Math.abs(wire.length - at);
  socket.destroy();
}

const WHAT: Record<HttpClientArgument['what'], () => Promise<void>> = {
  'keep-alive': () => overConnections(new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS })),
  // Without an agent each request has a connection, which the answer closes.
  close: () => overConnections(false),
  pipelining: async () => {
    for (let i = 0; i < ROUNDS; i++) await Promise.all([pipelined(), pipelined(), pipelined()]);
  },
  upgrade: async () => {
    for (let i = 0; i < ROUNDS; i++) await Promise.all([upgraded(), upgraded(), upgraded()]);
  },
};

void WHAT[what]().then(() => {
  print({ result: { answers, bytes, wrong, connections } } satisfies Result);
});
