// TLS encrypts into memory of its own: such sockets and servers keep working exactly as they are, with
// one warning for each process and a reason. Plain sockets below and beside TLS stay upgraded.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { connect, enableZeroCopy } from '../../lib/index';
import { type Identity, makeIdentity } from '../helpers/identity';
import { isolated } from '../helpers/isolated';
import { addressOf, gather, loopback, sha256, STALLING_BYTES, take } from '../helpers/loopback';

const LARGE = 1024 * 1024;

describe('TLS', () => {
  const connections = loopback();
  let identity: Identity;

  before(() => {
    identity = makeIdentity();
  });

  for (const kind of ['tls', 'https', 'http2'] as const) {
    it(`servers are left unchanged, with one warning, and still work: ${kind}`, async () => {
      const { answer, stderr } = await isolated(serveSecurely, {
        env: { SECURE: JSON.stringify({ kind, ...identity, bytes: LARGE }) },
      });
      assert.deepEqual(
        answer,
        {
          got: sha256(Buffer.alloc(LARGE, 7)),
          upgraded: [false],
          ownProperties: [],
          codes: ['ZC_TLS'],
          reasons: ['tls', 'tls'],
        },
        stderr,
      );
    });
  }

  it('sockets are left unchanged, with one warning and a reason, and still send', async () => {
    const { answer, stderr } = await isolated(sendSecurely, {
      env: { SECURE: JSON.stringify({ ...identity, bytes: LARGE }) },
    });
    const sum = { bytes: LARGE, zeroCopyBytes: 0, copiedBytes: LARGE };
    assert.deepEqual(
      answer,
      {
        sameWrite: true,
        control: { engine: 'copy', state: 'unsupported', reason: 'tls', pendingBytes: 0 },
        report: { ...sum, kernelCopiedBytes: 0, unknownBytes: 0, engine: 'copy', reason: 'tls' },
        got: sha256(Buffer.alloc(2 * LARGE, 7)),
        codes: ['ZC_TLS'],
      },
      stderr,
    );
  });

  it('over an upgraded socket follows exactly after a large write that waits for space', async () => {
    const server = await connections.silentServer();
    const zeroCopy = { engine: 'msg_zerocopy', threshold: 1 } as const;
    const accepted = once(server, 'connection') as Promise<[net.Socket]>;
    const raw = connections.own(connect({ ...addressOf(server), zeroCopy }));
    await once(raw, 'connect');
    const [far] = await accepted;
    const plain = Buffer.alloc(STALLING_BYTES, 3);
    let released: number | undefined;
    raw.write(plain, () => (released = raw.zeroCopy.pendingBytes));
    assert.ok(raw.writableLength > 0);
    const secure = connections.own(tls.connect({ socket: raw, rejectUnauthorized: false }));
    secure.write(Buffer.alloc(LARGE, 4));
    // The peer reads the plain bytes to the last, and finds a TLS handshake right behind them.
    const before = await take(far, STALLING_BYTES);
    assert.equal(sha256(before.subarray(0, STALLING_BYTES)), sha256(plain));
    if (before.length > STALLING_BYTES) far.unshift(before.subarray(STALLING_BYTES));
    const farSecure = connections.own(
      new tls.TLSSocket(far, { isServer: true, key: identity.key, cert: identity.cert }),
    );
    const arrived = gather(farSecure);
    await once(secure, 'secureConnect');
    secure.end();
    assert.equal((await arrived).sha256, sha256(Buffer.alloc(LARGE, 4)));
    assert.equal(released, 0);
  });

  it('a plain http2 server works as before', async () => {
    const body = Buffer.alloc(LARGE, 9);
    const server = http2.createServer((_request, response) => response.end(body));
    enableZeroCopy(server as unknown as net.Server, { engine: 'msg_zerocopy', threshold: 1 });
    await connections.listen(server as unknown as net.Server);
    const session = http2.connect(`http://127.0.0.1:${addressOf(server as never).port}`);
    try {
      for (let i = 0; i < 3; i++) {
        const request = session.request({ ':path': '/' });
        const parts: Buffer[] = [];
        request.on('data', (part: Buffer) => parts.push(part)).end();
        await once(request, 'end');
        assert.equal(sha256(...parts), sha256(body));
      }
    } finally {
      await new Promise<void>((resolve) => session.close(resolve));
    }
  });
});

type Tools = Parameters<Parameters<typeof isolated>[0]>[0];

/** Enables zero copy twice on a secure server, asks it once, and looks at the accepted socket. */
describe('HTTP/2 without TLS', () => {
  it('servers get one warning, and still work', async () => {
    const { answer, stderr } = await isolated(serveHttp2);
    assert.deepEqual(answer, { codes: ['ZC_HTTP2'], got: 'served' }, stderr);
  });
});

async function serveHttp2({ zc, events, warnings, turn }: Tools): Promise<object> {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const nodeHttp2 = require('node:http2') as typeof import('node:http2');
  const server = nodeHttp2.createServer((_request, response) => response.end('served'));
  zc.enableZeroCopy(server as unknown as import('node:net').Server);
  zc.enableZeroCopy(server as unknown as import('node:net').Server);
  server.listen(0, '127.0.0.1');
  await events.once(server, 'listening');
  const { port } = server.address() as import('node:net').AddressInfo;
  const session = nodeHttp2.connect(`http://127.0.0.1:${port}`);
  const request = session.request({ ':path': '/' });
  let got = '';
  request.setEncoding('utf8').on('data', (part: string) => (got += part));
  await events.once(request, 'end');
  await turn();
  session.destroy();
  server.close();
  return { codes: warnings.map(({ code }) => code), got };
}

async function serveSecurely({ zc, events, warnings, turn }: Tools): Promise<object> {
  /* eslint-disable @typescript-eslint/no-require-imports */
  const nodeTls = require('node:tls') as typeof import('node:tls');
  const https = require('node:https') as typeof import('node:https');
  const nodeHttp2 = require('node:http2') as typeof import('node:http2');
  const crypto = require('node:crypto') as typeof import('node:crypto');
  const diagnostics =
    require('node:diagnostics_channel') as typeof import('node:diagnostics_channel');
  /* eslint-enable @typescript-eslint/no-require-imports */
  const given = JSON.parse(process.env['SECURE'] ?? '{}') as Record<string, string>;
  const body = Buffer.alloc(Number(given['bytes']), 7);
  const reasons: string[] = [];
  diagnostics.subscribe('msg-zerocopy:fallback', (message) => {
    reasons.push((message as { reason: string }).reason);
  });
  const options = { key: given['key'], cert: given['cert'] } as { key: string; cert: string };
  const make = {
    tls: () => nodeTls.createServer(options, (socket) => socket.end(body)),
    https: () => https.createServer(options, (_request, response) => response.end(body)),
    http2: () => nodeHttp2.createSecureServer(options, (_request, response) => response.end(body)),
  }[given['kind'] as 'tls' | 'https' | 'http2'];
  const server = make() as unknown as import('node:net').Server;
  const upgraded: boolean[] = [];
  const same = zc.enableZeroCopy(server) === server;
  zc.enableZeroCopy(server);
  const names = (target: object): PropertyKey[] =>
    Reflect.ownKeys(target).filter((key) => String(key).includes('msg-zerocopy'));
  server.on('connection', (socket: import('node:net').Socket) =>
    upgraded.push(zc.isZeroCopy(socket)),
  );
  server.listen(0, '127.0.0.1');
  await events.once(server, 'listening');
  const { port } = server.address() as import('node:net').AddressInfo;
  const hash = crypto.createHash('sha256');
  const to = { port, host: '127.0.0.1', rejectUnauthorized: false };
  if (given['kind'] === 'tls') {
    const socket = nodeTls.connect(to);
    socket.on('data', (part: Buffer) => hash.update(part));
    await events.once(socket, 'end');
  } else if (given['kind'] === 'https') {
    const [response] = (await events.once(https.get({ ...to, agent: false }), 'response')) as [
      import('node:http').IncomingMessage,
    ];
    response.on('data', (part: Buffer) => hash.update(part));
    await events.once(response, 'end');
  } else {
    const session = nodeHttp2.connect(`https://127.0.0.1:${port}`, to);
    const request = session.request({ ':path': '/' });
    request.on('data', (part: Buffer) => hash.update(part)).end();
    await events.once(request, 'end');
    session.close();
  }
  server.close();
  await turn();
  const codes = warnings.map(({ code }) => code);
  const ownProperties = same ? names(server).map(String) : ['another server'];
  return { got: hash.digest('hex'), upgraded, ownProperties, codes, reasons };
}

/** Enables zero copy three times on the two ends of a TLS connection, then sends. */
async function sendSecurely({ zc, events, warnings, turn }: Tools): Promise<object> {
  /* eslint-disable @typescript-eslint/no-require-imports */
  const nodeTls = require('node:tls') as typeof import('node:tls');
  const crypto = require('node:crypto') as typeof import('node:crypto');
  /* eslint-enable @typescript-eslint/no-require-imports */
  const given = JSON.parse(process.env['SECURE'] ?? '{}') as Record<string, string>;
  const options = { key: given['key'], cert: given['cert'] } as { key: string; cert: string };
  const hash = crypto.createHash('sha256');
  const received = new Promise<string>((resolve) => {
    const server = nodeTls.createServer(options, (socket) => {
      zc.enableZeroCopy(socket);
      socket.on('data', (part: Buffer) => hash.update(part));
      socket.once('end', () => {
        server.close();
        resolve(hash.digest('hex'));
      });
    });
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as import('node:net').AddressInfo;
      client = nodeTls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
      connecting(client);
    });
  });
  let client: import('node:tls').TLSSocket;
  let connecting: (socket: typeof client) => void = () => undefined;
  const socket = await new Promise<typeof client>((resolve) => (connecting = resolve));
  await events.once(socket, 'secureConnect');
  const write = socket.write;
  const enabled = zc.enableZeroCopy(socket, { engine: 'msg_zerocopy', threshold: 1 });
  zc.enableZeroCopy(socket);
  const body = Buffer.alloc(Number(given['bytes']), 7);
  const report = await enabled.send(body);
  const { engine, state, reason, pendingBytes } = enabled.zeroCopy;
  const control = { engine, state, reason, pendingBytes };
  await enabled.zeroCopy.flush();
  const sameWrite = socket.write === write;
  socket.end(body);
  const got = await received;
  await turn();
  return { sameWrite, control, report, got, codes: warnings.map(({ code }) => code) };
}
