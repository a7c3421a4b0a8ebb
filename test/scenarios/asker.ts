// The receiving end: a client of plain Node. Told {port, paths, how}, it asks for the paths and writes what
// arrived for each; or goes away in the middle of an answer and writes {left}.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { parseResponses } from '../helpers/http-kit';
import { argument, print } from '../helpers/program-side';
import { sha256 } from '../integration/content';

export interface AskerArgument {
  readonly host: string;
}

export interface Wanted {
  readonly port: number;
  readonly paths: readonly string[];
  /**
   * each on a connection of its own; one after another on one connection; all at once on one connection;
   * by http2, one after another on one connection; or go away, by FIN or RST, when the first bytes are there.
   */
  readonly how: 'at once' | 'in turn' | 'pipelined' | 'http2' | 'destroy' | 'reset';
}

export interface Answer {
  readonly sha256: string;
}

const { host } = argument<AskerArgument>();
/** So much of an answer is read before the client goes away: it is in full flight then. */
const READ_BYTES = 300_000;

async function hashOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of body) hash.update(chunk);
  return hash.digest('hex');
}

async function ask(port: number, path: string, agent: http.Agent): Promise<Answer> {
  const request = http.get({ host, port, path, agent });
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  return { sha256: await hashOf(response) };
}

async function inTurn({ port, paths }: Wanted): Promise<Answer[]> {
  let connections = 0;
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  agent.createConnection = (options) => {
    connections++;
    return net.connect(options as net.NetConnectOpts);
  };
  const answers: Answer[] = [];
  for (const path of paths) answers.push(await ask(port, path, agent));
  agent.destroy();
  if (connections !== 1) throw new Error(`${connections} connections, although kept alive`);
  return answers;
}

async function atOnce({ port, paths }: Wanted): Promise<Answer[]> {
  const agent = new http.Agent();
  const answers = await Promise.all(paths.map((path) => ask(port, path, agent)));
  agent.destroy();
  return answers;
}

async function pipelined({ port, paths }: Wanted): Promise<Answer[]> {
  const socket = net.connect(port, host);
  for (const [i, path] of paths.entries()) {
    const last = i === paths.length - 1 ? 'connection: close\r\n' : '';
    socket.write(`GET ${path} HTTP/1.1\r\nhost: a\r\n${last}\r\n`);
  }
  const parts: Buffer[] = [];
  for await (const part of socket) parts.push(part as Buffer);
  return parseResponses(Buffer.concat(parts)).map(({ body }) => ({ sha256: sha256(body) }));
}

async function byHttp2({ port, paths }: Wanted): Promise<Answer[]> {
  const session = http2.connect(`http://${host}:${port}`);
  const answers: Answer[] = [];
  // One after another: a session refuses more than it has memory for (maxSessionMemory, 10 MB).
  for (const path of paths) {
    answers.push({ sha256: await hashOf(session.request({ ':path': path })) });
  }
  session.close();
  return answers;
}

async function leave({ port, paths, how }: Wanted): Promise<void> {
  const going = paths.map(async (path) => {
    const socket = net.connect(port, host);
    socket.on('error', () => undefined);
    socket.write(`GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`);
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes < READ_BYTES) return;
      if (how === 'reset') socket.resetAndDestroy();
      else socket.destroy();
    });
    await once(socket, 'close');
    if (bytes < READ_BYTES) throw new Error(`${path} ended after ${bytes} bytes`);
  });
  await Promise.all(going);
  print({ left: going.length });
}

async function main(): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    const wanted = JSON.parse(line) as Wanted;
    if (wanted.how === 'destroy' || wanted.how === 'reset') await leave(wanted);
    else if (wanted.how === 'in turn') print(await inTurn(wanted));
    else if (wanted.how === 'at once') print(await atOnce(wanted));
    else if (wanted.how === 'pipelined') print(await pipelined(wanted));
    else print(await byHttp2(wanted));
  }
}

void main();
