// `--require msg-zerocopy/register` beside what a program does by itself, and what it leaves alone.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { makeIdentity } from '../helpers/identity';
import { forEachTestNode } from '../helpers/test-nodes';

const ROOT = path.resolve(__dirname, '../../..');

interface Ran<T> {
  /** What the program printed, one line of JSON. */
  readonly answer: T;
  readonly stderr: string;
}

interface Surroundings {
  readonly node?: string;
  readonly nodeOptions?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const REGISTER = ['--require', 'msg-zerocopy/register'];

// What every program of this file begins with. Each `gather` compares what a connection brought.
const PRELUDE = `
const net = require('node:net'), http = require('node:http'), { once } = require('node:events');
const { enableZeroCopy, isZeroCopy, metrics } = require('msg-zerocopy');
const body = Buffer.alloc(1024 * 1024, 'some bytes');
const listen = async (server, ...where) => {
  server.listen(...(where.length > 0 ? where : [0, '127.0.0.1']));
  await once(server, 'listening');
  return server.address();
};
const gather = async (socket) => {
  const parts = [];
  for await (const part of socket) parts.push(part);
  return Buffer.concat(parts).equals(body);
};
const print = (answer) => console.log(JSON.stringify(answer));
`;

function run<T>(program: string, surroundings: Surroundings = {}): Ran<T> {
  return runScript(`${PRELUDE}(async () => {${program}})();`, surroundings);
}

function runScript<T>(script: string, { node, nodeOptions = REGISTER, env }: Surroundings): Ran<T> {
  const { status, stdout, stderr } = spawnSync(
    node ?? process.execPath,
    [...nodeOptions, '-e', script],
    {
      ...{ cwd: ROOT, encoding: 'utf8', timeout: 20_000 },
      env: { ...process.env, ...env },
    },
  );
  assert.equal(status, 0, stderr);
  return { answer: JSON.parse(stdout) as T, stderr };
}

/** A server that says whether what it accepted was upgraded, and a client that reads from it. */
const BOTH_ENDS = `
const accepted = [];
const server = net.createServer((socket) => {
  accepted.push(isZeroCopy(socket));
  socket.end(body);
});
const { port } = await listen(server);
const client = net.connect(port, '127.0.0.1');
const whole = await gather(client);
server.close();
print({ accepted, client: isZeroCopy(client), whole });
`;

/** Servers and clients of an ES module, by what it imports before it runs and while it does. */
const ES_MODULE = `
import { createServer, connect, Socket } from 'node:net';
import http, { createServer as createHttpServer } from 'node:http';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { isZeroCopy, metrics } from 'msg-zerocopy';
const body = Buffer.alloc(1024 * 1024, 'some bytes');
const upgraded = [], whole = [];
const listen = async (server) => {
  server.listen(0, '127.0.0.1').on('connection', (socket) => upgraded.push(isZeroCopy(socket)));
  await once(server, 'listening');
  return server.address().port;
};
const answering = createHttpServer((request, response) => response.end(body));
const writing = createServer((socket) => socket.end(body));
const [port, other] = [await listen(answering), await listen(writing)];
for (const get of [http.get, (await import('node:http')).get]) {
  const request = get({ port, host: '127.0.0.1', agent: new http.Agent() });
  const [response] = await once(request, 'response');
  upgraded.push(isZeroCopy(request.socket));
  whole.push((await buffer(response)).equals(body));
}
for (const socket of [connect(other, '127.0.0.1'), new Socket().connect(other, '127.0.0.1')]) {
  upgraded.push(isZeroCopy(socket));
  whole.push((await buffer(socket)).equals(body));
}
answering.close();
writing.close();
console.log(JSON.stringify({ upgraded, whole, zeroCopyBytes: metrics().totals.zeroCopyBytes }));
`;

/** A server that answers with a file and then with memory, and a client that uploads a file. */
const FILES_AND_MEMORY = `
const fs = require('node:fs'), os = require('node:os'), path = require('node:path');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'zc-register-'));
const file = path.join(folder, 'file');
fs.writeFileSync(file, Buffer.alloc(50_000, 'file'));
const gathered = [];
const server = http.createServer(async (request, response) => {
  let bytes = 0;
  for await (const part of request) bytes += part.length;
  if (bytes > 0) gathered.push(bytes);
  if (request.url === '/file') fs.createReadStream(file).pipe(response);
  else response.end(body);
});
const { port } = await listen(server);
const ask = async (path, upload) => {
  const options = { port, host: '127.0.0.1', agent: false, path, method: upload ? 'PUT' : 'GET' };
  const request = http.request(options);
  if (upload) fs.createReadStream(file).pipe(request);
  else request.end();
  const [response] = await once(request, 'response');
  return response;
};
let bytes = 0;
for await (const part of await ask('/file', false)) bytes += part.length;
const socket = net.connect(port, '127.0.0.1');
socket.write('PUT / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\nContent-Length: 50000\\r\\n\\r\\n');
fs.createReadStream(file).pipe(socket, { end: false });
socket.resume();
await once(socket, 'close');
const whole = await gather(await ask('/', false));
server.close();
fs.rmSync(folder, { recursive: true });
const { files, totals } = metrics();
print({ bytes: [bytes, ...gathered], whole, files: files.sent, sends: totals.zeroCopySends > 0 });
`;

interface EsModule {
  readonly upgraded: readonly boolean[];
  readonly whole: readonly boolean[];
  readonly zeroCopyBytes: number;
}

interface BothEnds {
  readonly accepted: readonly boolean[];
  readonly client: boolean;
  readonly whole: boolean;
}

function declare(node: string): void {
  for (const [include, accepted, client] of [
    ['', true, true],
    ['server', true, false],
    ['client', false, true],
  ] as const) {
    it(`upgrades what MSG_ZEROCOPY_INCLUDE='${include}' lists`, () => {
      const { answer, stderr } = run<BothEnds>(BOTH_ENDS, {
        node,
        env: { MSG_ZEROCOPY_INCLUDE: include },
      });
      assert.deepEqual(answer, { accepted: [accepted], client, whole: true });
      assert.equal(stderr, '');
    });
  }

  for (const [include, files, sends] of [
    ['', 2, true],
    ['server,client', 0, true],
    ['server,client,files', 2, true],
    ['server,files', 1, true],
    ['client,files', 1, false],
    ['files', 2, false],
  ] as const) {
    it(`sends ${files} of two files, and memory ${sends ? 'without' : 'by'} a copy, where MSG_ZEROCOPY_INCLUDE='${include}'`, () => {
      const { answer } = run<unknown>(FILES_AND_MEMORY, {
        node,
        env: { MSG_ZEROCOPY_INCLUDE: include },
      });
      assert.deepEqual(answer, { bytes: [50_000, 50_000], whole: true, files, sends });
    });
  }

  for (const [variable, value] of [
    ['MSG_ZEROCOPY_INCLUDE', 'sever'],
    ['MSG_ZEROCOPY_ENGINE', 'cpy'],
    ['MSG_ZEROCOPY_THRESHOLD', '64K'],
  ] as const) {
    it(`upgrades nothing and warns once with the remedy, when ${variable} is '${value}'`, () => {
      const { answer, stderr } = run<BothEnds>(BOTH_ENDS, { node, env: { [variable]: value } });
      assert.deepEqual(answer, { accepted: [false], client: false, whole: true });
      assert.equal(stderr.match(/ZC_REGISTER/g)?.length, 1, stderr);
      assert.ok(stderr.includes(`"${variable}" is out of range`), stderr);
      assert.match(stderr, /Nothing is upgraded until you correct or unset this variable/);
    });
  }

  for (const how of ['--import', '--require']) {
    it(`upgrades servers and clients of an ES module, by ${how}`, () => {
      const nodeOptions = [how, 'msg-zerocopy/register', '--input-type=module'];
      const env = { MSG_ZEROCOPY_ENGINE: 'msg_zerocopy', MSG_ZEROCOPY_THRESHOLD: '1' };
      const { answer, stderr } = runScript<EsModule>(ES_MODULE, { node, nodeOptions, env });
      const { upgraded, whole, zeroCopyBytes } = answer;
      assert.deepEqual(upgraded, new Array(8).fill(true));
      assert.deepEqual(whole, new Array(4).fill(true));
      // Four bodies, and the headers of two of them and of their requests.
      assert.ok(zeroCopyBytes >= 4 * 1024 * 1024, `${zeroCopyBytes} bytes`);
      assert.equal(stderr, '');
    });
  }

  it('keeps the options of a server that the program upgrades, before or after it listens', () => {
    const program = `
      const off = { engine: 'copy' };
      const first = enableZeroCopy(http.createServer((request, response) => response.end(body)), off);
      const last = http.createServer((request, response) => response.end(body));
      const ports = [(await listen(first)).port, (await listen(last)).port];
      enableZeroCopy(last, off);
      const reasons = [];
      for (const server of [first, last])
        server.on('connection', (socket) => reasons.push(socket.zeroCopy.reason));
      for (const port of ports) {
        const [response] = await once(http.get({ port, host: '127.0.0.1', agent: false }), 'response');
        reasons.push(await gather(response));
      }
      first.close();
      last.close();
      print({ reasons, listeners: first.listenerCount('connection') });`;
    const { answer } = run<{ reasons: unknown[]; listeners: number }>(program, { node });
    // http's own listener, this package's and the program's.
    assert.deepEqual(answer, { reasons: ['disabled', true, 'disabled', true], listeners: 3 });
  });

  it('upgrades once when it is loaded three times', () => {
    const nodeOptions = [...REGISTER, ...REGISTER, '--import', 'msg-zerocopy/register'];
    const program = `
      const server = net.createServer(() => undefined);
      const before = server.listenerCount('connection');
      await listen(server);
      server.close();
      print(server.listenerCount('connection') - before);`;
    assert.equal(run<number>(program, { node, nodeOptions }).answer, 1);
  });

  it('upgrades later connections of a server that listened before register was loaded', () => {
    const program = `
      const upgraded = [];
      const server = net.createServer((socket) => {
        upgraded.push(isZeroCopy(socket));
        setImmediate(() => {
          upgraded.push(isZeroCopy(socket));
          socket.end(body);
        });
      });
      const { port } = await listen(server);
      require('msg-zerocopy/register');
      const whole = await gather(net.connect(port, '127.0.0.1'));
      server.close();
      print({ upgraded, whole });`;
    const { answer } = run<unknown>(program, { node, nodeOptions: [] });
    assert.deepEqual(answer, { upgraded: [false, true], whole: true });
  });

  it('keeps a reconnecting socket upgraded, and every byte arrives', () => {
    const program = `
      const received = [];
      const server = net.createServer((socket) => void gather(socket).then((whole) => {
        received.push(whole);
        socket.end();
      }));
      server.on('connection', (socket) => (socket.allowHalfOpen = true));
      const { port } = await listen(server);
      const socket = new net.Socket();
      for (let i = 0; i < 3; i++) {
        socket.connect(port, '127.0.0.1');
        socket.end(body);
        socket.resume();
        await once(socket, 'close');
      }
      server.close();
      print({ received, zeroCopyBytes: metrics().totals.zeroCopyBytes, open: metrics().openSockets });`;
    const env = { MSG_ZEROCOPY_ENGINE: 'msg_zerocopy', MSG_ZEROCOPY_THRESHOLD: '1' };
    const { answer } = run<unknown>(program, { node, env });
    const zeroCopyBytes = 3 * 1024 * 1024;
    assert.deepEqual(answer, { received: [true, true, true], zeroCopyBytes, open: 0 });
  });

  it('copies over a Unix-domain socket, and every byte arrives', () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-register-'));
    try {
      const program = `
        const server = net.createServer((socket) => socket.end(body));
        await listen(server, ${JSON.stringify(path.join(folder, 'socket'))});
        const client = net.connect(server.address());
        const whole = await gather(client);
        server.close();
        print({ whole, fallbacks: metrics().fallbacks });`;
      const { answer } = run<unknown>(program, { node });
      assert.deepEqual(answer, { whole: true, fallbacks: { 'not-tcp': 1 } });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('copies where addons are not allowed, and every byte arrives', () => {
    const nodeOptions = ['--no-addons', ...REGISTER];
    const env = { MSG_ZEROCOPY_LOG: '1' };
    const { answer, stderr } = run<BothEnds>(BOTH_ENDS, { node, nodeOptions, env });
    assert.deepEqual(answer, { accepted: [true], client: true, whole: true });
    assert.match(stderr, /everything is copied: .*--no-addons/);
  });

  it('prints with MSG_ZEROCOPY_LOG=1 what it upgrades and, at exit, the result', () => {
    const env = { MSG_ZEROCOPY_LOG: '1', MSG_ZEROCOPY_ENGINE: 'msg_zerocopy' };
    const { stderr } = run<BothEnds>(BOTH_ENDS, { node, env });
    const [first, last, ...more] = stderr.trimEnd().split('\n');
    assert.deepEqual(more, []);
    assert.match(
      String(first),
      /^msg-zerocopy [\d.]+ \(process \d+\): upgrades each server and client with its files, except TLS and http2; engines: .*msg_zerocopy$/,
    );
    assert.match(
      String(last),
      /upgraded 1 server, 0 connections of other servers and 1 client; left alone 0 TLS servers and 0 TLS clients; 1048576 bytes went zero-copy \(\d+ of [1-9]\d* sends copied by the kernel after all\), \d+ were copied/,
    );
  });

  it('warns once of an unknown variable, names the nearest known one, and upgrades', () => {
    const env = { MSG_ZEROCOPY_TRESHOLD: '1', MSG_ZEROCOPY_TEST_NODES: '', MSG_ZEROCOPY_LOG: '0' };
    const program = `
      const { Worker } = require('node:worker_threads');
      await once(new Worker('', { eval: true }), 'exit');
      ${BOTH_ENDS}`;
    const { answer, stderr } = run<BothEnds>(program, { node, env });
    assert.deepEqual(answer, { accepted: [true], client: true, whole: true });
    const [said, ...more] = stderr.match(/The environment variable .*/g) ?? [];
    const unknown = 'The environment variable MSG_ZEROCOPY_TRESHOLD does not exist and is ignored';
    assert.equal(said, `${unknown}. Did you mean MSG_ZEROCOPY_THRESHOLD?`);
    assert.deepEqual(more, []);
  });

  it('leaves TLS alone without a warning, even on a connection that was upgraded before', () => {
    const identity = makeIdentity();
    const program = `
      const tls = require('node:tls'), https = require('node:https');
      const identity = JSON.parse(process.env.IDENTITY);
      const trust = { ca: identity.cert, host: '127.0.0.1', checkServerIdentity: () => undefined };
      const server = https.createServer(identity, (request, response) => response.end(body));
      const { port } = await listen(server);
      const request = https.get({ ...trust, port, agent: false });
      const [response] = await once(request, 'response');
      const whole = [await gather(response)];
      server.close();
      // Either end sends its greeting in plain, and then starts TLS.
      const greeter = net.createServer((plain) => {
        plain.write('hello');
        const secure = new tls.TLSSocket(plain, { ...identity, isServer: true });
        secure.end(body);
      });
      const plain = net.connect((await listen(greeter)).port, '127.0.0.1');
      await once(plain, 'readable');
      const hello = String(plain.read(5));
      whole.push(await gather(tls.connect({ ...trust, socket: plain })));
      greeter.close();
      print({ whole, hello, upgraded: isZeroCopy(plain), tls: isZeroCopy(request.socket) });`;
    const env = { IDENTITY: JSON.stringify(identity), MSG_ZEROCOPY_LOG: '1' };
    const { answer, stderr } = run<unknown>(program, { node, env });
    assert.deepEqual(answer, { whole: [true, true], hello: 'hello', upgraded: true, tls: false });
    assert.doesNotMatch(stderr, /Warning/);
    assert.match(stderr, /left alone 1 TLS server and 1 TLS client/);
  });
}

describe('msg-zerocopy/register', () => {
  declare(process.execPath);

  forEachTestNode((node, version) => describe(`under ${version}`, () => declare(node)));
});
