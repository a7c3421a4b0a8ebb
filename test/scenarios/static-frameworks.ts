// Servers of files as people write them: each answers GET /<name> with the file of that name in a folder. Needs
// no test runner: programs under other versions of Node share them.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import 'reflect-metadata'; // for Nest
import fastifyStatic from '@fastify/static';
import compression from 'compression';
import express from 'express';
import fastify from 'fastify';
import Koa from 'koa';
import koaSend from 'koa-send';
import koaStatic from 'koa-static';
import morgan from 'morgan';
import onHeaders from 'on-headers';
import polka from 'polka';
import send from 'send';
import serveStatic from 'serve-static';
import sirv from 'sirv';

export interface StaticServer {
  readonly server: http.Server;
  close(): Promise<void>;
}

interface Framework {
  readonly make: (root: string) => Promise<StaticServer> | StaticServer;
  /** Nothing of it can go by the kernel. */
  readonly copies?: true;
}

function plain(listener: http.RequestListener): StaticServer {
  return over(http.createServer(listener));
}

function over(server: http.Server): StaticServer {
  return { server, close: () => Promise.resolve() };
}

// They print what clients do wrong.
function quietExpress(): express.Express {
  return express().set('env', 'test');
}

function quietKoa(): Koa {
  return Object.assign(new Koa(), { silent: true });
}

function nameOf({ url = '/' }: http.IncomingMessage): string {
  return decodeURIComponent(url.slice(1));
}

function notFound(response: http.ServerResponse): void {
  response.statusCode = 404;
  response.end();
}

/** With a callback, a client that leaves is not reported as a failure of the handler. */
function failed(response: http.ServerResponse, error?: Error & { status?: number }): void {
  if (error === undefined || response.headersSent) return;
  response.statusCode = error.status ?? 500;
  response.end(error.message);
}

async function fastifyServer(root: string): Promise<StaticServer> {
  const app = fastify();
  await app.register(fastifyStatic, { root });
  await app.ready();
  return { server: app.server, close: () => app.close() };
}

// With its decorators called as functions: the compiler is not told of them.
async function nestServer(root: string, way: 'assets' | 'streams'): Promise<StaticServer> {
  const { Controller, Get, Module, Param, StreamableFile } = await import('@nestjs/common');
  const { NestFactory } = await import('@nestjs/core');
  class Files {
    file(name: string): unknown {
      const stream = fs.createReadStream(path.join(root, name));
      return new StreamableFile(stream).setErrorHandler(() => undefined);
    }
  }
  const method = Object.getOwnPropertyDescriptor(Files.prototype, 'file') as PropertyDescriptor;
  Param('name')(Files.prototype, 'file', 0);
  Get(':name')(Files.prototype, 'file', method);
  Controller()(Files);
  class Root {}
  Module({ controllers: way === 'streams' ? [Files] : [] })(Root);
  const app = await NestFactory.create(Root, { logger: false });
  if (way === 'assets') app.use(express.static(root));
  await app.init();
  return { server: app.getHttpServer() as http.Server, close: () => app.close() };
}

/** Hears headers and bodies as loggers, middleware and agents of monitoring do, and leaves both alone. */
function withListeners(root: string): express.Express {
  const app = quietExpress();
  app.use(morgan('combined', { stream: { write: () => undefined } }));
  app.use((_request, response, next) => {
    onHeaders(response, () => response.setHeader('X-Heard', 'yes'));
    next();
  });
  return app.use(express.static(root));
}

/** Keeps what is written, as loggers of bodies do. */
function withBodies(root: string): express.Express {
  const app = quietExpress();
  app.use((_request, response, next) => {
    const { write, end } = response;
    let bytes = 0;
    const count = (chunk: unknown): void => {
      if (typeof chunk === 'string' || chunk instanceof Uint8Array) bytes += chunk.length;
    };
    response.write = function (this: typeof response, ...args: unknown[]) {
      count(args[0]);
      return write.apply(this, args as never);
    } as never;
    response.end = function (this: typeof response, ...args: unknown[]) {
      count(args[0]);
      response.emit('counted', bytes);
      return end.apply(this, args as never);
    } as never;
    next();
  });
  return app.use(express.static(root));
}

export const frameworks: Readonly<Record<string, Framework>> = {
  send: {
    make: (root) =>
      plain((request, response) => send(request, nameOf(request), { root }).pipe(response)),
  },
  'serve-static': {
    make: (root) => {
      const serve = serveStatic(root);
      return plain((request, response) => serve(request, response, () => notFound(response)));
    },
  },
  'express.static': { make: (root) => plain(quietExpress().use(express.static(root))) },
  'res.sendFile()': {
    make: (root) =>
      plain(
        quietExpress().use((request, response) =>
          response.sendFile(path.join(root, request.path), (error) => failed(response, error)),
        ),
      ),
  },
  'res.download()': {
    make: (root) =>
      plain(
        quietExpress().use((request, response) =>
          response.download(path.join(root, request.path), (error) => failed(response, error)),
        ),
      ),
  },
  sirv: { make: (root) => plain(sirv(root, { etag: true })) },
  'polka with sirv': {
    make: (root) => {
      const server = http.createServer();
      const app = polka({ server }).use(sirv(root, { dev: true, etag: true }));
      server.on('request', app.handler as http.RequestListener);
      return over(server);
    },
  },
  'koa-static': { make: (root) => plain(quietKoa().use(koaStatic(root)).callback()) },
  'koa-send': {
    make: (root) =>
      plain(
        quietKoa()
          .use((context) => koaSend(context, context.path, { root }))
          .callback(),
      ),
  },
  '@fastify/static': { make: fastifyServer },
  'Nest with static files': { make: (root) => nestServer(root, 'assets') },
  "Nest's StreamableFile": { make: (root) => nestServer(root, 'streams') },
  'express.static behind morgan and on-headers': { make: (root) => plain(withListeners(root)) },
  'express.static behind a logger of bodies': {
    make: (root) => plain(withBodies(root)),
    copies: true,
  },
  'express.static behind compression': {
    make: (root) =>
      plain(quietExpress().use(compression({ filter: () => true }), express.static(root))),
    copies: true,
  },
};
