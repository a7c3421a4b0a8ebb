// A server of files, plain and upgraded: the same requests get the same answers, byte for byte, and streams,
// responses, requests and sockets tell the same. Run as a program: every framework, under whichever Node.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type fs from 'node:fs';
import type http from 'node:http';
import net from 'node:net';
import { enableZeroCopy, metrics } from '../../lib/index';
import { answersOf, exchange, withFiles, type Answer } from '../helpers/file-kit';
import { RawClient, type Flavour } from '../helpers/http-kit';
import { print } from '../helpers/program-side';
import { frameworks, type StaticServer } from './static-frameworks';
import { until } from '../../scripts/until';

/** Of 0.bin. */
const BYTES = 300_000;
/** Of 1.bin: more than both buffers of a connection take. */
const LARGE_BYTES = 24 * 1024 * 1024;

interface Exchange {
  readonly title: string;
  readonly methods?: readonly string[];
  readonly version?: string;
  readonly headers?: (tag: string) => Readonly<Record<string, string>>;
}

const exchanges: readonly Exchange[] = [
  { title: 'the whole file' },
  { title: 'a range', headers: () => ({ Range: 'bytes=1000-200999' }) },
  { title: 'the end of it', headers: () => ({ Range: 'bytes=-77' }) },
  { title: 'from a byte on', headers: () => ({ Range: 'bytes=299000-' }) },
  { title: 'a range beyond its end', headers: () => ({ Range: 'bytes=400000-' }) },
  { title: 'a range of something else', headers: () => ({ Range: 'lines=1-2' }) },
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

/** What a server saw of one request. Between the lists the thread pool decides. */
interface Told {
  /** Of the response and the end of its file. */
  readonly response: string[];
  readonly request: string[];
  /** Of the file. */
  readonly stream: string[];
  bytesRead: number | undefined;
}

/** What a server saw of one exchange, or of one connection. */
class Watch {
  readonly told: Told[] = [];
  readonly sockets: string[] = [];
  readonly accepted: net.Socket[] = [];
  bytesWritten: number | undefined = 0;
  readonly #ends: Promise<unknown>[] = [];
  readonly #streams = new Map<fs.ReadStream, Told>();

  constructor(readonly server: http.Server) {
    server.prependListener('connection', this.#onConnection);
    server.prependListener('request', this.#onRequest);
  }

  /** All is closed that it saw, but files that are left open. */
  async over(): Promise<void> {
    await Promise.all(this.#ends);
    // Whoever hears of it destroys the file.
    await turns(20);
    this.server.off('connection', this.#onConnection);
    this.server.off('request', this.#onRequest);
    for (const [stream, told] of this.#streams) {
      if (!stream.destroyed && !stream.readableEnded) told.stream.push('left open');
      else await until('the file is closed', () => stream.closed);
      if (stream.readableEnded) told.bytesRead = stream.bytesRead;
      told.stream.push(`read ${stream.readableDidRead}, ended ${stream.readableEnded}`);
      for (const name of ['close', 'error', 'end']) stream.removeAllListeners(name);
      stream.on('error', () => undefined).destroy();
    }
  }

  readonly #onConnection = (socket: net.Socket): void => {
    this.accepted.push(socket);
    for (const name of ['end', 'finish', 'timeout'] as const) {
      socket.on(name, () => this.sockets.push(name));
    }
    socket.on('error', ({ code }: NodeJS.ErrnoException) => this.sockets.push(`error ${code}`));
    socket.on('close', () => {
      this.sockets.push('close');
      this.bytesWritten = socket.bytesWritten;
    });
    this.#ends.push(once(socket, 'close').catch(() => undefined));
  };

  readonly #onRequest = (request: http.IncomingMessage, response: http.ServerResponse): void => {
    const told: Told = { response: [], request: [], stream: [], bytesRead: undefined };
    this.told.push(told);
    for (const name of ['aborted', 'error', 'close'] as const) {
      request.on(name, () => told.request.push(name));
    }
    response.on('pipe', (stream: fs.ReadStream) => {
      told.response.push('pipe');
      for (const name of ['open', 'ready', 'end', 'close'] as const) {
        stream.on(name, () => {
          told.stream.push(name);
          if (name === 'end') told.response.push('end of the file');
        });
      }
      stream.on('error', ({ code }: NodeJS.ErrnoException) => told.stream.push(`error ${code}`));
      this.#streams.set(stream, told);
    });
    for (const name of ['unpipe', 'finish', 'counted'] as const) {
      response.on(name, (value?: unknown) =>
        told.response.push(typeof value === 'number' ? `${name} ${value}` : name),
      );
    }
    response.on('error', ({ code }: NodeJS.ErrnoException) => told.response.push(`error ${code}`));
    response.on('close', () => told.response.push('close'));
  };
}

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

/** The bytes of 100 Continue, which has no body. */
function informed(arrived: Buffer): number {
  return arrived.toString('latin1', 0, 13) === 'HTTP/1.1 100 '
    ? arrived.indexOf('\r\n\r\n') + 4
    : 0;
}

function comparable(answers: readonly Answer[]): unknown[] {
  return answers.map(({ status, headers, bytes, sha256 }) => ({ status, headers, bytes, sha256 }));
}

/** Everything that the two flavours have to have in common, by title. */
type Seen = Map<string, unknown>;

interface Asked {
  readonly seen: Seen;
  /** Files that were read for a body that is sent. */
  files: number;
}

async function askEach({ server }: StaticServer, port: number): Promise<Asked> {
  const asked: Asked = { seen: new Map(), files: 0 };
  let tag = '';
  for (const wanted of exchanges) {
    const watch = new Watch(server);
    const arrived = await exchange(port, wordsOf(wanted, tag));
    await watch.over();
    const { methods = ['GET'] } = wanted;
    const before = informed(arrived);
    const answers = answersOf(arrived.subarray(before), methods);
    assert.equal(answers.length, methods.length, wanted.title);
    const etag = answers[0]?.headers.find((line) => line.toLowerCase().startsWith('etag: '));
    if (tag === '' && etag !== undefined) tag = etag.slice(6);
    const { told, sockets } = watch;
    const chunked = answers.some(({ headers }) => headers.includes('Transfer-Encoding: chunked'));
    const bytesWritten = chunked ? undefined : watch.bytesWritten;
    const all = { before, answers: comparable(answers), told, sockets, bytesWritten };
    asked.seen.set(wanted.title, all);
    asked.files += told.filter(
      ({ bytesRead = 0 }, at) => bytesRead > 0 && methods[at] !== 'HEAD',
    ).length;
  }
  return asked;
}

/** Three requests over one connection, each when the answer to the one before is there. */
async function inTurn(port: number): Promise<unknown> {
  const client = await RawClient.open(port, 'reading');
  const ends: string[] = [];
  for (let i = 1; i <= 3; i++) {
    const from = client.all().length;
    client.socket.write('GET /0.bin HTTP/1.1\r\nHost: files\r\n\r\n');
    await until(`answer ${i}`, () => answered(client.all().subarray(from)));
    ends.push(client.all().toString('latin1', from).split('\r\n', 1)[0] as string);
  }
  client.socket.end();
  await once(client.socket, 'close');
  return [ends, comparable(answersOf(client.all(), ['GET', 'GET', 'GET']))];
}

function answered(arrived: Buffer): boolean {
  const [answer] = answersOf(arrived);
  if (answer === undefined) return false;
  const { bytes, headers } = answer;
  if (headers.includes('Transfer-Encoding: chunked')) {
    return arrived.subarray(-7).toString('latin1') === '\r\n0\r\n\r\n';
  }
  return bytes === BYTES;
}

const leavings = ['resets the connection', 'closes it', 'ends its side'] as const;
type Leaving = (typeof leavings)[number];

/** A client that reads nothing, of which the first answer waits and the second is not begun, goes away. */
async function gone({ server }: StaticServer, port: number, how: Leaving): Promise<unknown> {
  const watch = new Watch(server);
  const client = await RawClient.open(port, 'stalled');
  client.socket.write('GET /1.bin HTTP/1.1\r\nHost: files\r\n\r\n'.repeat(2));
  let last = -1;
  await until('the client is full', async () => {
    await new Promise((resolve) => setTimeout(resolve, 40));
    const bytes = watch.accepted[0]?.bytesWritten ?? 0;
    const stands = bytes > 0 && bytes === last;
    last = bytes;
    return stands;
  });
  if (how === 'closes it') client.socket.destroy();
  else if (how === 'resets the connection') client.socket.resetAndDestroy();
  else {
    client.socket.end();
    await once(watch.accepted[0] as net.Socket, 'end');
    client.socket.resume();
  }
  await watch.over();
  const told = watch.told.map(({ response, request, stream }) => ({ response, request, stream }));
  // Who read nothing got a beginning.
  const [answer] = how === 'ends its side' ? answersOf(client.all()) : [];
  const isWhole = answer?.bytes === LARGE_BYTES;
  return { told, sockets: watch.sockets, status: answer?.status, isWhole };
}

async function turns(number: number): Promise<void> {
  for (let i = 0; i < number; i++) await new Promise((resolve) => setImmediate(resolve));
}

async function see(name: string, flavour: Flavour, root: string): Promise<Asked> {
  const made = await (frameworks[name] as (typeof frameworks)[string]).make(root);
  const { server } = made;
  if (flavour === 'upgraded') enableZeroCopy(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  try {
    const asked = await askEach(made, port);
    const kept = new Watch(server);
    asked.seen.set('in turn', await inTurn(port));
    await kept.over();
    asked.seen.set('in turn, as the server saw it', [kept.told, kept.sockets]);
    asked.files += 3;
    for (const how of leavings) {
      asked.seen.set(`the client ${how} in the middle`, await gone(made, port, how));
    }
    return asked;
  } finally {
    server.close();
    server.closeAllConnections();
    await made.close();
  }
}

/** Asks a server of this framework everything, plain and upgraded. Throws: where they differ. */
export async function compare(name: string): Promise<void> {
  await withFiles(async (folder) => {
    folder.file(BYTES);
    folder.file(LARGE_BYTES);
    const plain = await see(name, 'plain', folder.root);
    const before = metrics().files;
    const upgraded = await see(name, 'upgraded', folder.root);
    const after = metrics().files;
    for (const [title, expected] of plain.seen) {
      assert.deepEqual(upgraded.seen.get(title), expected, title);
    }
    const sent = after.sent - before.sent;
    assert.equal(sent, frameworks[name]?.copies ? 0 : plain.files, 'files by the kernel');
  });
}

export interface Compared {
  readonly framework: string;
  readonly failure?: string;
}

async function main(): Promise<void> {
  for (const framework of Object.keys(frameworks)) {
    try {
      await compare(framework);
      print({ framework } satisfies Compared);
    } catch (error) {
      const failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
      print({ framework, failure } satisfies Compared);
    }
  }
}

if (require.main === module) void main();
