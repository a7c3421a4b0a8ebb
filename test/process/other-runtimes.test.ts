// Bun and Deno have Node's interfaces and not all of libuv: the addon would abort them.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { familySync } from 'detect-libc';
import { loopback } from '../helpers/suites';
import { startProgram, stopPrograms } from '../helpers/program';
import { ROOT } from '../helpers/tarballs';
import type { OtherRuntimeReport } from '../scenarios/other-runtime';
import type { PackageSenderArgument, PackageSenderReport } from '../scenarios/package-sender';

// The binaries that the runtimes' npm packages bring.
interface OtherRuntime {
  readonly name: 'Bun' | 'Deno';
  readonly program: string;
  /** What stands between the program and the script. */
  readonly options: readonly string[];
}

const isMusl = familySync() === 'musl';
const isArm = process.arch === 'arm64';

/** A binary of an npm package's own platform package. */
function binaryOf(parent: string, platformPackage: string, file: string): string {
  const from = createRequire(require.resolve(`${parent}/package.json`));
  return path.join(path.dirname(from.resolve(`${platformPackage}/package.json`)), file);
}

function bun(): OtherRuntime {
  const platform = `linux-${isArm ? 'aarch64' : 'x64'}${isMusl ? '-musl' : ''}`;
  const binary = binaryOf('bun', `@oven/bun-${platform}`, 'bin/bun');
  // The install script moves it, where npm runs such.
  const moved = path.join(path.dirname(require.resolve('bun/package.json')), 'bin/bun.exe');
  return { name: 'Bun', program: existsSync(binary) ? binary : moved, options: [] };
}

function deno(): OtherRuntime {
  const program = binaryOf('deno', `@deno/linux-${process.arch}-glibc`, 'deno');
  return { name: 'Deno', program, options: ['run', '--allow-all', '--quiet'] };
}

/** Of this machine: there is no Deno for musl. */
function otherRuntimes(): OtherRuntime[] {
  return isMusl ? [bun()] : [bun(), deno()];
}

const WRITES = 20;
const WRITE_BYTES = 128 * 1024;
const BYTES = WRITES * WRITE_BYTES;

// Deno keeps what it compiled in the user's cache.
const cache = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-runtimes-'));
const env = {
  DENO_DIR: cache,
  DENO_NO_UPDATE_CHECK: '1',
  MSG_ZEROCOPY_ADDON: '',
  MSG_ZEROCOPY_ENGINE: '',
};

after(() => rmSync(cache, { recursive: true, force: true }));
afterEach(stopPrograms);

function reasonIn(name: string): string {
  return `runtime-unsupported: ${name} lacks parts of libuv that the addon needs: run the program with Node`;
}

async function send({ program, options }: OtherRuntime): Promise<PackageSenderReport> {
  const host = loopback.address('receiver');
  const receiver = startProgram('package-receiver', { host, stream: 7 });
  const { port } = await receiver.next<{ port: number }>();
  const argument: PackageSenderArgument = {
    project: ROOT,
    by: 'require',
    host,
    port,
    stream: 7,
    writes: WRITES,
    writeBytes: WRITE_BYTES,
  };
  const sender = startProgram('package-sender', argument, {
    node: program,
    nodeOptions: options,
    env,
  });
  const report = await sender.next<PackageSenderReport>();
  assert.deepEqual(await receiver.next(), { bytes: BYTES, wrong: 0 });
  const { code, stderr } = await sender.ended();
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  await receiver.ended();
  return report;
}

for (const runtime of otherRuntimes()) {
  const { name, program, options } = runtime;
  describe(`in ${name}`, () => {
    it('a connection that asks for zero copy copies, and gives the runtime as the reason', async () => {
      const report = await send(runtime);
      const { engine, addon, reason, copiedBytes, zeroCopySends, released } = report;
      assert.deepEqual(
        { engine, addon, reason, copiedBytes, zeroCopySends, released },
        {
          engine: 'copy',
          addon: 'no',
          reason: reasonIn(name),
          copiedBytes: BYTES,
          zeroCopySends: 0,
          released: WRITES,
        },
      );
    });

    it('http servers, UDP sockets and pools work by copying, and the doctor gives the reason', async () => {
      const run = startProgram('other-runtime', {}, { node: program, nodeOptions: options, env });
      const { doctor, fallbacks, ...report } = await run.next<OtherRuntimeReport>();
      assert.deepEqual(report, {
        addon: reasonIn(name),
        pool: reasonIn(name),
        poolWorks: true,
        http: { bytes: 700_000, wrong: 0 },
        udp: { bytes: 9000, wrong: 0, reason: 'runtime-unsupported', engine: 'copy' },
        raw: 'ERR_ZC_UNAVAILABLE',
      });
      assert.equal(doctor.zeroCopy, false);
      assert.match(doctor.addon ?? '', /runtime-unsupported/);
      assert.ok(fallbacks > 0);
      assert.deepEqual(await run.ended(), { code: 0, signal: null, stderr: '' });
    });

    it('the doctor command reports that everything is copied', () => {
      const cli = path.join(ROOT, 'dist/scripts/cli.js');
      const { status, stdout, stderr } = spawnSync(program, [...options, cli, 'doctor'], {
        encoding: 'utf8',
        env: { ...process.env, ...env },
      });
      assert.equal(status, 1, stderr);
      assert.match(stdout, new RegExp(`^BLOCKED {2}Native addon: .*${name}`, 'm'));
    });
  });
}
