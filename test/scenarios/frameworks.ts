// The servers, each as its users write it and upgraded by one line, or by nothing in the program.
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import type net from 'node:net';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import 'reflect-metadata'; // for Nest
import express from 'express';
import fastify from 'fastify';
import { enableZeroCopy, type ZeroCopyOptions } from '../../lib/index';
import { OVERWRITTEN } from '../../scripts/pattern';
import { content, jsonContent, type Route } from '../integration/content';

export interface Settings {
  readonly host: string;
  /** Of the upgrade; null: the program does nothing for it. */
  readonly options: ZeroCopyOptions | null;
  /** The file of the route `file`. */
  readonly file: string;
}

/** What the program has to know of a server that listens. */
export interface Started {
  readonly server: net.Server;
  close(): Promise<void>;
}

/** Answers with memory that is overwritten the moment it is released. */
function endWithCallback(response: http.ServerResponse, stream: number): void {
  const body = content(stream);
  response.end(body, () => body.fill(OVERWRITTEN));
}

function upgraded<T extends net.Server>(server: T, options: ZeroCopyOptions | null): T {
  return options === null ? server : enableZeroCopy(server, options);
}

async function closeHttp(server: http.Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}

async function startHttp({ host, options, file }: Settings): Promise<Started> {
  const routes: Record<Route, (response: http.ServerResponse, stream: number) => unknown> = {
    buffer: (response, stream) => response.end(content(stream)),
    callback: endWithCallback,
    json: (response, stream) => response.end(JSON.stringify(jsonContent(stream))),
    // A client that leaves ends the pipeline with an error.
    file: (response) => pipeline(fs.createReadStream(file), response).catch(() => undefined),
  };
  const server = http.createServer((request, response) => {
    const [, route, stream] = (request.url ?? '').split('/');
    routes[route as Route](response, Number(stream));
  });
  upgraded(server, options);
  server.listen(0, host);
  await once(server, 'listening');
  return { server, close: () => closeHttp(server) };
}

async function startExpress({ host, options, file }: Settings): Promise<Started> {
  const app = express();
  app.get('/buffer/:stream', (request, response) => {
    response.send(content(Number(request.params.stream)));
  });
  app.get('/callback/:stream', (request, response) => {
    endWithCallback(response, Number(request.params.stream));
  });
  app.get('/json/:stream', (request, response) => {
    response.json(jsonContent(Number(request.params.stream)));
  });
  app.get('/file/:stream', (_request, response) => {
    // With a callback, a client that leaves is not reported as a failure of the handler.
    response.sendFile(path.resolve(file), () => undefined);
  });
  const server = upgraded(app.listen(0, host), options);
  await once(server, 'listening');
  return { server, close: () => closeHttp(server) };
}

async function startFastify({ host, options, file }: Settings): Promise<Started> {
  const app = fastify({ forceCloseConnections: true });
  type Params = { Params: { stream: string } };
  app.get<Params>('/buffer/:stream', (request, reply) => {
    reply.send(content(Number(request.params.stream)));
  });
  app.get<Params>('/callback/:stream', (request, reply) => {
    reply.hijack();
    endWithCallback(reply.raw, Number(request.params.stream));
  });
  app.get<Params>('/json/:stream', (request, reply) => {
    reply.send(jsonContent(Number(request.params.stream)));
  });
  app.get<Params>('/file/:stream', (_request, reply) => {
    reply.send(fs.createReadStream(file));
  });
  upgraded(app.server, options);
  await app.listen({ port: 0, host });
  return { server: app.server, close: () => app.close() };
}

// With its decorators called as functions: the compiler is not told of them.
async function startNest({ host, options, file }: Settings): Promise<Started> {
  const { Controller, Get, Module, Param, Res, StreamableFile } = await import('@nestjs/common');
  const { NestFactory } = await import('@nestjs/core');
  class Answers {
    buffer(response: http.ServerResponse, stream: string): void {
      response.end(content(Number(stream)));
    }
    callback(response: http.ServerResponse, stream: string): void {
      endWithCallback(response, Number(stream));
    }
    json(stream: string): object {
      return jsonContent(Number(stream));
    }
    file(): unknown {
      return new StreamableFile(fs.createReadStream(file), {
        type: 'application/octet-stream',
      }).setErrorHandler(() => undefined);
    }
  }
  const methods = { buffer: [Res(), Param('stream')], callback: [Res(), Param('stream')] };
  const all = { ...methods, json: [Param('stream')], file: [] };
  for (const [route, parameters] of Object.entries(all)) {
    parameters.forEach((decorate, i) => decorate(Answers.prototype, route, i));
    const method = Object.getOwnPropertyDescriptor(Answers.prototype, route);
    Get(`${route}/:stream`)(Answers.prototype, route, method as PropertyDescriptor);
  }
  Controller()(Answers);
  class Root {}
  Module({ controllers: [Answers] })(Root);
  const app = await NestFactory.create(Root, { logger: false, forceCloseConnections: true });
  const server = upgraded(app.getHttpServer() as http.Server, options);
  await app.listen(0, host);
  return { server, close: () => app.close() };
}

// http2 without TLS. Node's http2 writes natively: the upgrade changes nothing.
async function startHttp2({ host, options, file }: Settings): Promise<Started> {
  const routes: Record<Route, (response: http2.Http2ServerResponse, stream: number) => unknown> = {
    buffer: (response, stream) => response.end(content(stream)),
    callback: (response, stream) => response.end(content(stream)),
    json: (response, stream) => response.end(JSON.stringify(jsonContent(stream))),
    file: (response) => pipeline(fs.createReadStream(file), response).catch(() => undefined),
  };
  const server = http2.createServer((request, response) => {
    const [, route, stream] = request.url.split('/');
    routes[route as Route](response, Number(stream));
  });
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on('session', (session) => sessions.add(session));
  upgraded(server, options);
  server.listen(0, host);
  await once(server, 'listening');
  const close = async (): Promise<void> => {
    const closed = once(server, 'close');
    server.close();
    for (const session of sessions) session.destroy();
    await closed;
  };
  return { server, close };
}

export const frameworks = {
  http: startHttp,
  express: startExpress,
  fastify: startFastify,
  nest: startNest,
  http2: startHttp2,
};
export type Framework = keyof typeof frameworks;
