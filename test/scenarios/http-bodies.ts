// Scenarios: bodies of every kind arrive right, and handlers see what they see in plain Node.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isZeroCopy, type ZeroCopyMembers } from '../../lib/index';
import {
  ask,
  type Flavour,
  parseResponses,
  RawClient,
  type Scenario,
  withServer,
  zeroCopySends,
} from '../helpers/http-kit';
import { streamBytes } from '../../scripts/pattern';
import { until } from '../../scripts/until';

const MIB = 1024 * 1024;
const SEQUENTIAL = 200;
const SIZES = [0, 1, 1000, 40_000, 100_000, MIB, 3 * MIB];

// Every request in turn on one connection; the handler answers with `answer`.
async function oneConnection(
  answer: (response: http.ServerResponse, body: Buffer) => void,
  check: (accepted: number) => void,
): Promise<void> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const withoutSocket: string[] = [];
  await withServer(
    'upgraded',
    (request, response) => {
      if (response.socket === null || response.socket !== request.socket)
        withoutSocket.push(request.url ?? '');
      answer(response, streamBytes(1, Number(request.url?.slice(1))));
    },
    async ({ port, accepted }) => {
      for (const size of [...SIZES, ...SIZES]) {
        const { status, body } = await ask({ port, agent, path: `/${size}` });
        assert.equal(status, 200);
        assert.ok(body.equals(streamBytes(1, size)), `a body of ${size} bytes is wrong`);
      }
      check(accepted.length);
      assert.ok(zeroCopySends(accepted) > 0, 'large bodies go zero-copy');
    },
  );
  agent.destroy();
  assert.deepEqual(withoutSocket, [], 'handlers that did not see their socket');
}

function inPieces(body: Buffer): Buffer[] {
  const third = Math.ceil(body.length / 3);
  const pieces = [0, 1, 2].map((i) => body.subarray(i * third, (i + 1) * third));
  return pieces.filter((piece) => piece.length > 0);
}

const kinds: Record<string, (response: http.ServerResponse, body: Buffer) => void> = {
  'with their length known': (response, body) => void response.end(body),
  'in chunks': (response, body) => {
    for (const piece of inPieces(body)) response.write(piece);
    response.end();
  },
  'in chunks, corked': (response, body) => {
    // One at a time: Node 22 and 24 themselves put end() before several.
    for (const piece of inPieces(body)) {
      response.cork();
      response.write(piece);
      response.uncork();
    }
    response.end();
  },
  'in pieces of a known length': (response, body) => {
    response.writeHead(200, { 'content-length': body.length });
    for (const piece of inPieces(body)) response.write(piece);
    response.end();
  },
  'in chunks over many turns': (response, body) => {
    void pipeline(Readable.from(inPieces(body)), response);
  },
  'in chunks with a trailer': (response, body) => {
    response.writeHead(200, { trailer: 'x-after' });
    response.write(body);
    response.addTrailers({ 'x-after': 'yes' });
    response.end();
  },
  'behind flushed headers': (response, body) => {
    response.writeHead(200, { 'content-length': body.length });
    response.flushHeaders();
    response.end(body);
  },
  'with the connection uncorked by hand': (response, body) => {
    response.writeHead(200, { 'content-length': body.length });
    response.socket?.cork();
    response.end(body);
    response.socket?.uncork();
  },
};

// Each request is sent the moment the response before it has ended.
async function sequential(): Promise<void> {
  const body = streamBytes(2, 100_000);
  const unseen: string[] = [];
  const listener: http.RequestListener = (request, response) => {
    if (response.socket === null) unseen.push(request.url ?? '');
    if (request.url === '/chunked') response.write(body);
    response.end(request.url === '/chunked' ? undefined : body);
  };
  await withServer('upgraded', listener, async ({ port }) => {
    for (const path of ['/chunked', '/whole']) {
      const request = `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;
      const client = await RawClient.open(port, 'reading');
      let answered = 0;
      client.socket.on('data', () => {
        if (client.bytes < body.length * (answered + 1)) return;
        if (!client.endsWith(path === '/chunked' ? '\r\n0\r\n\r\n' : body.subarray(-64))) return;
        if (++answered < SEQUENTIAL) client.socket.write(request);
      });
      client.socket.write(request);
      await until('all responses', () => answered === SEQUENTIAL);
      for (const response of parseResponses(client.all())) assert.ok(response.body.equals(body));
      client.socket.destroy();
    }
  });
  assert.deepEqual(unseen, [], 'handlers that did not see their socket');
}

// A client that does not read yet: nothing is released, and all the same http is done with a response
// once the kernel has accepted it. The next handler has its socket, and behind the last response the
// connection is closed.
async function unread(kind: '/chunked' | '/whole'): Promise<void> {
  const body = streamBytes(8, 400_000);
  const seen: boolean[] = [];
  const listener: http.RequestListener = (_request, response) => {
    seen.push(response.socket !== null);
    if (kind === '/chunked') response.write(body);
    response.end(kind === '/chunked' ? undefined : body);
  };
  await withServer('upgraded', listener, async ({ port, accepted }) => {
    const client = await RawClient.open(port, 'stalled');
    for (const connection of ['keep-alive', 'keep-alive', 'close']) {
      client.socket.write(`GET / HTTP/1.1\r\nhost: x\r\nconnection: ${connection}\r\n\r\n`);
      const answered = seen.length + 1;
      await until('the handler ran', () => seen.length === answered);
      await until('all is accepted', () => accepted[0]?.writableLength === 0);
    }
    assert.deepEqual(seen, [true, true, true], 'handlers that saw their socket');
    await until('the connection is closed', () => accepted[0]?.destroyed === true, 2_000);
    assert.ok(zeroCopySends(accepted) >= 3);
    client.socket.resume();
    await until('the end', () => client.ended);
    const responses = parseResponses(client.all());
    assert.equal(responses.length, 3);
    for (const response of responses) assert.ok(response.body.equals(body));
  });
}

// Requests sent at once: the second to last have no socket when they begin, in plain Node too.
async function pipelined(): Promise<void> {
  const requests = 10;
  await withServer(
    'upgraded',
    (request, response) => {
      const stream = Number(request.url?.slice(1));
      const body = streamBytes(stream, 200_000);
      if (stream % 2 === 0) response.end(body, () => body.fill(0xee));
      else {
        response.write(body.subarray(0, 70_000));
        response.end(body.subarray(70_000), () => body.fill(0xee));
      }
    },
    async ({ port, accepted }) => {
      const client = await RawClient.open(port, 'reading');
      let text = '';
      for (let i = 0; i < requests; i++) text += `GET /${i} HTTP/1.1\r\nhost: x\r\n\r\n`;
      client.socket.write(`${text}GET /10 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
      await until('the server ends the connection', () => client.ended);
      const responses = parseResponses(client.all());
      assert.equal(responses.length, requests + 1);
      responses.forEach(({ body }, i) =>
        assert.ok(body.equals(streamBytes(i, 200_000)), `response ${i} is wrong`),
      );
      assert.ok(zeroCopySends(accepted) > 0, 'large bodies go zero-copy');
    },
  );
}

/** Bytes that went from the page cache to the sockets. */
function fileBytes(sockets: readonly net.Socket[]): number {
  let bytes = 0;
  for (const socket of sockets) if (isZeroCopy(socket)) bytes += socket.zeroCopy.stats.fileBytes;
  return bytes;
}

async function pipedFile(): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-'));
  const file = path.join(folder, 'body');
  const body = streamBytes(3, 5 * MIB + 17);
  writeFileSync(file, body);
  const failures: unknown[] = [];
  try {
    await withServer(
      'upgraded',
      (_request, response) => {
        pipeline(createReadStream(file), response).catch((error: unknown) => failures.push(error));
      },
      async ({ port, accepted }) => {
        for (let i = 0; i < 3; i++) assert.ok((await ask({ port })).body.equals(body));
        const sent = fileBytes(accepted);
        // A few pages may be copied.
        assert.ok(sent >= 2.9 * body.length, `${sent} bytes went from the page cache`);
      },
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
  assert.deepEqual(failures, []);
}

// What a client sees of responses that have no body, and of one behind them on the same connection.
async function bodiless(flavour: Flavour): Promise<unknown[]> {
  const body = streamBytes(4, MIB);
  const seen: unknown[] = [];
  const listener: http.RequestListener = (request, response) => {
    response.statusCode = Number(request.url?.slice(1));
    response.end(body, () => undefined);
  };
  await withServer(flavour, listener, async ({ port, accepted }) => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const requests = [
      { method: 'HEAD', path: '/200' },
      { method: 'GET', path: '/204' },
      { method: 'GET', path: '/304' },
      { method: 'GET', path: '/200' },
    ];
    for (const request of requests) {
      const answer = await ask({ port, agent, ...request });
      const headers = { ...answer.headers, date: undefined };
      seen.push([answer.status, headers, answer.body.length, answer.body.equals(body)]);
    }
    agent.destroy();
    seen.push(accepted.length);
  });
  return seen;
}

async function withoutBody(): Promise<void> {
  const seen = await bodiless('upgraded');
  assert.deepEqual(seen, await bodiless('plain'));
  assert.deepEqual((seen[3] as unknown[]).slice(2), [MIB, true]);
}

async function strings(): Promise<void> {
  // Two, three and four bytes for each character; 5 MB when encoded.
  const text = 'é€𝄞'.repeat(560_000);
  await withServer(
    'upgraded',
    (request, response) => {
      if (request.url === '/end') response.end(text, 'utf8');
      else {
        response.write(text, 'utf8');
        response.write(Buffer.from(text).toString('base64'), 'base64');
        response.end();
      }
    },
    async ({ port, accepted }) => {
      const ended = await ask({ port, path: '/end' });
      assert.ok(ended.body.equals(Buffer.from(text)));
      const written = await ask({ port, path: '/write' });
      assert.ok(written.body.equals(Buffer.from(text + text)));
      assert.ok(zeroCopySends(accepted) > 0, 'large strings go zero-copy');
    },
  );
}

// The client closes right behind the last byte: the server's writing side must be finished by then.
async function closedBehindTheLastByte(): Promise<void> {
  const outcomes: unknown[] = [];
  await withServer(
    'upgraded',
    (_request, response) => {
      response.writeHead(200, { 'content-length': MIB });
      const source = Readable.from(inPieces(streamBytes(5, MIB)));
      pipeline(source, response).then(
        () => outcomes.push('done'),
        (error: NodeJS.ErrnoException) => outcomes.push(error.code ?? error.message),
      );
    },
    async ({ port }) => {
      for (let i = 0; i < 20; i++) {
        const client = await RawClient.open(port, 'reading');
        client.socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
        await until('the last byte', () => client.all().length >= MIB);
        const wire = client.all();
        const total = wire.indexOf('\r\n\r\n') + 4 + MIB;
        await until('the last byte', () => client.bytes >= total);
        client.socket.destroy();
        await until('the outcome', () => outcomes.length > i);
      }
    },
  );
  assert.deepEqual(outcomes, new Array(20).fill('done'));
}

// An http server that takes the connection over in the middle of it.
async function taken(): Promise<void> {
  const body = streamBytes(6, 2 * MIB);
  const released: string[] = [];
  await withServer(
    'upgraded',
    (_request, response) => response.end(streamBytes(6, 200_000)),
    async ({ server, port, accepted }) => {
      server.on('upgrade', (_request, socket) => {
        socket.write(
          'HTTP/1.1 101 Switching Protocols\r\nupgrade: raw\r\nconnection: upgrade\r\n\r\n',
        );
        const chunk = Buffer.from(body);
        socket.write(chunk, () => {
          chunk.fill(0xee);
          released.push('write');
        });
        socket.end('bye', () => released.push('end'));
      });
      const client = await RawClient.open(port, 'reading');
      client.socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
      await until('the first response', () => client.bytes > 200_000);
      const before = client.bytes;
      client.socket.write(
        'GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: raw\r\n\r\n',
      );
      await until('the end', () => client.ended);
      const wire = client.all().subarray(before);
      const from = wire.indexOf('\r\n\r\n') + 4;
      assert.ok(wire.subarray(from, -3).equals(body));
      assert.equal(wire.toString('latin1', wire.length - 3), 'bye');
      await until('the releases', () => released.length === 2);
      assert.deepEqual(released, ['write', 'end']);
      assert.ok(zeroCopySends(accepted) > 1);
    },
  );
}

async function byDefaults(): Promise<void> {
  const body = streamBytes(7, 300_000);
  const server = http.createServer((_request, response) => response.end(body));
  await withServer(
    'upgraded',
    server.listeners('request')[0] as http.RequestListener,
    async ({ port, accepted }) => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      // Enough for the pause that copies on loopback bring about.
      for (let i = 0; i < 40; i++) assert.ok((await ask({ port, agent })).body.equals(body));
      // By its own sends, or because other connections of this process have found it out.
      const [served] = accepted;
      const { state, reason } = (served as net.Socket & ZeroCopyMembers).zeroCopy;
      assert.deepEqual([state, reason], ['paused', 'kernel-copied']);
      agent.destroy();
      await once(accepted[0] as NodeJS.EventEmitter, 'close');
    },
    {},
  );
}

export const bodies: readonly Scenario[] = [
  ...Object.entries(kinds).map(([kind, answer]) => ({
    title: `bodies arrive intact ${kind}, on one connection whose handlers see their socket`,
    run: () => oneConnection(answer, (accepted) => assert.equal(accepted, 1)),
  })),
  { title: 'handlers see their socket in hundreds of requests on one connection', run: sequential },
  ...(['/chunked', '/whole'] as const).map((kind) => ({
    title: `http is done with a response that nobody read yet: ${kind.slice(1)}`,
    run: () => unread(kind),
  })),
  { title: 'pipelined requests are answered intact and in order', run: pipelined },
  { title: 'a file is piped into the response', run: pipedFile },
  { title: 'HEAD, 204 and 304 have no body, and the connection stays in step', run: withoutBody },
  { title: 'large strings of multi-byte characters arrive intact', run: strings },
  {
    title: 'a pipeline into a response is complete when the client closes behind the last byte',
    run: closedBehindTheLastByte,
  },
  { title: 'a connection taken over by "upgrade" keeps using zero copy', run: taken },
  {
    title: 'default options serve intact bodies while loopback makes zero copy pause',
    run: byDefaults,
  },
];
