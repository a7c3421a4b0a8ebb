// A keep-alive http server that answers every request with one file, by whatever way the contestant has.
import fs from 'node:fs';
import http from 'node:http';
import type net from 'node:net';
import path from 'node:path';

import type { FileServerOrder } from '../protocol';
import { onAsked, say, takeOrder, takeSnapshot } from './session';
import { upgradeFor } from './upgrade';
import { doneOf } from './window';

async function listenerFor({ contestant, file, bytes, slices }: FileServerOrder) {
  const folder = path.dirname(file);
  let slice = 0;
  const next = (): { start?: number; end?: number } => {
    if (slices === undefined) return {};
    const start = (slice++ % slices) * bytes;
    return { start, end: start + bytes - 1 };
  };
  switch (contestant.file) {
    case 'express': {
      const { default: express } = await import('express');
      return express().use(express.static(folder)) as http.RequestListener;
    }
    case 'fastify': {
      const { default: fastify } = await import('fastify');
      const { default: fastifyStatic } = await import('@fastify/static');
      const app = fastify();
      await app.register(fastifyStatic, { root: folder });
      await app.ready();
      return app.routing as http.RequestListener;
    }
    case 'sendFile': {
      const { sendFile } = await import('../../lib/index.js');
      return (_: http.IncomingMessage, response: http.ServerResponse) => {
        sendFile(response, file, next()).catch(() => response.destroy());
      };
    }
    default:
      return (_: http.IncomingMessage, response: http.ServerResponse) => {
        response.setHeader('Content-Length', bytes);
        fs.createReadStream(file, next()).pipe(response);
      };
  }
}

async function main(): Promise<void> {
  const order = takeOrder<FileServerOrder>();
  const upgrade = await upgradeFor(order.contestant);
  const answer = await listenerFor(order);
  let requests = 0;
  const server = http.createServer((request, response) => {
    requests++;
    answer(request, response);
  });
  upgrade.apply(server);
  const sockets: net.Socket[] = [];
  server.on('connection', (socket: net.Socket) => {
    // The load generator cuts its connections in the middle of an answer.
    socket.on('error', () => undefined);
    sockets.push(socket);
  });
  server.listen(0, order.address, () => {
    say({ event: 'ready', port: (server.address() as net.AddressInfo).port } as { event: string });
  });
  onAsked(() => {
    const left = (): number => sockets.reduce((sum, { bytesWritten }) => sum + bytesWritten, 0);
    const done = doneOf(order.bytes, requests, left);
    return { event: 'snapshot', ...takeSnapshot(order.kernelThreads, done, undefined) };
  });
}

void main();
