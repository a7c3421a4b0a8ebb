// Many clients that ask an upgraded server at once, as often as they can, and compare every body.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { enableZeroCopy, type ZeroCopyOptions } from '../../lib/index';
import { loadNative, type Native } from '../../lib/native/binding';
import { countWrong, fillFrom } from '../../scripts/pattern';
import { seededRandom } from '../../scripts/random';

export const CONNECTIONS = 24;
export const HEAD_END = '\r\n\r\n';

export type Handler = (
  request: http.IncomingMessage,
  response: http.ServerResponse,
  body: Buffer,
) => void;

/** Counts responses that share a call, while a test runs. */
export function countingShared(by: 'queueSend' | 'queueAnswer'): { shared: number } {
  const { native } = loadNative() as { native: Native };
  const counts = { shared: 0 };
  let real: (...args: never[]) => number;
  before(() => {
    real = native[by];
    native[by] = (...args: never[]): number => {
      const queued = real(...args);
      if (queued >= 0) counts.shared++;
      return queued;
    };
  });
  beforeEach(() => (counts.shared = 0));
  after(() => (native[by] = real));
  return counts;
}

/** A client on a plain socket that asks again and again, several requests at a time, and compares the bodies. */
export class Client {
  readonly socket: net.Socket;
  #received = Buffer.alloc(0);
  #asked: number[] = [];
  answers = 0;

  constructor(
    port: number,
    readonly sizes: () => number,
    readonly atOnce: number,
    readonly most: number,
  ) {
    this.socket = net.connect(port, '127.0.0.1');
    this.socket.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#ask();
  }

  #ask(): void {
    let text = '';
    while (this.#asked.length < this.atOnce && this.answers + this.#asked.length < this.most) {
      const size = this.sizes();
      this.#asked.push(size);
      text += `GET /${size} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    }
    if (text.length > 0) this.socket.write(text);
    else if (this.#asked.length === 0) this.socket.end();
  }

  #read(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    for (;;) {
      const size = this.#asked[0];
      const start = this.#received.indexOf(HEAD_END) + HEAD_END.length;
      if (size === undefined || start < HEAD_END.length) break;
      if (this.#received.length < start + size) break;
      assert.match(this.#received.toString('latin1', 0, start), /^HTTP\/1\.1 200 OK\r\n/);
      assert.equal(countWrong(this.#received.subarray(start, start + size), size, 0), 0);
      this.#received = this.#received.subarray(start + size);
      this.#asked.shift();
      this.answers++;
    }
    if (this.#asked.length === 0) this.#ask();
  }

  async ended(): Promise<void> {
    await once(this.socket, 'close');
    assert.equal(this.#received.length, 0);
  }
}

export async function serve(
  handler: Handler,
  options: ZeroCopyOptions = {},
): Promise<{ server: http.Server; port: number }> {
  const server = http.createServer((request, response) => {
    const body = Buffer.alloc(Number(request.url?.slice(1)));
    fillFrom(body, body.length, 0);
    handler(request, response, body);
  });
  enableZeroCopy(server, options);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as net.AddressInfo).port };
}

/** Has many clients ask `each` times; the number of answers. */
export async function askedByMany(
  handler: Handler,
  each: number,
  {
    atOnce = 1,
    smallest = 0,
    largest = 3_000,
    seed = 1,
    connections = CONNECTIONS,
    options = {} as ZeroCopyOptions,
  } = {},
): Promise<number> {
  const { server, port } = await serve(handler, options);
  const random = seededRandom(seed);
  const sizes = (): number => smallest + Math.floor(random() * (largest - smallest));
  const clients = Array.from({ length: connections }, () => new Client(port, sizes, atOnce, each));
  await Promise.all(clients.map((client) => client.ended()));
  server.close();
  return clients.reduce((answers, client) => answers + client.answers, 0);
}
