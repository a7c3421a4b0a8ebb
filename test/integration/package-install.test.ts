// The tarballs as a project has them: installed without the network, used by require and by import, with
// the binary of its platform and without.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { platformPackage } from '../../lib/native/loader';
import { VERSION } from '../../lib/version';
import { type Place } from '../../scripts/place';
import { describePlaces, loopback } from '../helpers/suites';
import { startProgram, stopPrograms } from '../helpers/program';
import {
  installProject,
  makeTarballs,
  ownPlatform,
  ROOT,
  type Tarballs,
} from '../helpers/tarballs';
import { forEachTestNode } from '../helpers/test-nodes';
import type { PackageSenderArgument, PackageSenderReport } from '../scenarios/package-sender';

const WRITES = 40;
const WRITE_BYTES = 128 * 1024;
const BYTES = WRITES * WRITE_BYTES;
const MINUTE_MS = 60_000;

interface Run {
  readonly project: string;
  readonly by?: 'require' | 'import';
  readonly place?: Place;
  readonly node?: string;
  readonly env?: Readonly<Record<string, string>>;
}

let streams = 0;

/** Sends a keystream from the project to a plain Node, and checks every byte there. */
async function send(run: Run): Promise<PackageSenderReport> {
  const { project, by = 'require', place = loopback, node = process.execPath, env = {} } = run;
  const host = place.address('receiver');
  const stream = ++streams;
  const receiver = startProgram('package-receiver', { host, stream }, { place, side: 'receiver' });
  const { port } = await receiver.next<{ port: number }>();
  const argument: PackageSenderArgument = {
    project,
    by,
    host,
    port,
    stream,
    writes: WRITES,
    writeBytes: WRITE_BYTES,
  };
  const options = { place, side: 'sender', node, env: { MSG_ZEROCOPY_ADDON: '', ...env } } as const;
  const sender = startProgram('package-sender', argument, options);
  const report = await sender.next<PackageSenderReport>();
  const arrived = await receiver.next<{ bytes: number; wrong: number }>();
  assert.deepEqual(arrived, { bytes: BYTES, wrong: 0 });
  const { code, stderr } = await sender.ended();
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  await receiver.ended();
  assert.equal(report.released, WRITES);
  return report;
}

function assertNative(report: PackageSenderReport): void {
  assert.equal(report.addon, 'yes', report.reason);
  assert.equal(report.engine, 'msg_zerocopy');
  assert.equal(report.zeroCopyBytes, BYTES);
  assert.equal(report.copiedBytes, 0);
  assert.ok(report.zeroCopySends > 0);
  assert.equal(report.notifications, report.zeroCopySends);
}

function assertCopied(report: PackageSenderReport, reason: string): void {
  const { addon, engine, zeroCopySends, copiedBytes } = report;
  assert.deepEqual(
    { addon, engine, zeroCopySends, copiedBytes, reason: report.reason },
    { addon: 'no', engine: 'copy', zeroCopySends: 0, copiedBytes: BYTES, reason },
  );
}

function msgZerocopy(project: string, argv: readonly string[], env: NodeJS.ProcessEnv = {}) {
  return spawnSync('npx', ['--offline', 'msg-zerocopy', ...argv], {
    cwd: project,
    encoding: 'utf8',
    env: { ...process.env, MSG_ZEROCOPY_ADDON: '', JOBS: 'max', ...env },
  });
}

const folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-install-'));
let tarballs: Tarballs;

before(function () {
  this.timeout(2 * MINUTE_MS);
  tarballs = makeTarballs(folder);
});
after(() => rmSync(folder, { recursive: true, force: true }));
afterEach(stopPrograms);

describe('a project with the package installed', function () {
  this.timeout(2 * MINUTE_MS);
  const project = path.join(folder, 'whole');

  before(() => {
    const { main, platform, dependencies } = tarballs;
    installProject(project, [main, platform, ...dependencies], ['--ignore-scripts']);
  });

  it("has its platform's binary and no compiled one", () => {
    const modules = path.join(project, 'node_modules');
    assert.ok(existsSync(path.join(modules, platformPackage(ownPlatform()), 'msg_zerocopy.node')));
    assert.ok(!existsSync(path.join(modules, 'msg-zerocopy/build')));
  });

  describePlaces('sends without copying', (getPlace) => {
    for (const by of ['require', 'import'] as const) {
      it(`by ${by}`, async () => {
        const place = getPlace();
        const report = await send({ project, by, place });
        assertNative(report);
        if (place !== loopback) assert.equal(report.kernelCopiedSends, 0);
      });
    }
  });

  describe('under other versions of Node', () => {
    forEachTestNode((node, version) => {
      it(`the same binary: ${version}`, async () => {
        assertNative(await send({ project, node }));
        assertNative(await send({ project, node, by: 'import' }));
      });
    });
  });

  it('does not use a binary of another version', async () => {
    const file = path.join(project, 'node_modules/msg-zerocopy/dist/lib/version.js');
    const text = readFileSync(file, 'utf8');
    try {
      writeFileSync(file, text.replace(`'${VERSION}'`, "'9.9.9'"));
      const name = platformPackage(ownPlatform());
      assertCopied(
        await send({ project }),
        `addon-unavailable: local build: none; ${name}: refused, its version is ${VERSION}, not ` +
          `9.9.9; remedy: npm install ${name}@9.9.9, or compile it: npx msg-zerocopy build`,
      );
    } finally {
      writeFileSync(file, text);
    }
  });

  it('has types for every kind of consumer', () => {
    const use = `
const socket: ZeroCopySocket = connect({ port: 1, zeroCopy: { threshold: 1 } });
export const report: Promise<SendReport> = socket.send(Buffer.alloc(1));
`;
    const named = "import { connect, ZeroCopySocket, type SendReport } from 'msg-zerocopy';\n";
    writeFileSync(path.join(project, 'module.mts'), named + use);
    writeFileSync(path.join(project, 'common.cts'), named + use);
    writeFileSync(path.join(project, 'bundled.ts'), named + use);
    writeFileSync(
      path.join(project, 'wrong.mts'),
      "import { nothing } from 'msg-zerocopy';\nnothing();\n",
    );
    const common = [
      '--noEmit',
      '--strict',
      '--target',
      'es2022',
      '--types',
      'node',
      '--pretty',
      'false',
    ];
    const roots = ['--typeRoots', path.join(ROOT, 'node_modules/@types'), '--ignoreConfig'];
    const tsc = (...argv: string[]) => {
      const program = path.join(ROOT, 'node_modules/typescript/bin/tsc');
      const options = { cwd: project, encoding: 'utf8' } as const;
      return spawnSync(process.execPath, [program, ...common, ...roots, ...argv], options);
    };
    const nodenext = ['--module', 'nodenext', '--moduleResolution', 'nodenext'];
    const both = tsc(...nodenext, 'module.mts', 'common.cts');
    assert.deepEqual([both.stdout, both.status], ['', 0]);
    const bundled = tsc('--module', 'esnext', '--moduleResolution', 'bundler', 'bundled.ts');
    assert.deepEqual([bundled.stdout, bundled.status], ['', 0]);
    assert.match(tsc(...nodenext, 'wrong.mts').stdout, /TS2305/);
  });
});

describe('a project that could not install the binary', function () {
  this.timeout(8 * MINUTE_MS);
  const project = path.join(folder, 'bare');
  const name = platformPackage(ownPlatform());
  const remedy = `npm install ${name}@${VERSION}, or compile it: npx msg-zerocopy build`;
  const missing = `addon-unavailable: local build: none; ${name}: not installed; remedy: ${remedy}`;

  // With scripts allowed: there are none.
  before(() => installProject(project, [tarballs.main, ...tarballs.dependencies], []));

  it('compiles nothing by itself', () => {
    assert.ok(!existsSync(path.join(project, 'node_modules/msg-zerocopy/build')));
    assert.ok(!existsSync(path.join(project, 'node_modules/@msg-zerocopy')));
  });

  it('copies, and says why', async () => {
    assertCopied(await send({ project }), missing);
    assertCopied(await send({ project, by: 'import' }), missing);
  });

  it('gets the remedy from the doctor', () => {
    const { status, stdout, stderr } = msgZerocopy(project, ['doctor']);
    assert.equal(status, 1, stderr);
    assert.match(stdout, /^BLOCKED {2}Native addon: /m);
    assert.ok(stdout.includes(`remedy: ${remedy}\n`), stdout);
  });

  it('learns what it lacks to compile', () => {
    // A copy, in a folder of its own: beside Node the system's compiler would be found.
    const programs = path.join(folder, 'programs');
    mkdirSync(programs);
    copyFileSync(process.execPath, path.join(programs, 'node'));
    const cli = path.join(project, 'node_modules/msg-zerocopy/dist/scripts/cli.js');
    const env = { PATH: programs };
    const run = spawnSync(path.join(programs, 'node'), [cli, 'build'], { env, encoding: 'utf8' });
    assert.equal(run.status, 1);
    assert.match(run.stderr, /g\+\+, make, python3 not found/);
    assert.match(run.stderr, /Debian.* apt-get install g\+\+ make python3$/m);
    assert.match(run.stderr, /Alpine.* apk add g\+\+ make python3 linux-headers$/m);
    assert.match(run.stderr, /Fedora.* dnf install gcc-c\+\+ make python3$/m);
  });

  it('refuses a folder as the output file at once', () => {
    const { status, stderr } = msgZerocopy(project, ['build', '--output', folder]);
    assert.equal(status, 1);
    const example = path.join(folder, 'msg_zerocopy.node');
    assert.equal(
      stderr,
      `msg-zerocopy build: ${folder} is a folder. Name a file in it:\n  --output ${example}\n`,
    );
  });

  it('refuses a file as the output folder at once', () => {
    const file = path.join(project, 'package.json/addon.node');
    const { status, stderr } = msgZerocopy(project, ['build', '--output', file]);
    assert.equal(status, 1);
    const inTheWay = path.dirname(file);
    const remedy = 'Name a file that can be written: --output FILE';
    assert.equal(stderr, `msg-zerocopy build: ${inTheWay} is not a folder. ${remedy}\n`);
  });

  it('prints where to find the bench', () => {
    const { status, stderr } = msgZerocopy(project, ['bench', 'tcp']);
    assert.equal(status, 2);
    assert.match(stderr, /In a checkout of the repository:\n {2}npm install && npm run bench/);
  });

  it('compiles into a writable folder, on demand', async () => {
    const file = path.join(folder, 'elsewhere/addon.node');
    const built = msgZerocopy(project, ['build', '--output', file]);
    assert.equal(built.status, 0, built.stderr);
    assert.match(built.stdout, new RegExp(`MSG_ZEROCOPY_ADDON=${file}`));
    assert.ok(!existsSync(path.join(project, 'node_modules/msg-zerocopy/build')));
    assertNative(await send({ project, env: { MSG_ZEROCOPY_ADDON: file } }));
    assertCopied(await send({ project }), missing);
  });

  it('compiles into the package, on demand', async () => {
    const built = msgZerocopy(project, ['build']);
    assert.equal(built.status, 0, built.stderr);
    assertNative(await send({ project }));
    assertNative(await send({ project, by: 'import' }));
  });

  it('says where else the binary can go when the package is read-only', function () {
    const own = path.join(project, 'node_modules/msg-zerocopy');
    const argv = ['node', path.join(own, 'dist/scripts/cli.js'), 'build'];
    // root may write everywhere.
    const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
    const isRoot = process.geteuid?.() === 0;
    chmodSync(own, 0o555);
    chmodSync(folder, 0o755);
    try {
      const [file = '', ...rest] = isRoot ? [...asNobody, ...argv] : argv;
      const run = spawnSync(file, rest, { encoding: 'utf8' });
      assert.equal(run.status, 1);
      assert.match(run.stderr, /msg-zerocopy cannot be written to/);
      assert.match(run.stderr, /msg-zerocopy build --output .*\n.*MSG_ZEROCOPY_ADDON=/);
    } finally {
      chmodSync(own, 0o755);
    }
  });
});
