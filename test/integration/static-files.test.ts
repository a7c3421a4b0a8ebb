// Servers of files as people use them, each plain and upgraded: the same requests get the same answers, byte
// for byte, and the kernel sends the files.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import fastifyStatic from '@fastify/static';
import compression from 'compression';
import express from 'express';
import fastify from 'fastify';
import Koa from 'koa';
import koaStatic from 'koa-static';
import sirv from 'sirv';
import { enableZeroCopy, metrics } from '../../lib/index';
import { answersOf, exchange, withFiles, type Answer } from '../helpers/file-kit';

const BYTES = 300_000;

/** Makes a server of the files of a folder; the first is 0.bin. */
type Maker = (root: string) => Promise<http.Server> | http.Server;

interface Framework {
  readonly make: Maker;
  /** Answers whose bytes the kernel does not send. */
  readonly leaves?: 'everything';
}

// They print what clients do wrong.
function quietExpress(): express.Express {
  return express().set('env', 'test');
}

function quietKoa(): Koa {
  return Object.assign(new Koa(), { silent: true });
}

const frameworks: Readonly<Record<string, Framework>> = {
  'express.static': { make: (root) => http.createServer(quietExpress().use(express.static(root))) },
  'res.sendFile()': {
    make: (root) =>
      http.createServer(
        quietExpress().use((request, response) => response.sendFile(path.join(root, request.path))),
      ),
  },
  'res.download()': {
    make: (root) =>
      http.createServer(
        quietExpress().use((request, response) => response.download(path.join(root, request.path))),
      ),
  },
  sirv: { make: (root) => http.createServer(sirv(root, { etag: true })) },
  'koa-static': {
    make: (root) => http.createServer(quietKoa().use(koaStatic(root)).callback()),
  },
  '@fastify/static': {
    make: async (root) => {
      const app = fastify();
      await app.register(fastifyStatic, { root });
      await app.ready();
      return app.server;
    },
  },
  'express.static behind compression': {
    make: (root) => {
      const filter = (): boolean => true;
      return http.createServer(quietExpress().use(compression({ filter }), express.static(root)));
    },
    leaves: 'everything',
  },
};

interface Exchange {
  readonly title: string;
  readonly methods?: readonly string[];
  readonly version?: string;
  readonly headers?: (tag: string) => Readonly<Record<string, string>>;
}

const requests: readonly Exchange[] = [
  { title: 'the whole file' },
  { title: 'a range', headers: () => ({ Range: 'bytes=1000-200999' }) },
  { title: 'the end of it', headers: () => ({ Range: 'bytes=-77' }) },
  { title: 'from a byte on', headers: () => ({ Range: 'bytes=299000-' }) },
  { title: 'a range beyond its end', headers: () => ({ Range: 'bytes=400000-' }) },
  { title: 'two ranges', headers: () => ({ Range: 'bytes=0-9,100-109' }) },
  { title: 'HEAD', methods: ['HEAD'] },
  { title: 'what is known', headers: (tag) => ({ 'If-None-Match': tag }) },
  {
    title: 'the rest of what is known',
    headers: (tag) => ({ Range: 'bytes=5-', 'If-Range': tag }),
  },
  { title: 'the rest of another', headers: () => ({ Range: 'bytes=5-', 'If-Range': '"other"' }) },
  { title: 'compressed', headers: () => ({ 'Accept-Encoding': 'gzip' }) },
  { title: 'by HTTP/1.0', version: '1.0' },
  { title: 'three at once', methods: ['GET', 'HEAD', 'GET'] },
  { title: 'with Expect', headers: () => ({ Expect: '100-continue' }) },
];

function wordsOf({ methods = ['GET'], version = '1.1', headers }: Exchange, tag: string): string {
  return methods
    .map((method, at) => {
      const close = at === methods.length - 1 ? { Connection: 'close' } : {};
      const lines = Object.entries({ Host: 'files', ...close, ...headers?.(tag) });
      const words = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
      return `${method} /0.bin HTTP/${version}\r\n${words}\r\n`;
    })
    .join('');
}

async function serving<T>(
  make: Maker,
  root: string,
  flavour: 'plain' | 'upgraded',
  body: (port: number) => Promise<T>,
): Promise<T> {
  const server = await make(root);
  if (flavour === 'upgraded') enableZeroCopy(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await body((server.address() as net.AddressInfo).port);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

function comparable(answers: readonly Answer[]): unknown[] {
  return answers.map(({ status, headers, bytes, sha256 }) => ({ status, headers, bytes, sha256 }));
}

async function askAll(port: number): Promise<Map<string, unknown>> {
  const found = new Map<string, unknown>();
  let tag = '';
  for (const request of requests) {
    const arrived = await exchange(port, wordsOf(request, tag));
    // 100 Continue has no body.
    const rest =
      arrived.toString('latin1', 0, 13) === 'HTTP/1.1 100 ' ? arrived.indexOf('\r\n\r\n') + 4 : 0;
    const answers = answersOf(arrived.subarray(rest), request.methods);
    assert.equal(answers.length, request.methods?.length ?? 1, request.title);
    const etag = answers[0]?.headers.find((line) => line.toLowerCase().startsWith('etag: '));
    if (tag === '' && etag !== undefined) tag = etag.slice(6);
    found.set(request.title, [rest, comparable(answers)]);
  }
  return found;
}

describe('servers of files', () => {
  for (const [name, { make, leaves }] of Object.entries(frameworks)) {
    it(`${name} answers every request as without the upgrade`, () =>
      withFiles(async (folder) => {
        folder.file(BYTES);
        const plain = await serving(make, folder.root, 'plain', askAll);
        const before = metrics().files;
        const upgraded = await serving(make, folder.root, 'upgraded', askAll);
        const after = metrics().files;
        for (const { title } of requests)
          assert.deepEqual(upgraded.get(title), plain.get(title), title);
        const sent = after.sent - before.sent;
        if (leaves === 'everything') assert.equal(sent, 0);
        else assert.ok(sent >= 8, `${sent} files by the kernel`);
      }));

    it(`${name} survives clients that go away in the middle`, () =>
      withFiles(async (folder) => {
        folder.file(16 * 1024 * 1024);
        await serving(make, folder.root, 'upgraded', async (port) => {
          for (let round = 0; round < 8; round++) {
            const socket = net.connect(port, '127.0.0.1');
            socket.on('error', () => undefined);
            socket.write('GET /0.bin HTTP/1.1\r\nHost: files\r\n\r\n');
            await once(socket, 'data');
            if (round % 2 === 0) socket.resetAndDestroy();
            else socket.destroy();
          }
          const arrived = await exchange(port, wordsOf({ title: '', version: '1.0' }, ''));
          const [answer] = answersOf(arrived);
          assert.match(answer?.status ?? '', / 200 /);
        });
      }));
  }
});
