// What the http scenarios share: servers in both flavours, clients that stall, a log of events. Needs
// no test runner, so that the scenarios also run under other versions of Node.
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { enableZeroCopy, isZeroCopy, type ZeroCopyOptions } from '../../lib/index';

/** One thing that has to hold of an upgraded http server. */
export interface Scenario {
  readonly title: string;
  readonly run: () => Promise<void>;
}

/** A server as Node made it, or upgraded by one line. */
export type Flavour = 'plain' | 'upgraded';

/** Zero copy also where the kernel reports copies, as it does on loopback. */
export const FORCED: ZeroCopyOptions = { engine: 'msg_zerocopy', threshold: 64 * 1024 };

export interface Served {
  readonly server: http.Server;
  readonly port: number;
  /** Connections, in the order in which they were accepted. */
  readonly accepted: readonly net.Socket[];
}

/** Runs `body` with a server that listens on loopback, and leaves nothing of it. */
export async function withServer(
  flavour: Flavour,
  listener: http.RequestListener,
  body: (served: Served) => Promise<void>,
  options: ZeroCopyOptions = FORCED,
): Promise<void> {
  const server = http.createServer(listener);
  if (flavour === 'upgraded') enableZeroCopy(server, options);
  const accepted: net.Socket[] = [];
  server.on('connection', (socket: net.Socket) => accepted.push(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await body({ server, port: portOf(server), accepted });
  } finally {
    server.close();
    server.closeAllConnections();
    for (const socket of accepted) socket.destroy();
  }
}

export function portOf(server: net.Server): number {
  return (server.address() as net.AddressInfo).port;
}

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Reads a response to its end. */
export async function readAnswer(response: http.IncomingMessage): Promise<Answer> {
  const parts: Buffer[] = [];
  response.on('data', (part: Buffer) => parts.push(part));
  await once(response, 'end');
  const { statusCode: status = 0, headers } = response;
  return { status, headers, body: Buffer.concat(parts) };
}

export async function ask(options: http.RequestOptions, body?: Buffer): Promise<Answer> {
  const request = http.request({ host: '127.0.0.1', ...options });
  request.end(body);
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  return readAnswer(response);
}

/** A connected plain socket that gathers what comes, once it reads. */
export class RawClient {
  readonly #parts: Buffer[] = [];
  bytes = 0;
  /** Whether the server ended the connection. */
  ended = false;

  private constructor(readonly socket: net.Socket) {
    socket.on('data', (part: Buffer) => {
      this.#parts.push(part);
      this.bytes += part.length;
    });
    socket.once('end', () => (this.ended = true));
    socket.on('error', () => undefined);
  }

  /** @param reading whether it reads from the start, or not before `socket.resume()` */
  static async open(port: number, reading: 'reading' | 'stalled'): Promise<RawClient> {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    const client = new RawClient(socket);
    if (reading === 'stalled') socket.pause();
    await once(socket, 'connect');
    return client;
  }

  all(): Buffer {
    return Buffer.concat(this.#parts);
  }

  /** Whether the last read ended with these bytes. */
  endsWith(end: string | Buffer): boolean {
    const last = this.#parts.at(-1) ?? Buffer.alloc(0);
    return last.subarray(-end.length).equals(Buffer.from(end as string));
  }
}

/** What a response looks like on the wire. Chunked bodies are taken apart. */
export function parseResponses(wire: Buffer): { head: string; body: Buffer }[] {
  const responses: { head: string; body: Buffer }[] = [];
  let at = 0;
  while (at < wire.length) {
    const end = wire.indexOf('\r\n\r\n', at);
    if (end < 0) throw new Error('a head without an end');
    const head = wire.toString('latin1', at, end);
    at = end + 4;
    const length = /content-length: (\d+)/i.exec(head)?.[1];
    if (length !== undefined) {
      responses.push({ head, body: wire.subarray(at, at + Number(length)) });
      at += Number(length);
      continue;
    }
    const parts: Buffer[] = [];
    for (;;) {
      const line = wire.indexOf('\r\n', at);
      const size = parseInt(wire.toString('latin1', at, line), 16);
      if (!(size >= 0)) throw new Error(`no size of a chunk at ${at}`);
      parts.push(wire.subarray(line + 2, line + 2 + size));
      at = line + 2 + size + 2;
      if (size === 0) break;
    }
    responses.push({ head, body: Buffer.concat(parts) });
  }
  return responses;
}

/** Zero-copy sends of a server's connections so far. */
export function zeroCopySends(sockets: readonly net.Socket[]): number {
  let sends = 0;
  for (const socket of sockets)
    if (isZeroCopy(socket)) sends += socket.zeroCopy.stats.zeroCopySends;
  return sends;
}

/** Lets the event loop turn: what would happen at once has happened then. */
export async function someTurns(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}
