// Scenarios: pieces of a pool that http keeps to itself for a while, freed right behind the calls that send
// them. Whatever the next owner of the memory does to it, what arrives is what was written.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type net from 'node:net';
import { BufferPool, connect, type ZeroCopyOptions } from '../../lib/index';
import { untilCollected } from '../helpers/collect';
import {
  parseResponses,
  RawClient,
  readAnswer,
  type Scenario,
  type Served,
  someTurns,
  withServer,
} from '../helpers/http-kit';
import { streamBytes } from '../../scripts/pattern';
import { overwriteFree, untilBack } from '../helpers/pool-pieces';
import { until } from '../../scripts/until';

const REQUEST = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';
const PIECE_BYTES = 100_000;
const BODY = streamBytes(41, 2 * PIECE_BYTES);
const ENGINES = ['msg_zerocopy', 'io_uring', 'copy'] as const;

type Framing = 'in chunks' | 'of a known length';

function newPool(): BufferPool {
  return new BufferPool({ bytes: 1024 * 1024 });
}

function pieceOf(pool: BufferPool, from: number): Buffer {
  const piece = pool.allocUnsafe(PIECE_BYTES);
  BODY.copy(piece, 0, from);
  return piece;
}

interface Heard {
  written?: () => void;
  ended?: () => void;
}

/** Sends the body in two pieces that are free behind it, and their memory reused. */
function sendPieces(
  pool: BufferPool,
  message: http.ServerResponse | http.ClientRequest,
  heard: Heard = {},
): void {
  const first = pieceOf(pool, 0);
  message.write(first, heard.written);
  pool.free(first);
  overwriteFree(pool);
  const second = pieceOf(pool, PIECE_BYTES);
  if (heard.ended === undefined) message.end(second);
  else message.end(second, heard.ended);
  pool.free(second);
  overwriteFree(pool);
}

/** Answers of one connection, each as it is to be. */
async function bodiesOf(client: RawClient, count: number): Promise<readonly Buffer[]> {
  const bodies = (): Buffer[] => {
    try {
      return parseResponses(client.all()).map(({ body }) => body);
    } catch {
      return [];
    }
  };
  await until('all bodies', () => bodies().filter(({ length }) => length > 0).length === count);
  return bodies();
}

function assertBody(body: Buffer | undefined): void {
  assert.equal(body?.length, BODY.length);
  let wrong = 0;
  for (const [at, byte] of (body as Buffer).entries()) wrong += +(byte !== BODY[at]);
  assert.equal(wrong, 0, 'wrong bytes');
}

/** Serves responses that are collected until they are answered. */
async function collecting(
  zeroCopy: ZeroCopyOptions,
  body: (served: Served, responses: http.ServerResponse[]) => Promise<void>,
): Promise<void> {
  const responses: http.ServerResponse[] = [];
  await withServer(
    'upgraded',
    (_request, response) => void responses.push(response),
    (served) => body(served, responses),
    zeroCopy,
  );
}

async function pipelined(framing: Framing, zeroCopy: ZeroCopyOptions): Promise<void> {
  const pool = newPool();
  await collecting(zeroCopy, async ({ port }, responses) => {
    const client = await RawClient.open(port, 'reading');
    client.socket.write(REQUEST + REQUEST);
    await until('both requests', () => responses.length === 2);
    const [first, second] = responses as [http.ServerResponse, http.ServerResponse];
    if (framing === 'of a known length') second.setHeader('content-length', BODY.length);
    const notes: string[] = [];
    sendPieces(pool, second, {
      written: () => notes.push('written'),
      ended: () => notes.push('ended'),
    });
    await someTurns();
    overwriteFree(pool);
    first.end('first');
    const [, body] = await bodiesOf(client, 2);
    assertBody(body);
    await until('both callbacks', () => notes.length === 2);
    assert.deepEqual(notes, ['written', 'ended']);
    await untilBack(pool);
    client.socket.destroy();
  });
}

async function corked(framing: Framing, zeroCopy: ZeroCopyOptions): Promise<void> {
  const pool = newPool();
  await collecting(zeroCopy, async ({ port }, responses) => {
    const client = await RawClient.open(port, 'reading');
    client.socket.write(REQUEST);
    await until('the request', () => responses.length === 1);
    const response = responses[0] as http.ServerResponse;
    if (framing === 'of a known length') response.setHeader('content-length', BODY.length);
    response.flushHeaders();
    response.cork();
    for (const from of [0, PIECE_BYTES]) {
      const piece = pieceOf(pool, from);
      response.write(piece);
      pool.free(piece);
      overwriteFree(pool);
    }
    await someTurns();
    overwriteFree(pool);
    response.uncork();
    response.end();
    const [body] = await bodiesOf(client, 1);
    assertBody(body);
    await untilBack(pool);
    client.socket.destroy();
  });
}

/** A request that waits for the connection of another one. */
async function unconnected(zeroCopy: ZeroCopyOptions): Promise<void> {
  const pool = newPool();
  const received: Promise<Buffer>[] = [];
  const responses: http.ServerResponse[] = [];
  const listener: http.RequestListener = (request, response) => {
    responses.push(response);
    received.push(request.toArray().then((parts) => Buffer.concat(parts as Buffer[])));
  };
  await withServer('plain', listener, async ({ port }) => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    Object.assign(agent, {
      createConnection: (to: net.TcpNetConnectOpts) => connect({ ...to, zeroCopy }),
    });
    const to = { host: '127.0.0.1', port, agent };
    const before = http.get(to);
    const request = http.request({ ...to, method: 'POST' });
    sendPieces(pool, request);
    await until('the request before', () => responses.length === 1);
    overwriteFree(pool);
    for (const [at, one] of [before, request].entries()) {
      const answered = once(one, 'response');
      await until('the request', () => responses.length > at);
      const [body] = await Promise.all([received[at], responses[at]?.end('thanks')]);
      if (one === request) assertBody(body);
      const [response] = (await answered) as [http.IncomingMessage];
      await readAnswer(response);
    }
    await untilBack(pool);
    agent.destroy();
  });
}

/** One piece for a response that waits and for one that does not. */
async function toSeveral(zeroCopy: ZeroCopyOptions): Promise<void> {
  const pool = newPool();
  await collecting(zeroCopy, async ({ port }, responses) => {
    const clients = [await RawClient.open(port, 'reading'), await RawClient.open(port, 'reading')];
    const [waiting, other] = clients as [RawClient, RawClient];
    waiting.socket.write(REQUEST + REQUEST);
    await until('two requests', () => responses.length === 2);
    other.socket.write(REQUEST);
    await until('three requests', () => responses.length === 3);
    const [first, second, third] = responses;
    const piece = pieceOf(pool, 0);
    for (const response of [second, third]) response?.setHeader('content-length', PIECE_BYTES);
    second?.end(piece);
    third?.end(piece);
    pool.free(piece);
    const [body] = await bodiesOf(other, 1);
    assert.ok(body?.equals(BODY.subarray(0, PIECE_BYTES)));
    await someTurns();
    overwriteFree(pool);
    first?.end('first');
    const [, late] = await bodiesOf(waiting, 2);
    assert.ok(late?.equals(BODY.subarray(0, PIECE_BYTES)));
    await untilBack(pool);
    for (const { socket } of clients) socket.destroy();
  });
}

/** Of a response whose client goes before its turn: it is never sent. */
async function abandoned(zeroCopy: ZeroCopyOptions): Promise<void> {
  const pool = newPool();
  await collecting(zeroCopy, async ({ port, accepted }, responses) => {
    const client = await RawClient.open(port, 'reading');
    client.socket.write(REQUEST + REQUEST);
    await until('both requests', () => responses.length === 2);
    const closed = once(accepted[0] as net.Socket, 'close');
    sendPieces(pool, responses[1] as http.ServerResponse);
    assert.equal(pool.stats.waitingFrees, 2);
    client.socket.destroy();
    await closed;
    // The responses that waited for a connection go with it.
    responses.length = 0;
    (accepted as net.Socket[]).length = 0;
    await untilCollected('the pieces are back', () => pool.stats.pieces === 0);
    assert.equal(pool.stats.leakedPieces, 0);
  });
}

/** Under other versions of Node, too. */
export const pieces: readonly Scenario[] = ENGINES.flatMap((engine) => {
  const zeroCopy: ZeroCopyOptions = { engine, threshold: 64 * 1024 };
  const title = (where: string): string =>
    `pieces of a pool arrive as they were written, freed behind the call: ${where}, engine '${engine}'`;
  const framings: readonly Framing[] = ['in chunks', 'of a known length'];
  return [
    ...framings.flatMap((framing) => [
      {
        title: title(`a response that waits for another, ${framing}`),
        run: () => pipelined(framing, zeroCopy),
      },
      {
        title: title(`a response that is corked, ${framing}`),
        run: () => corked(framing, zeroCopy),
      },
    ]),
    { title: title('a request that waits for a connection'), run: () => unconnected(zeroCopy) },
    { title: title('one piece to several responses'), run: () => toSeveral(zeroCopy) },
    {
      title: `pieces of a pool go back when the response that waits is never sent, engine '${engine}'`,
      run: () => abandoned(zeroCopy),
    },
  ];
});
