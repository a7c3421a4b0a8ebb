// Clients that upload, each upgraded by one line, or by nothing in the program. Writes the hashes that the
// receiver answered, those of what was sent, and what went zero-copy; ends by itself.
import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as undici from 'undici';
import { connect, enableZeroCopy, metrics, type ZeroCopyOptions } from '../../lib/index';
import { OVERWRITTEN } from '../../scripts/pattern';
import { argument, print } from '../helpers/program-side';
import { until } from '../../scripts/until';
import { BODY_BYTES, content, UPLOADS } from '../integration/content';

export interface UploaderArgument {
  readonly client: keyof typeof clients;
  readonly host: string;
  readonly port: number;
  readonly rawPort: number;
  /** Of the upgrade; null: the program does nothing for it. */
  readonly options: ZeroCopyOptions | null;
  /** For uploads that come from a file. */
  readonly file: string;
}

export interface Uploaded {
  /** What the receiver has got of each upload. */
  readonly hashes: readonly string[];
  /** Whether the upload that the receiver breaks off failed. */
  readonly brokenOff: 'failed' | 'succeeded' | 'not tried';
  readonly zeroCopyBytes: number;
  readonly zeroCopySends: number;
  readonly kernelCopiedSends: number;
}

const given = argument<UploaderArgument>();
const { options } = given;
const origin = `http://${given.host}:${given.port}`;

/** An upload to `path`: what the receiver answered. */
type Upload = (path: string, stream: number) => Promise<string>;

// The channel tells of the built-in fetch() as well, which is undici.
function upgradeEveryUndici(): void {
  if (options === null) return;
  subscribe('undici:client:connected', (message) => {
    enableZeroCopy((message as { socket: net.Socket }).socket, options);
  });
}

// The other way, for one dispatcher.
function connector(): undici.buildConnector.connector {
  const connectPlain = undici.buildConnector({});
  if (options === null) return connectPlain;
  return (target, callback) =>
    connectPlain(target, (...result) => {
      if (result[1] !== null) enableZeroCopy(result[1], options);
      callback(...result);
    });
}

async function withDispatcher(
  dispatcher: undici.Dispatcher,
  path: string,
  body: Buffer | Readable,
): Promise<string> {
  const answer = await dispatcher.request({ origin, path, method: 'POST', body });
  return answer.body.text();
}

function agentUpload(): Upload {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  if (options !== null) {
    agent.createConnection = (target) =>
      connect({ ...(target as net.NetConnectOpts), zeroCopy: options });
  }
  return async (path, stream) => {
    const request = http.request({
      ...{ host: given.host, port: given.port, path, agent, method: 'POST' },
      headers: { 'content-length': BODY_BYTES },
    });
    const answered = once(request, 'response') as Promise<[http.IncomingMessage]>;
    const body = content(stream);
    const released = new Promise<void>((resolve) => {
      request.write(body, () => {
        body.fill(OVERWRITTEN);
        resolve();
      });
    });
    request.end();
    const [response] = await answered;
    const parts = await response.toArray();
    await released;
    return Buffer.concat(parts as Buffer[]).toString();
  };
}

async function upload(socket: net.Socket): Promise<string> {
  const answer = socket.toArray();
  await pipeline(fs.createReadStream(given.file), socket);
  return Buffer.concat((await answer) as Buffer[]).toString();
}

const clients = {
  'undici Client': (): Upload => {
    const client = new undici.Client(origin, { connect: connector() });
    return (path, stream) => withDispatcher(client, path, content(stream));
  },
  'undici Agent': (): Upload => {
    const agent = new undici.Agent({ connect: connector() });
    return (path, stream) => withDispatcher(agent, path, content(stream));
  },
  'undici Agent, from a stream': (): Upload => {
    const agent = new undici.Agent({ connect: connector() });
    return (path) => withDispatcher(agent, path, fs.createReadStream(given.file));
  },
  'undici fetch': (): Upload => {
    upgradeEveryUndici();
    return async (path, stream) => {
      const body = content(stream);
      const answer = undici.fetch(origin + path, { method: 'POST', body });
      // fetch() has taken a copy of it by now, as its standard says.
      body.fill(OVERWRITTEN);
      return (await answer).text();
    };
  },
  'the built-in fetch': (): Upload => {
    upgradeEveryUndici();
    return async (path, stream) => {
      const body = content(stream);
      const answer = fetch(origin + path, { method: 'POST', body });
      body.fill(OVERWRITTEN);
      return (await answer).text();
    };
  },
  'http.Agent': agentUpload,
  'stream.pipeline': (): Upload => () => {
    const { host, rawPort: port } = given;
    const target = { host, port, allowHalfOpen: true };
    return upload(
      options === null ? net.connect(target) : connect({ ...target, zeroCopy: options }),
    );
  },
};

async function main(): Promise<void> {
  const send = clients[given.client]();
  const hashes: string[] = [];
  for (let i = 0; i < UPLOADS - 1; i++) hashes.push(await send('/', i));
  let brokenOff: Uploaded['brokenOff'] = 'not tried';
  if (given.client !== 'stream.pipeline') {
    brokenOff = await send('/leave', UPLOADS).then(
      () => 'succeeded',
      () => 'failed',
    );
  }
  hashes.push(await send('/', UPLOADS - 1));
  await until('all memory is released', () => metrics().pendingBytes === 0);
  const { totals } = metrics();
  const { zeroCopySends, kernelCopiedSends } = totals;
  // A file that is piped goes by sendfile(2).
  const zeroCopyBytes = totals.zeroCopyBytes + totals.fileBytes;
  print({ hashes, brokenOff, zeroCopyBytes, zeroCopySends, kernelCopiedSends } satisfies Uploaded);
  process.exit(); // some clients keep their connections
}

void main();
