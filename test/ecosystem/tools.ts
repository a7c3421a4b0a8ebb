// The installed package under tools that change what a program is made of, or who runs it: bundlers, test
// runners, process managers, options of Node. They are installed from npm's registry, so that this is no part of
// `npm test`: `npm run test:ecosystem`. docs/ecosystem.md has the table.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { platformPackage } from '../../lib/native/loader';
import { type AppReport, runApp, writeApp } from '../helpers/installed-app';
import { installProject, makeTarballs, ownPlatform, type Tarballs } from '../helpers/tarballs';

const TOOLS = [
  'webpack@5.113.0',
  'webpack-cli@7.3.1',
  'rollup@4.68.8',
  '@rollup/plugin-commonjs@29.0.3',
  '@rollup/plugin-json@6.1.0',
  '@rollup/plugin-node-resolve@16.0.3',
  'jest@30.5.2',
  'vitest@4.1.12',
  'pm2@7.0.4',
  'dd-trace@5',
  'elastic-apm-node@4.18.0',
  // What Electron's builders make archives with, and a reader of these for Node.
  '@electron/asar@3.4.1',
  'asar-node@3.1.1',
];

/** Tracers that patch Node: the module that starts one, its settings, and whether it traces a request. */
const TRACERS = {
  'dd-trace': {
    start: 'dd-trace/init',
    env: {
      DD_TRACE_AGENT_URL: 'http://127.0.0.1:9',
      DD_INSTRUMENTATION_TELEMETRY_ENABLED: 'false',
    },
    traces: "require('dd-trace').scope().active() !== null",
  },
  'elastic-apm-node': {
    start: 'elastic-apm-node/start',
    env: { ELASTIC_APM_DISABLE_SEND: 'true', ELASTIC_APM_LOG_LEVEL: 'off' },
    traces: "require('elastic-apm-node').currentTransaction !== null",
  },
} as const;

// A server and its clients: an answer of http to a body, and what a bare socket wrote.
const TRACED = `
const http = require('node:http'), net = require('node:net'), { once } = require('node:events');
const { metrics } = require('msg-zerocopy');
const bodyOf = (value) => Buffer.alloc(1024 * 1024, value);
const listening = async (server) => {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { port: server.address().port, host: '127.0.0.1' };
};
const traced = [];
const echo = http.createServer(async (request, response) => {
  traced.push(TRACES);
  response.end(Buffer.concat(await request.toArray()));
});
const sink = net.createServer();
(async () => {
  const [to, other] = [await listening(echo), await listening(sink)];
  const whole = [];
  for (const value of ['first', 'second']) {
    const request = http.request({ ...to, method: 'POST', agent: new http.Agent() });
    request.end(bodyOf(value));
    const [response] = await once(request, 'response');
    whole.push(Buffer.concat(await response.toArray()).equals(bodyOf(value)));
  }
  const accepted = once(sink, 'connection');
  net.connect(other).end(bodyOf('third'));
  const [peer] = await accepted;
  whole.push(Buffer.concat(await peer.toArray()).equals(bodyOf('third')));
  console.log(JSON.stringify({ whole, traced, zeroCopyBytes: metrics().totals.zeroCopyBytes }));
  process.exit();
})();
`;

const LOADED: AppReport = { addon: 'yes', reason: '', diagnosed: true, copied: false };

// Sends to itself and compares: the same in every test runner, with what it has for `it`.
const EXCHANGE = `
async function exchange() {
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const socket = zc.connect({ port: server.address().port, host: '127.0.0.1',
    zeroCopy: { engine: 'msg_zerocopy', threshold: 1 } });
  const [peer] = await accepted;
  const body = Buffer.alloc(1024 * 1024, 'some bytes');
  const received = peer.toArray();
  const report = await socket.send(body);
  socket.end();
  const whole = Buffer.concat(await received).equals(Buffer.alloc(1024 * 1024, 'some bytes'));
  peer.destroy();
  server.close();
  // By the engine: over loopback the kernel copies what it was given to send without a copy.
  if (!whole || report.zeroCopyBytes + report.kernelCopiedBytes !== body.length)
    throw new Error(JSON.stringify({ whole, report, addon: zc.capabilities().addon }));
}
`;
const BY_REQUIRE = `
const zc = require('msg-zerocopy'), net = require('node:net'), { once } = require('node:events');${EXCHANGE}`;
const BY_IMPORT = `
import * as zc from 'msg-zerocopy'; import net from 'node:net'; import { once } from 'node:events';${EXCHANGE}`;

const REQUIRE =
  "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";

const ROLLUP_CONFIG = `
import commonjs from '@rollup/plugin-commonjs';
import json from '@rollup/plugin-json';
import resolve from '@rollup/plugin-node-resolve';
const external = process.env.EXTERNAL ? ['msg-zerocopy', /^node:/] : [/^node:/];
export default { external, plugins: [resolve({ preferBuiltins: true }), commonjs(), json()] };
`;

describe('the package under other tools', function () {
  this.timeout(300_000);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-ecosystem-'));
  const project = path.join(folder, 'project');
  const tool = (...file: readonly string[]): string => path.join(project, 'node_modules', ...file);

  let tarballs: Tarballs;

  /** A project with nothing but the package. */
  function installAlone(where: string): void {
    const { main, platform, dependencies } = tarballs;
    installProject(where, [main, platform, ...dependencies], ['--ignore-scripts']);
    writeApp(where);
  }

  before(() => {
    tarballs = makeTarballs(folder);
    installAlone(project);
    run(['npm', 'install', '--no-save', '--no-audit', '--no-fund', '--silent', ...TOOLS]);
    writeFileSync(path.join(project, 'rollup.config.mjs'), ROLLUP_CONFIG);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  function run(argv: readonly string[], env: Readonly<Record<string, string>> = {}): string {
    const [file = '', ...rest] = argv;
    const { status, stdout, stderr } = spawnSync(file, rest, {
      ...{ cwd: project, encoding: 'utf8', env: { ...process.env, ...env } },
    });
    assert.equal(status, 0, `${argv.join(' ')}: ${stdout}${stderr}`);
    return `${stdout}${stderr}`;
  }

  const node = (...argv: readonly string[]): readonly string[] => [process.execPath, ...argv];

  /** Runs a bundle where nothing is installed. */
  function runAlone(bundle: string): Promise<AppReport> {
    const alone = path.join(folder, 'alone');
    mkdirSync(alone, { recursive: true });
    cpSync(bundle, path.join(alone, path.basename(bundle)));
    return runApp(node(path.join(alone, path.basename(bundle))));
  }

  function assertCopies({ addon, copied, reason }: AppReport): void {
    assert.deepEqual({ addon, copied }, { addon: 'no', copied: true });
    assert.match(reason, /remedy: .*external.*MSG_ZEROCOPY_ADDON/s);
  }

  // --- bundlers -----------------------------------------------------------------------------------

  type How = 'external' | 'beside' | 'alone';

  /** Declares the tests of one bundler and format. @param bundle makes one whose package is external, or else part of it */
  function declareBundler(title: string, bundle: (how: How) => string): void {
    it(`${title}: loads its binary where the package is external`, async () => {
      const file = bundle('external');
      assert.match(readFileSync(file, 'utf8'), /(require\(|from ?)["']msg-zerocopy["']/);
      assert.deepEqual(await runApp(node(file)), LOADED);
    });

    it(`${title}: loads its binary where the package is bundled, and installed beside the bundle`, async () => {
      const file = bundle('beside');
      assert.doesNotMatch(readFileSync(file, 'utf8'), /(require\(|from ?)["']msg-zerocopy["']/);
      assert.deepEqual(await runApp(node(file)), LOADED);
    });

    it(`${title}: copies and gives the reason when the package is bundled and not installed`, async () => {
      assertCopies(await runAlone(bundle('alone')));
    });
  }

  for (const { format, entry, extension, type, flags } of [
    { format: 'cjs', entry: './app.js', extension: 'cjs', type: 'commonjs', flags: [] },
    {
      ...{ format: 'es', entry: './app.mjs', extension: 'mjs', type: 'module' },
      flags: ['--output-module', '--output-chunk-format', 'module'],
    },
  ]) {
    declareBundler(`webpack, ${format}`, (how) => {
      const [out, file] = [`webpack-${how}`, `app.${extension}`];
      const argv = ['--mode', 'production', '--target', 'node20', '--entry', entry, ...flags];
      if (how === 'external') argv.push('--externals', 'msg-zerocopy', '--externals-type', type);
      run(node(tool('webpack-cli/bin/cli.js'), ...argv, '-o', out, '--output-filename', file));
      return path.join(project, out, file);
    });
  }

  for (const [format, extension] of [
    ['cjs', 'cjs'],
    ['es', 'mjs'],
  ] as const) {
    declareBundler(`rollup, ${format}`, (how) => {
      const out = `rollup-${how}.${extension}`;
      const argv = ['-c', '-i', 'app.mjs', '-f', format, '-o', out, '--silent'];
      // A bundle that is an ES module has no require() to find the binary with, unless it makes itself one.
      if (how === 'beside' && format === 'es') argv.push('--banner', REQUIRE);
      const env = { EXTERNAL: how === 'external' ? 'yes' : '' };
      run(node(tool('rollup/dist/bin/rollup'), ...argv), env);
      return path.join(project, out);
    });
  }

  // --- Electron, whose binary npm's registry does not have ------------------------------------------

  it('asar: the addon is found beside the archive, where builders unpack it', async () => {
    const app = path.join(folder, 'electron-app');
    const archive = path.join(folder, 'app.asar');
    installAlone(app);
    run(node(tool('@electron/asar/bin/asar.js'), 'pack', app, archive, '--unpack', '*.node'));
    rmSync(app, { recursive: true });
    const start = path.join(folder, 'in-archive.cjs');
    const [reader, entry] = [tool('asar-node'), path.join(archive, 'app.js')];
    writeFileSync(
      start,
      `require(${JSON.stringify(reader)}).register(); require(${JSON.stringify(entry)});`,
    );
    assert.deepEqual(await runApp(node(start)), LOADED);
  });

  it('the addon uses nothing of V8: other versions of Electron need no rebuild', () => {
    const binary = tool(platformPackage(ownPlatform()), 'msg_zerocopy.node');
    const symbols = run(['readelf', '--dyn-syms', '--wide', binary]);
    assert.match(symbols, /\bnapi_/);
    assert.doesNotMatch(symbols, /\b_ZNK?(2v8|4node)/);
  });

  // --- test runners -------------------------------------------------------------------------------

  it('jest: zero copy works in a test', () => {
    writeFileSync(path.join(project, 'jest.test.js'), `${BY_REQUIRE}test('sends', exchange);`);
    const argv = ['--testMatch', '**/jest.test.js', '--rootDir', project];
    assert.match(run(node(tool('jest/bin/jest.js'), ...argv)), /1 passed/);
  });

  it('vitest: zero copy works in a test, in threads and in processes', () => {
    const file = path.join(project, 'vitest.test.mjs');
    writeFileSync(file, `${BY_IMPORT}import { test } from 'vitest';test('sends', exchange);`);
    for (const pool of ['threads', 'forks']) {
      const said = run(node(tool('vitest/vitest.mjs'), 'run', 'vitest.test.mjs', '--pool', pool));
      assert.match(said, /1 passed/);
    }
  });

  it('node --test: zero copy works in a test', () => {
    const file = path.join(project, 'node-test.mjs');
    writeFileSync(file, `${BY_IMPORT}import { test } from 'node:test';test('sends', exchange);`);
    assert.match(run(node('--test', '--test-reporter', 'tap', file)), /^# pass 1$/m);
  });

  it('node --watch: zero copy works in the watched program', async () => {
    const file = path.join(project, 'watched.mjs');
    writeFileSync(file, `${BY_IMPORT}await exchange();console.log('exchanged');`);
    const child = spawn(process.execPath, ['--watch', file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'close');
    try {
      for await (const line of createInterface({ input: child.stdout })) {
        if (line === 'exchanged') return;
        assert.doesNotMatch(line, /Failed running/);
      }
      assert.fail('it ended');
    } finally {
      child.kill();
      await ended;
    }
  });

  // --- tracers ------------------------------------------------------------------------------------

  for (const [name, { start, env, traces }] of Object.entries(TRACERS)) {
    const orders = {
      first: ['--require', start, '--require', 'msg-zerocopy/register'],
      last: ['--require', 'msg-zerocopy/register', '--require', start],
      'before an --import': ['--require', start, '--import', 'msg-zerocopy/register'],
    };
    for (const [order, flags] of Object.entries(orders)) {
      it(`${name}, loaded ${order}: requests are traced, sent without copying, and whole`, () => {
        writeFileSync(path.join(project, 'traced.cjs'), TRACED.replace('TRACES', traces));
        const options = { MSG_ZEROCOPY_ENGINE: 'msg_zerocopy', MSG_ZEROCOPY_THRESHOLD: '1' };
        const said = run(node(...flags, 'traced.cjs'), { ...env, ...options });
        const line = said.split('\n').find((each) => each.startsWith('{"whole"')) ?? said;
        const { whole, traced, zeroCopyBytes } = JSON.parse(line) as {
          whole: boolean[];
          traced: boolean[];
          zeroCopyBytes: number;
        };
        assert.deepEqual(
          [whole, traced],
          [
            [true, true, true],
            [true, true],
          ],
        );
        // Two bodies, their answers, and what the bare socket wrote.
        assert.ok(zeroCopyBytes >= 5 * 1024 * 1024, `${zeroCopyBytes} bytes`);
      });
    }
  }

  // --- process managers ---------------------------------------------------------------------------

  for (const mode of ['fork', 'cluster'] as const) {
    it(`pm2-runtime, ${mode}: a server under msg-zerocopy/register answers without copying`, async () => {
      writeFileSync(
        path.join(project, 'server.cjs'),
        `const http = require('node:http'), { metrics } = require('msg-zerocopy');
         const body = Buffer.alloc(1024 * 1024, 'some bytes');
         http.createServer((request, response) => {
           if (request.url === '/sent') return response.end(String(metrics().totals.zeroCopyBytes));
           response.end(body);
         }).listen(0, '127.0.0.1', function () { console.log('port ' + this.address().port); });`,
      );
      const argv = [tool('pm2/bin/pm2-runtime'), 'start', 'server.cjs', '--raw'];
      const child = spawn(process.execPath, [...argv, ...(mode === 'cluster' ? ['-i', '1'] : [])], {
        cwd: project,
        stdio: ['ignore', 'pipe', 'inherit'],
        env: {
          ...process.env,
          PM2_HOME: path.join(folder, `pm2-${mode}`),
          NODE_OPTIONS: '--require msg-zerocopy/register',
          MSG_ZEROCOPY_ENGINE: 'msg_zerocopy',
          MSG_ZEROCOPY_THRESHOLD: '1',
        },
      });
      const ended = once(child, 'close');
      try {
        let port = 0;
        for await (const line of createInterface({ input: child.stdout })) {
          port = Number(/port (\d+)/.exec(line)?.[1] ?? 0);
          if (port !== 0) break;
        }
        const ask = async (url: string): Promise<Buffer> => {
          const [response] = (await once(
            http.get({ port, host: '127.0.0.1', path: url, agent: false }),
            'response',
          )) as [http.IncomingMessage];
          return Buffer.concat((await response.toArray()) as Buffer[]);
        };
        assert.ok((await ask('/')).equals(Buffer.alloc(1024 * 1024, 'some bytes')));
        assert.ok(Number(String(await ask('/sent'))) >= 1024 * 1024);
      } finally {
        child.kill('SIGINT');
        await ended;
      }
    });
  }
});
