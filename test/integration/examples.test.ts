// The programs of examples/, run as their readers would.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fillFrom } from '../../scripts/pattern';
import { type Program, startProgram, stopPrograms } from '../helpers/program';
import { forEachTestNode } from '../helpers/test-nodes';
import { until } from '../../scripts/until';
import type { FileServerArgument, Listening, Said } from '../scenarios/example-pooled-files';

const KIB = 1024;
const MIB = KIB * KIB;
const FILES = { empty: 0, byte: 1, small: 100 * 1000, large: 20 * MIB } as const;
type Name = keyof typeof FILES;
const NAMES = Object.keys(FILES) as Name[];

const AT_A_TIME = 20;

interface Answer {
  readonly status: number;
  readonly length: string | undefined;
  readonly bytes: number;
  readonly sha256: string;
}

/** Like http.request(), but the path goes out as it is given. */
function ask(port: number, target: string, agent: http.Agent, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request({ port, host: '127.0.0.1', path: target, agent, method });
    request.on('error', reject);
    request.on('response', (response) => {
      const hash = createHash('sha256');
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        hash.update(chunk);
        bytes += chunk.length;
      });
      response.on('error', reject);
      response.on('end', () => {
        const { statusCode: status = 0, headers } = response;
        resolve({ status, length: headers['content-length'], bytes, sha256: hash.digest('hex') });
      });
    });
    request.end();
  });
}

const WAYS = [
  { title: 'as it is chosen', options: {}, env: {}, hasSlab: true },
  { title: 'zero-copy by force', options: { engine: 'msg_zerocopy' }, env: {}, hasSlab: true },
  { title: 'copied', options: { engine: 'copy' }, env: {}, hasSlab: true },
  {
    title: 'without the addon',
    options: {},
    env: { MSG_ZEROCOPY_ADDON: 'off', MSG_ZEROCOPY_ENGINE: '' },
    hasSlab: false,
  },
] as const;

describe('examples/pooled-files', () => {
  const hashes = new Map<Name, string>();
  let top = '';
  let folder = '';
  let agent: http.Agent;

  before(() => {
    top = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-files-'));
    folder = path.join(top, 'files');
    mkdirSync(path.join(folder, 'below'), { recursive: true });
    for (const [index, name] of NAMES.entries()) {
      const content = Buffer.allocUnsafe(FILES[name]);
      fillFrom(content, index + 1, 0);
      hashes.set(name, createHash('sha256').update(content).digest('hex'));
      writeFileSync(path.join(folder, name), content);
    }
    writeFileSync(path.join(folder, 'below', 'a file'), 'x');
    // What must not be served: beside the folder, with its name as a prefix, and by a link.
    mkdirSync(`${folder}-beside`);
    writeFileSync(path.join(`${folder}-beside`, 'secret'), 'secret');
    writeFileSync(path.join(top, 'secret'), 'secret');
    symlinkSync('../secret', path.join(folder, 'link'));
    symlinkSync('small', path.join(folder, 'inner-link'));
    execFileSync('mkfifo', [path.join(folder, 'pipe')]);
  });
  after(() => rmSync(top, { recursive: true }));

  beforeEach(() => {
    agent = new http.Agent({ keepAlive: true, maxSockets: AT_A_TIME });
  });
  afterEach(async () => {
    agent.destroy();
    await stopPrograms();
  });

  interface Started {
    readonly program: Program;
    readonly port: number;
    readonly hasSlab: boolean;
  }

  async function start(given: Partial<FileServerArgument>, env = {}): Promise<Started> {
    const all: FileServerArgument = { folder, poolBytes: 32 * MIB, options: {}, ...given };
    const program = startProgram('example-pooled-files', all, { env });
    return { program, ...(await program.next<Listening>()) };
  }

  function say(program: Program): Promise<Said> {
    program.tell({ say: true });
    return program.next<Said>();
  }

  /** All that was taken is back, and no file is open. */
  async function assertNothingHeld(program: Program): Promise<void> {
    let said = await say(program);
    await until('all memory is back and all files are closed', async () => {
      said = await say(program);
      const { usedBytes, pieces, pinnedPieces, waitingFrees } = said.stats;
      return usedBytes + pieces + pinnedPieces + waitingFrees + said.files === 0;
    });
    assert.equal(said.stats.leakedPieces, 0);
    assert.deepEqual(said.warnings, []);
  }

  for (const { title, options, env, hasSlab } of WAYS) {
    it(`serves files of every size to ${AT_A_TIME} clients at a time, ${title}`, async () => {
      const started = await start({ options }, env);
      const { program, port } = started;
      assert.equal(started.hasSlab, hasSlab);
      for (const name of NAMES) {
        const asked = Array.from({ length: AT_A_TIME }, () => ask(port, `/${name}`, agent));
        for (const answer of await Promise.all(asked)) {
          const bytes = FILES[name];
          const sha256 = hashes.get(name);
          assert.deepEqual(answer, { status: 200, length: String(bytes), bytes, sha256 });
        }
      }
      agent.destroy();
      await assertNothingHeld(program);
      program.tell({ close: true });
      const { code, stderr } = await program.ended();
      assert.equal(code, 0, stderr);
    });

    it(`releases everything when clients disconnect midway, ${title}`, async () => {
      const { program, port } = await start({ options }, env);
      const leave = async (index: number): Promise<void> => {
        const socket = net.connect(port, '127.0.0.1');
        socket.on('error', () => undefined);
        const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
        // Some have asked for more than one file by then, which wait behind the first.
        for (let i = 0; i <= index % 3; i++) socket.write('GET /large HTTP/1.1\r\nHost: a\r\n\r\n');
        let bytes = 0;
        socket.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes < index * 200 * KIB) return;
          if (index % 2 === 0) socket.destroy();
          else socket.resetAndDestroy();
        });
        await closed;
      };
      await Promise.all(Array.from({ length: AT_A_TIME }, (_, index) => leave(index)));
      await assertNothingHeld(program);
      const { status, sha256 } = await ask(port, '/large', agent);
      assert.deepEqual([status, sha256], [200, hashes.get('large')]);
    });
  }

  it("does not read further ahead than a stalled client's buffers hold", async () => {
    const { program, port } = await start({ poolBytes: 64 * MIB });
    const clients: net.Socket[] = [];
    for (let i = 0; i < 2; i++) {
      const socket = net.connect(port, '127.0.0.1').pause();
      await once(socket, 'connect');
      socket.write('GET /large HTTP/1.1\r\nHost: a\r\n\r\n');
      clients.push(socket);
    }
    let last = -1;
    let still = 0;
    await until('memory is in use, and no more at every look', async () => {
      const { usedBytes } = (await say(program)).stats;
      still = usedBytes > 0 && usedBytes === last ? still + 1 : 0;
      last = usedBytes;
      return still === 40;
    });
    assert.ok(last < 2 * FILES.large, `${last} bytes are in memory`);
    for (const socket of clients) socket.destroy();
    await assertNothingHeld(program);
  });

  it('falls back to ordinary memory when a small pool is used up', async () => {
    const { program, port } = await start({ poolBytes: MIB });
    const asked = Array.from({ length: AT_A_TIME }, () => ask(port, '/large', agent));
    for (const { sha256 } of await Promise.all(asked)) assert.equal(sha256, hashes.get('large'));
    assert.ok((await say(program)).stats.fallbackAllocations > 0);
    agent.destroy();
    await assertNothingHeld(program);
  });

  it('answers HEAD, and other methods and names with a status', async () => {
    const { program, port } = await start({});
    const statusOf = async (target: string, method = 'GET'): Promise<number> =>
      (await ask(port, target, agent, method)).status;
    for (const name of NAMES) {
      const { status, length, bytes } = await ask(port, `/${name}`, agent, 'HEAD');
      assert.deepEqual([status, length, bytes], [200, String(FILES[name]), 0]);
    }
    for (const target of ['/below/a%20file', '/small?query', '/below/../small', '/inner-link']) {
      assert.equal(await statusOf(target), 200, target);
    }
    for (const target of ['/', '/below', '/pipe', '/nothing', '/%zz', '/a%00b', '//', '*']) {
      assert.equal(await statusOf(target), 404, target);
    }
    for (const method of ['POST', 'PUT', 'DELETE']) {
      assert.equal(await statusOf('/small', method), 405);
    }
    await assertNothingHeld(program);
  });

  it('serves nothing from outside its folder', async () => {
    const { port } = await start({});
    const targets = [
      '/../secret',
      '/%2e%2e/secret',
      '/..%2fsecret',
      '/below/..%2f..%2fsecret',
      '/..%2ffiles-beside%2fsecret',
      '/link',
      '/../../../../../../etc/passwd',
      '/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd',
      '/%2fetc%2fpasswd',
    ];
    for (const target of targets) {
      const { status, bytes } = await ask(port, target, agent);
      assert.deepEqual([status, bytes], [404, 0], target);
    }
  });
});

// What each example prints: one line for every upgraded end, with bytes that went zero-copy.
const SELF_CHECKING = {
  express: ['express'],
  fastify: ['fastify'],
  websocket: ['ws'],
  undici: ['undici'],
  'http-agent': ['http.Agent'],
  pipeline: ['pipeline'],
  cluster: ['cluster: worker 1', 'cluster: worker 2'],
  'worker-threads': ['worker thread'],
} as const;
const EXAMPLES = path.join(__dirname, '../../examples');

describe('examples/file-server', () => {
  it('serves the files of a folder', async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-files-'));
    const content = Buffer.allocUnsafe(3 * MIB);
    fillFrom(content, 1, 0);
    writeFileSync(path.join(folder, 'file'), content);
    const server = spawn(process.execPath, [path.join(EXAMPLES, 'file-server.js'), folder, '0']);
    try {
      const [line] = (await once(server.stdout, 'data')) as [Buffer];
      const port = Number(/localhost:(\d+)/.exec(line.toString())?.[1]);
      const answer = await fetch(`http://127.0.0.1:${port}/file`);
      assert.ok(Buffer.from(await answer.arrayBuffer()).equals(content));
    } finally {
      server.kill();
      rmSync(folder, { recursive: true });
    }
  });
});

describe('examples that check themselves', () => {
  const run = (node: string, name: string, env = {}): string =>
    execFileSync(node, [path.join(EXAMPLES, `${name}.js`)], {
      encoding: 'utf8',
      env: { ...process.env, ...env },
      timeout: 20_000,
    });

  it('cover every example', () => {
    const files = readdirSync(EXAMPLES).filter((file) => file.endsWith('.js'));
    const known = ['file-server', 'pooled-files', ...Object.keys(SELF_CHECKING)].map(
      (name) => `${name}.js`,
    );
    assert.deepEqual(files.sort(), known.sort());
  });

  for (const [name, starts] of Object.entries(SELF_CHECKING)) {
    it(`${name} says that bytes went zero-copy`, () => {
      const lines = run(process.execPath, name).trimEnd().split('\n');
      assert.equal(lines.length, starts.length, lines.join('\n'));
      for (const [i, start] of starts.entries()) {
        const line = lines[i] as string;
        assert.ok(line.startsWith(start), line);
        assert.ok(Number(/right, (\d+) bytes zero-copy/.exec(line)?.[1]) > 0, line);
      }
    });

    it(`${name} runs without the addon`, () => {
      const env = { MSG_ZEROCOPY_ADDON: 'off', MSG_ZEROCOPY_ENGINE: '' };
      assert.match(run(process.execPath, name, env), /right, 0 bytes zero-copy/);
    });
  }

  forEachTestNode((node, version) => {
    for (const name of Object.keys(SELF_CHECKING)) {
      it(`${name} runs under ${version}`, () => {
        assert.match(run(node, name), /right, [1-9]\d* bytes zero-copy/);
      });
    }
  });
});
