// What a runtime that is not Node makes of this package: tries each part of it, and prints what happened.
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  BufferPool,
  capabilities,
  createRawSocket,
  createUdpSocket,
  diagnose,
  enableZeroCopy,
  metrics,
} from '../../lib/index';
import { countWrong, fillFrom, OVERWRITTEN } from '../../scripts/pattern';
import { print } from '../helpers/program-side';

const HOST = '127.0.0.1';
const BODY_BYTES = 700_000;
const DATAGRAM_BYTES = 9000;

export interface OtherRuntimeReport {
  readonly addon: string | undefined;
  readonly pool: string | undefined;
  /** A piece of the pool can be written to, and is freed. */
  readonly poolWorks: boolean;
  readonly http: { readonly bytes: number; readonly wrong: number };
  readonly udp: {
    readonly bytes: number;
    readonly wrong: number;
    readonly reason: string | undefined;
    readonly engine: string;
  };
  readonly raw: unknown;
  readonly doctor: { readonly zeroCopy: boolean; readonly addon: string | undefined };
  readonly fallbacks: number;
}

async function overHttp(): Promise<OtherRuntimeReport['http']> {
  const server = http.createServer((_request, response) => {
    const body = Buffer.alloc(BODY_BYTES);
    fillFrom(body, 1, 0);
    response.end(body);
  });
  enableZeroCopy(server);
  enableZeroCopy(server, { threshold: 1 });
  server.listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const chunks: Buffer[] = [];
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    http.get({ host: HOST, port, agent: false }, resolve).on('error', reject);
  });
  response.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(response, 'end');
  server.close();
  const whole = Buffer.concat(chunks);
  return { bytes: whole.length, wrong: countWrong(whole, 1, 0) };
}

async function overUdp(): Promise<OtherRuntimeReport['udp']> {
  const socket = createUdpSocket('udp4');
  socket.bind(0, HOST);
  await once(socket, 'listening');
  const payload = Buffer.alloc(DATAGRAM_BYTES);
  fillFrom(payload, 2, 0);
  const arrival = once(socket, 'message') as Promise<[Buffer]>;
  const { engine } = await socket.send(payload, { port: socket.address().port, address: HOST });
  payload.fill(OVERWRITTEN);
  const [message] = await arrival;
  const { reason } = socket.zeroCopy;
  socket.close();
  return { bytes: message.length, wrong: countWrong(message, 2, 0), reason, engine };
}

function fromPool(): Pick<OtherRuntimeReport, 'pool' | 'poolWorks'> {
  const pool = new BufferPool();
  const piece = pool.alloc(100_000);
  piece.fill(1);
  const poolWorks = piece.length === 100_000 && piece[99_999] === 1 && !pool.registered;
  pool.free(piece);
  return { pool: pool.reason, poolWorks };
}

function openRaw(): unknown {
  try {
    return createRawSocket({ family: 4, protocol: 'icmp' });
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}

async function main(): Promise<void> {
  const served = await overHttp();
  const udp = await overUdp();
  const { zeroCopy, findings } = await diagnose();
  const addon = findings.find(({ id }) => id === 'addon')?.detail;
  print({
    addon: capabilities().addon.reason,
    ...fromPool(),
    http: served,
    udp,
    raw: openRaw(),
    doctor: { zeroCopy, addon },
    fallbacks: (metrics().fallbacks as Record<string, number>)['runtime-unsupported'] ?? 0,
  } satisfies OtherRuntimeReport);
}

void main();
