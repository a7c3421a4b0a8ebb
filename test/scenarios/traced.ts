// A server and its client in one process, traced by telemetry.ts in front of them: writes what either got, and
// the spans.
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-node';
import { SpanKind } from '@opentelemetry/api';
import { metrics } from '../../lib/index';
import { print } from '../helpers/program-side';
import { until } from '../../scripts/until';
import { content, sha256 } from '../integration/content';
import { exporter } from './telemetry';

export interface Traced {
  readonly received: readonly string[];
  /** Kind, name and outcome of each span, and the same of its parent. */
  readonly spans: readonly string[];
  readonly zeroCopyBytes: number;
}

const ROUNDS = 2;
const SPANS_PER_ROUND = 4;

const received: string[] = [];

async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

function told(span: ReadableSpan): string {
  const { 'http.response.status_code': status, 'http.status_code': old } = span.attributes;
  return `${SpanKind[span.kind]} ${span.name} ${String(status ?? old ?? '')}`.trim();
}

async function ask(port: number, stream: number): Promise<void> {
  const agent = new http.Agent();
  const request = http.request({ host: '127.0.0.1', port, agent, method: 'POST', path: '/echo' });
  request.end(content(stream));
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  received.push(sha256(await bytesOf(response)));
}

// By a socket that net.connect() did not make.
async function read(port: number): Promise<void> {
  const socket = new net.Socket();
  socket.connect(port, '127.0.0.1');
  received.push(sha256(await bytesOf(socket as AsyncIterable<Uint8Array>)));
}

async function main(): Promise<void> {
  const echo = http.createServer((request, response) => {
    void bytesOf(request).then((body) => response.end(body));
  });
  const plain = net.createServer((socket) => socket.end(content(0)));
  echo.listen(0, '127.0.0.1');
  plain.listen(0, '127.0.0.1');
  await Promise.all([once(echo, 'listening'), once(plain, 'listening')]);
  const portOf = (server: net.Server): number => (server.address() as net.AddressInfo).port;
  for (let i = 1; i <= ROUNDS; i++) {
    await ask(portOf(echo), i);
    await read(portOf(plain));
  }
  echo.close();
  plain.close();
  await until('all memory is released', () => metrics().pendingBytes === 0);
  await until(
    'all spans have ended',
    () => exporter.getFinishedSpans().length >= ROUNDS * SPANS_PER_ROUND,
  );
  const spans = exporter.getFinishedSpans();
  const byId = new Map(spans.map((span) => [span.spanContext().spanId, span]));
  const shown = spans.map((span) => {
    const parent = byId.get(span.parentSpanContext?.spanId ?? '');
    return `${told(span)} < ${parent === undefined ? 'nothing' : told(parent)}`;
  });
  const { zeroCopyBytes } = metrics().totals;
  print({ received, spans: shown.sort(), zeroCopyBytes } satisfies Traced);
}

void main();
