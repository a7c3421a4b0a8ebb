// Scenarios: what surrounds the bodies is as in plain Node, which runs beside: ends, aborts, timeouts,
// closing, clients, http2.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { connect, enableZeroCopy } from '../../lib/index';
import {
  ask,
  type Flavour,
  FORCED,
  portOf,
  RawClient,
  readAnswer,
  type Scenario,
  someTurns,
  withServer,
  zeroCopySends,
} from '../helpers/http-kit';
import { median } from 'simple-statistics';
import { OVERWRITTEN, streamBytes } from '../../scripts/pattern';
import { until } from '../../scripts/until';

const MIB = 1024 * 1024;
const REQUEST = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';

// Milliseconds from the last byte of a response to the FIN behind it. The request before it has taken
// the connection out of the phase in which the kernel acknowledges at once.
async function finDelay(port: number): Promise<number> {
  const client = await RawClient.open(port, 'reading');
  client.socket.write(REQUEST);
  await until('the first response', () => client.bytes > 200_000);
  const from = performance.now();
  client.socket.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  await once(client.socket, 'end');
  return performance.now() - from;
}

async function promptFin(kind: 'in chunks' | 'of a known length'): Promise<void> {
  const times: Record<Flavour, number[]> = { plain: [], upgraded: [] };
  const listener: http.RequestListener = (_request, response) => {
    const body = streamBytes(1, 200_000);
    if (kind === 'in chunks') response.write(body);
    response.end(kind === 'in chunks' ? undefined : body);
  };
  await withServer('plain', listener, (plain) =>
    withServer('upgraded', listener, async (upgraded) => {
      for (let i = 0; i < 25; i++) {
        times.plain.push(await finDelay(plain.port));
        times.upgraded.push(await finDelay(upgraded.port));
      }
    }),
  );
  const [plain, upgraded] = [median(times.plain), median(times.upgraded)];
  // A delayed ACK is 40 ms; both are about a millisecond, where a tenth means nothing.
  assert.ok(upgraded <= 1.1 * plain + 5, `FIN after ${upgraded} ms, in plain Node ${plain} ms`);
}

// --- aborts: the same story on both, or there is a difference to explain -----------------------------

type Abort = 'destroy' | 'reset';
type Phase = 'before the response' | 'amid one large end()' | 'amid writes' | 'behind the response';

const ABORTS: readonly Abort[] = ['destroy', 'reset'];
const PHASES: readonly Phase[] = [
  'before the response',
  'amid one large end()',
  'amid writes',
  'behind the response',
];

function respond(phase: Phase, response: http.ServerResponse): void {
  if (phase === 'before the response') return;
  if (phase === 'behind the response') response.end(streamBytes(2, 100_000));
  if (phase === 'amid one large end()') response.end(streamBytes(2, 32 * MIB));
  if (phase !== 'amid writes') return;
  const chunk = streamBytes(2, MIB);
  const more = (): void => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', more);
  more();
}

async function story(flavour: Flavour, phase: Phase, abort: Abort): Promise<string[]> {
  const log: string[] = [];
  let written = false;
  const listener: http.RequestListener = (request, response) => {
    for (const event of ['aborted', 'end', 'close'])
      request.on(event, () => log.push(`request ${event}`));
    request.on('error', (error: NodeJS.ErrnoException) => log.push(`request error ${error.code}`));
    for (const event of ['finish', 'close'])
      response.on(event, () => log.push(`response ${event}`));
    response.on('error', (error: NodeJS.ErrnoException) =>
      log.push(`response error ${error.code}`),
    );
    request.resume();
    respond(phase, response);
    written = true;
  };
  await withServer(flavour, listener, async ({ port, server, accepted }) => {
    server.on('connection', (socket: net.Socket) => {
      socket.on('error', (error) => log.push(`socket error ${error.message}`));
      socket.on('close', (hadError) => log.push(`socket close ${hadError}`));
    });
    const over = once(server, 'connection');
    const client = await RawClient.open(
      port,
      phase === 'behind the response' ? 'reading' : 'stalled',
    );
    await over;
    client.socket.write(REQUEST);
    await until('the handler ran', () => written);
    if (phase === 'behind the response') {
      await until('the response', () => client.bytes > 100_000 && log.includes('response close'));
    }
    if (phase.startsWith('amid')) {
      const socket = accepted[0] as net.Socket;
      await until('the send buffer is full', () => socket.writableLength > 0);
      await someTurns();
    }
    if (abort === 'destroy') client.socket.destroy();
    else client.socket.resetAndDestroy();
    await until('the socket closes', () => log.some((line) => line.startsWith('socket close')));
    await someTurns();
  });
  return log;
}

async function sameStory(phase: Phase, abort: Abort): Promise<void> {
  const plain = await story('plain', phase, abort);
  const upgraded = await story('upgraded', phase, abort);
  assert.deepEqual(upgraded, plain);
}

// --- closing ----------------------------------------------------------------------------------------

async function closings(flavour: Flavour): Promise<string[]> {
  const log: string[] = [];
  const small = streamBytes(3, 200_000);
  const large = streamBytes(3, 16 * MIB);
  const listener: http.RequestListener = (request, response) => {
    if (request.url !== '/large') return void response.end(small);
    response.writeHead(200, { 'content-length': large.length });
    // Once end() was called Node takes a connection for idle, however much of it is unsent.
    response.write(large);
    response.once('drain', () => response.end());
  };
  await withServer(flavour, listener, async ({ server, port, accepted }) => {
    const agent = new http.Agent({ keepAlive: true });
    assert.ok((await ask({ port, agent })).body.equals(small));
    const stalled = await RawClient.open(port, 'stalled');
    stalled.socket.write('GET /large HTTP/1.1\r\nhost: x\r\n\r\n');
    await until('the stalled response is under way', () => (accepted[1]?.writableLength ?? 0) > 0);
    accepted[0]?.once('close', () => log.push('idle connection closed'));
    accepted[1]?.once('close', () => log.push('busy connection closed'));
    server.closeIdleConnections();
    await until('the idle connection closes', () => log.length > 0);
    server.close(() => log.push('server closed'));
    await someTurns();
    log.push('client reads');
    stalled.socket.resume();
    await until('the response', () => stalled.bytes > large.length);
    assert.ok(stalled.all().subarray(-large.length).equals(large));
    // Idle by now, and nothing but its keep-alive timeout would close it.
    await someTurns();
    server.closeIdleConnections();
    await until('the server closes', () => log.includes('server closed'));
    agent.destroy();
  });
  return log;
}

async function sameClosings(): Promise<void> {
  assert.deepEqual(await closings('upgraded'), await closings('plain'));
}

// --- timeouts ---------------------------------------------------------------------------------------

const TIMEOUT_MS = 300;
const PACE = { bytes: 256 * 1024, everyMs: 10 };

// Reads steadily, and so slowly that a large body takes longer than the timeout.
function readSteadily(client: RawClient): NodeJS.Timeout {
  let due = client.bytes;
  client.socket.on('data', () => {
    if (client.bytes >= due) client.socket.pause();
  });
  return setInterval(() => {
    due = client.bytes + PACE.bytes;
    client.socket.resume();
  }, PACE.everyMs);
}

async function slowReader(flavour: Flavour): Promise<string> {
  let outcome = 'pending';
  const body = streamBytes(4, 24 * MIB);
  const listener: http.RequestListener = (request, response) => {
    request.socket.setTimeout(TIMEOUT_MS, () => {
      if (outcome === 'pending') outcome = 'timeout';
      request.socket.destroy();
    });
    response.once('finish', () => (outcome = 'finish'));
    response.end(body);
  };
  await withServer(flavour, listener, async ({ port }) => {
    const client = await RawClient.open(port, 'stalled');
    client.socket.write(REQUEST);
    const from = performance.now();
    const timer = readSteadily(client);
    await until('finish or timeout', () => outcome !== 'pending', 15_000);
    clearInterval(timer);
    const took = performance.now() - from;
    assert.ok(took > TIMEOUT_MS, `a response of ${took} ms says nothing about timeouts`);
    client.socket.destroy();
  });
  return outcome;
}

async function steadyReader(): Promise<void> {
  assert.equal(await slowReader('plain'), 'finish');
  assert.equal(await slowReader('upgraded'), 'finish');
}

async function stalledReader(flavour: Flavour, set: 'socket' | 'server'): Promise<number> {
  const from = performance.now();
  let after = 0;
  const listener: http.RequestListener = (request, response) => {
    if (set === 'socket') request.socket.setTimeout(TIMEOUT_MS);
    request.socket.once('timeout', () => (after = performance.now() - from));
    response.on('error', () => undefined);
    response.end(streamBytes(5, 16 * MIB));
  };
  await withServer(flavour, listener, async ({ server, port }) => {
    if (set === 'server') server.timeout = TIMEOUT_MS;
    const client = await RawClient.open(port, 'stalled');
    client.socket.write(REQUEST);
    await until('the timeout', () => after > 0, 5_000);
    client.socket.destroy();
  });
  return after;
}

async function timeouts(): Promise<void> {
  for (const set of ['socket', 'server'] as const) {
    for (const flavour of ['plain', 'upgraded'] as const) {
      const after = await stalledReader(flavour, set);
      assert.ok(after >= TIMEOUT_MS - 5, `${flavour}: ${set} timed out after ${after} ms`);
    }
  }
}

// --- clients ----------------------------------------------------------------------------------------

async function upload(): Promise<void> {
  const expected = streamBytes(6, 5 * MIB);
  const received: boolean[] = [];
  const listener: http.RequestListener = (request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.once('end', () => {
      received.push(Buffer.concat(parts).equals(expected));
      response.end('thanks');
    });
  };
  await withServer('plain', listener, async ({ port, accepted }) => {
    const made: net.Socket[] = [];
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    Object.assign(agent, {
      createConnection: (options: net.TcpNetConnectOpts) => {
        const socket = connect({ ...options, zeroCopy: FORCED });
        made.push(socket);
        return socket;
      },
    });
    const released: number[] = [];
    for (let i = 0; i < 3; i++) {
      const request = http.request({ host: '127.0.0.1', port, agent, method: 'POST' });
      for (let at = 0; at < expected.length; at += MIB) {
        const chunk = Buffer.from(expected.subarray(at, at + MIB));
        request.write(chunk, () => {
          chunk.fill(OVERWRITTEN);
          released.push(at);
        });
      }
      request.end();
      const [response] = (await once(request, 'response')) as [http.IncomingMessage];
      assert.equal((await readAnswer(response)).body.toString(), 'thanks');
    }
    assert.deepEqual(received, [true, true, true]);
    await until('the releases', () => released.length === 15);
    assert.deepEqual(released.slice(0, 5), [0, MIB, 2 * MIB, 3 * MIB, 4 * MIB]);
    assert.equal(accepted.length, 1, 'the connection is kept alive');
    assert.ok(zeroCopySends(made) >= 3, 'uploads go zero-copy');
    agent.destroy();
  });
}

async function overHttp2(): Promise<void> {
  const body = streamBytes(7, MIB);
  const server = http2.createServer((_request, response) => void response.end(body));
  enableZeroCopy(server as unknown as net.Server, FORCED);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const session = http2.connect(`http://127.0.0.1:${portOf(server as unknown as net.Server)}`);
  for (let i = 0; i < 5; i++) {
    const stream = session.request({ ':path': '/' });
    const parts: Buffer[] = [];
    stream.on('data', (part: Buffer) => parts.push(part));
    await once(stream, 'end');
    assert.ok(Buffer.concat(parts).equals(body));
  }
  const closed = once(server, 'close');
  session.close();
  server.close();
  await closed;
}

/** Under other versions of Node, too. */
export const behaviours: readonly Scenario[] = [
  ...(['in chunks', 'of a known length'] as const).map((kind) => ({
    title: `FIN behind "Connection: close" comes as in plain Node, body ${kind}`,
    run: () => promptFin(kind),
  })),
  { title: 'closing idle connections and the server works as in plain Node', run: sameClosings },
  { title: 'a steady slow reader causes no timeout', run: steadyReader },
  { title: 'a stalled reader causes the timeout of socket or server', run: timeouts },
  { title: 'an agent’s upgraded connections upload every byte', run: upload },
  { title: 'http2 without TLS is not affected', run: overHttp2 },
  ...PHASES.flatMap((phase) =>
    ABORTS.map((abort) => ({
      title: `a client’s ${abort} ${phase} is reported as in plain Node`,
      run: () => sameStory(phase, abort),
    })),
  ),
];
