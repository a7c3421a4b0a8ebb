// What node:http and node:tls promise, where an upgraded server or socket stands among them: it invents
// no responses, leaves streams that are no sockets alone, and is counted as it is asked.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { enableZeroCopy, isZeroCopy, metrics, type ZeroCopyMembers } from '../../lib/index';
import { isolated, type Tools } from '../helpers/isolated';
import { loopback } from '../helpers/loopback';

/** Two ends of a stream in memory; neither has a _writev. */
function streamPair(): [Duplex, Duplex] {
  const ends: Duplex[] = [];
  const end = (other: number): Duplex =>
    new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, callback) => {
        ends[other]?.push(chunk);
        callback();
      },
      final: (callback) => {
        ends[other]?.push(null);
        callback();
      },
    });
  ends.push(end(1), end(0));
  return ends as [Duplex, Duplex];
}

describe('an upgraded http server', () => {
  it('answers over a stream that is not a socket, and leaves it unchanged', async () => {
    const body = Buffer.alloc(100_000, 7);
    const server = http.createServer((_request, response) => {
      response.write(body.subarray(0, 60_000));
      response.end(body.subarray(60_000));
    });
    enableZeroCopy(server, { engine: 'msg_zerocopy', threshold: 1 });
    const [near, far] = streamPair();
    server.emit('connection', near);
    assert.equal(isZeroCopy(near), false);
    const parts: Buffer[] = [];
    far.on('data', (part: Buffer) => parts.push(part));
    far.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    await once(far, 'end');
    const answer = Buffer.concat(parts);
    assert.match(answer.subarray(0, 15).toString('latin1'), /^HTTP\/1\.1 200 OK/);
    assert.equal(answer.filter((byte) => byte === 7).length, body.length);
    near.destroy();
    far.destroy();
  });

  it('announces only responses that it makes', async () => {
    const { answer, stderr } = await isolated(async ({ zc, events, turn }) => {
      const nodeHttp = (await import('node:http')) as typeof import('node:http');
      const { subscribe } = await import('node:diagnostics_channel');
      const { PerformanceObserver } = await import('node:perf_hooks');
      const seen = { created: 0, measured: 0 };
      subscribe('http.server.response.created', () => void seen.created++);
      const observer = new PerformanceObserver((list) => {
        const names = list.getEntries().map(({ name }) => name);
        seen.measured += names.filter((name) => name === 'HttpRequest').length;
      });
      observer.observe({ type: 'http' });
      const server = nodeHttp.createServer((_request, response) => {
        response.write('some', () => undefined);
        response.end('thing');
      });
      zc.enableZeroCopy(server, { engine: 'msg_zerocopy', threshold: 1 });
      server.listen(0, '127.0.0.1');
      await events.once(server, 'listening');
      const { port } = server.address() as import('node:net').AddressInfo;
      const request = nodeHttp.get({ port, host: '127.0.0.1', agent: false });
      const [response] = (await events.once(request, 'response')) as [
        import('node:http').IncomingMessage,
      ];
      response.resume();
      await events.once(response, 'end');
      server.close();
      await events.once(server, 'close');
      await turn();
      // Node 20 has no such channel.
      const hasChannel = Number.parseInt(process.versions.node, 10) >= 22;
      return { created: hasChannel ? seen.created : 1, measured: seen.measured };
    });
    assert.deepEqual(answer, { created: 1, measured: 1 }, stderr);
  });
});

describe('an upgraded http client', () => {
  for (const engine of ['msg_zerocopy', 'io_uring'] as const) {
    it(`returns its connection to the agent once for each request, ${engine}`, async () => {
      const { answer, stderr } = await isolated(postThenGet, { env: { ENGINE: engine } });
      assert.deepEqual(answer, { frees: 2, answers: ['POST', 'GET'], connections: 1 }, stderr);
    });
  }
});

/**
 * One connection for two requests. The server answers the first before it has read it, so that the
 * request and its response end at the same time.
 */
async function postThenGet({ zc, net: nodeNet, events }: Tools): Promise<object> {
  const nodeHttp = (await import('node:http')) as typeof import('node:http');
  const zeroCopy = { engine: process.env['ENGINE'] as 'io_uring', threshold: 1 } as const;
  const sides = { frees: 0, connections: 0 };
  let finishPost: () => void = () => undefined;
  const server = nodeHttp.createServer((request, response) => {
    if (request.method === 'GET') return void response.end('GET');
    response.writeHead(200);
    response.write('POST');
    request.socket.once('pause', () => {
      response.end();
      finishPost();
    });
  });
  server.listen(0, '127.0.0.1');
  await events.once(server, 'listening');
  const { port } = server.address() as import('node:net').AddressInfo;
  const agent = new nodeHttp.Agent({ keepAlive: true, maxSockets: 1 });
  Object.assign(agent, {
    createConnection: (options: import('node:net').TcpNetConnectOpts) => {
      sides.connections++;
      const socket = zc.enableZeroCopy(new nodeNet.Socket(), zeroCopy);
      socket.on('free', () => sides.frees++);
      return socket.connect(options);
    },
  });
  const answers: string[] = [];
  const ended = (request: import('node:http').ClientRequest): Promise<void> =>
    new Promise((resolve, reject) => {
      request.once('error', reject);
      request.once('response', (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.once('end', () => {
          answers.push(Buffer.concat(parts).toString());
          resolve();
        });
      });
    });
  const to = { host: '127.0.0.1', port, agent };
  const post = nodeHttp.request({ ...to, method: 'POST' });
  post.once('response', () => {
    // As much as the server's side takes without being read, and more.
    post.write(Buffer.alloc(post.socket?.writableHighWaterMark ?? 65_536, 'X'));
    finishPost = () => void post.end('something');
  });
  post.write('initial');
  const get = nodeHttp.request(to);
  get.end();
  await Promise.all([ended(post), ended(get)]);
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  agent.destroy();
  server.close();
  return { frees: sides.frees, answers, connections: sides.connections };
}

describe('the counters of sockets', () => {
  const connections = loopback();

  it('include a release as soon as they are read', async () => {
    const { sender } = await connections.pair({ engine: 'msg_zerocopy', threshold: 1 });
    // The far end's buffer has room: loopback delivers, copies and releases within the send.
    sender.write(Buffer.alloc(32 * 1024));
    const deadline = performance.now() + 5_000;
    // No turn of the event loop, which would bring the notification by itself.
    while (sender.zeroCopy.stats.notifications === 0) {
      assert.ok(performance.now() < deadline, 'the release is not seen without a turn of the loop');
    }
    const { pendingBytes, stats } = sender.zeroCopy;
    assert.deepEqual([pendingBytes, stats.notifications, stats.zeroCopySends], [0, 1, 1]);
  });

  it('do not run callbacks when they are read', async () => {
    const { sender } = await connections.pair({ engine: 'msg_zerocopy', threshold: 1 });
    let during = false;
    const called = new Promise<boolean>((resolve) =>
      sender.write(Buffer.alloc(32 * 1024), () => resolve(during)),
    );
    await new Promise((resolve) => process.nextTick(resolve));
    during = true;
    assert.ok(sender.zeroCopy.stats.zeroCopySends > 0);
    assert.ok(metrics().totals.zeroCopySends > 0);
    during = false;
    assert.equal(await called, false);
  });

  it('appear in metrics() for a TLS socket, too, while it is open and afterwards', async () => {
    const server = await connections.silentServer();
    const accepted = once(server, 'connection');
    const { port } = server.address() as net.AddressInfo;
    const raw = connections.own(net.connect(port, '127.0.0.1'));
    await accepted;
    if (raw.connecting) await once(raw, 'connect');
    const before = metrics();
    const secure = connections.own(tls.connect({ socket: raw, rejectUnauthorized: false }));
    secure.on('error', () => undefined);
    const control = (enableZeroCopy(secure) as tls.TLSSocket & ZeroCopyMembers).zeroCopy;
    secure.write(Buffer.alloc(10_000));
    const open = metrics();
    assert.equal(open.openSockets, before.openSockets + 1);
    const counted = open.totals.copiedBytes - before.totals.copiedBytes;
    assert.ok(counted >= 10_000, `${counted} bytes`);
    assert.equal(counted, control.stats.copiedBytes);
    secure.destroy();
    await once(secure, 'close');
    const after = metrics();
    assert.equal(after.openSockets, before.openSockets);
    assert.ok(after.totals.copiedBytes - before.totals.copiedBytes >= 0);
  });
});
