// The command line `msg-zerocopy doctor`: what it accepts, what it prints, and its exit status.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { Diagnosis } from '../../lib/index';
import { UsageError } from '../../scripts/command-line';
import { parse } from '../../scripts/doctor/arguments';
import { tableOf } from '../../scripts/doctor/table';
import { isolated } from '../helpers/isolated';

const CLI = path.join(__dirname, '../../scripts/cli.js');

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

// Not spawnSync: this process is the target of some.
function doctor(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [CLI, 'doctor', ...argv], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 45_000,
    killSignal: 'SIGKILL',
    env: { ...process.env, ...env },
  });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (said.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said.stderr += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, ...said }));
  });
}

describe('arguments of the doctor', () => {
  const good: Readonly<Record<string, object>> = {
    '': { help: false, json: false },
    '--json': { help: false, json: true },
    'host --json': { help: false, json: true, target: 'host' },
    'host:80': { help: false, json: false, target: 'host:80' },
    'host -p 80': { help: false, json: false, target: 'host:80' },
    '192.0.2.1 --port 80': { help: false, json: false, target: '192.0.2.1:80' },
    '::1 --port 80': { help: false, json: false, target: '[::1]:80' },
    '[::1] --port 80': { help: false, json: false, target: '[::1]:80' },
    '-h': { help: true, json: false },
    '--write-seccomp a.json': { help: false, json: false, writeSeccomp: 'a.json' },
  };
  for (const [line, expected] of Object.entries(good)) {
    it(`accept '${line}'`, () => {
      assert.deepEqual(parse(line.split(' ').filter((word) => word !== '')), expected);
    });
  }

  const bad: Readonly<Record<string, RegExp>> = {
    'one two': /^one host at a time, not 'one two'$/,
    '--port 80': /^--port needs a HOST$/,
    'host --write-seccomp a.json': /^--write-seccomp writes a file and exits/,
    '--json --write-seccomp a.json': /^--write-seccomp writes a file and exits/,
    'host --port http': /^--port must be a number, not 'http'$/,
    'host:80 --port 81': /^'host:80' has a port already$/,
    '[::1]:80 --port 81': /has a port already$/,
    '--nonsense': /^Unknown option '--nonsense'$/,
    'host --port': /argument missing/,
  };
  for (const [line, message] of Object.entries(bad)) {
    it(`reject '${line}'`, () => {
      assert.throws(
        () => parse(line.split(' ')),
        (error) => error instanceof UsageError && message.test(error.message),
      );
    });
  }

  it('reject an empty host', () => {
    assert.throws(() => parse(['']), UsageError);
  });
});

describe("the doctor's table", () => {
  const diagnosis: Diagnosis = {
    zeroCopy: false,
    platform: 'linux',
    kernel: '6.18.44',
    node: 'v20.20.2',
    target: { host: 'storage.example', address: '192.0.2.80', family: 4 },
    findings: [
      { id: 'tcp', title: 'TCP', verdict: 'ok', detail: 'It works.' },
      {
        id: 'taps',
        title: 'Packet captures',
        verdict: 'blocked',
        detail: `tcpdump, ${'and so on '.repeat(20).trim()}.`,
        remedy: { command: `kill 1 ${'2 '.repeat(60)}3` },
      },
      {
        id: 'io_uring',
        title: 'io_uring',
        verdict: 'limited',
        detail: 'Refused.',
        remedy: { command: 'sysctl', weakensSecurity: 'much' },
      },
    ],
  };

  it('begins with the verdict, and lists each finding with its remedy and its risk', () => {
    const lines = tableOf(diagnosis).split('\n');
    assert.equal(
      lines[0],
      'Everything is copied to storage.example (taps). linux 6.18.44, Node v20.20.2',
    );
    assert.equal(lines[2], 'ok       TCP: It works.');
    assert.match(lines[3] ?? '', /^BLOCKED {2}Packet captures: tcpdump, and/);
    assert.deepEqual(lines.slice(-3), [
      'LIMITED  io_uring: Refused.',
      '         remedy: sysctl',
      '         this weakens security: much',
    ]);
    const whole = tableOf({ ...diagnosis, zeroCopy: true, findings: [] });
    assert.match(whole, /^Zero copy can work to storage\.example\./);
  });

  it('wraps everything but commands, so that they can be copied', () => {
    const lines = tableOf(diagnosis).split('\n');
    const long = lines.filter((line) => line.length > 100);
    assert.deepEqual(long, [`         remedy: ${diagnosis.findings[1]?.remedy?.command}`]);
    const text = lines.map((line) => line.slice(9)).join(' ');
    assert.ok(text.includes(diagnosis.findings[1]?.detail ?? '?'), 'no word is lost');
  });
});

describe('the command msg-zerocopy doctor', () => {
  it('prints its usage and exits 0 with --help', async () => {
    const { status, stdout, stderr } = await doctor(['--help']);
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
    assert.match(stdout, /^usage: msg-zerocopy doctor \[HOST \| HOST:PORT\] \[options\]/);
  });

  it('writes the seccomp profile, and never overwrites an existing file', async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-doctor-'));
    try {
      const file = path.join(folder, 'seccomp.json');
      const first = await doctor(['--write-seccomp', file]);
      assert.deepEqual([first.status, first.stderr], [0, '']);
      assert.ok(first.stdout.includes(`--security-opt seccomp=${file} IMAGE`), first.stdout);
      const profile = path.resolve(__dirname, '../../../examples/deploy/seccomp.json');
      assert.equal(readFileSync(file, 'utf8'), readFileSync(profile, 'utf8'));
      writeFileSync(file, 'mine');
      const again = await doctor(['--write-seccomp', file]);
      assert.deepEqual([again.status, again.stdout], [2, '']);
      assert.match(again.stderr, /seccomp\.json exists: remove it first, or name another/);
      assert.equal(readFileSync(file, 'utf8'), 'mine');
      const missing = path.join(folder, 'none');
      const nowhere = await doctor(['--write-seccomp', path.join(missing, 'a.json')]);
      assert.deepEqual(nowhere, {
        status: 2,
        stdout: '',
        stderr:
          `msg-zerocopy doctor: the folder ${missing} does not exist: ` +
          `create it (mkdir -p ${missing}), or name another file\n`,
      });
      const under = await doctor(['--write-seccomp', path.join(file, 'a.json')]);
      assert.equal(under.status, 2);
      assert.match(under.stderr, /a\.json cannot be written: ENOTDIR/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('reports bad arguments in one line, names --help, and exits 2', async () => {
    const { status, stdout, stderr } = await doctor(['a', 'b']);
    assert.deepEqual({ status, stdout }, { status: 2, stdout: '' });
    const help = "see 'msg-zerocopy doctor --help'";
    assert.equal(stderr, `msg-zerocopy doctor: one host at a time, not 'a b'; ${help}\n`);
  });

  it('exits 2 for an invalid target, and for a host that does not resolve', async () => {
    const wrong = await doctor(['host:0']);
    assert.deepEqual([wrong.status, wrong.stdout], [2, '']);
    assert.match(wrong.stderr, /^msg-zerocopy doctor: .*'host:0'\n$/);
    const unknown = await doctor(['nowhere.invalid', '--json']);
    assert.deepEqual([unknown.status, unknown.stdout], [2, '']);
    assert.match(unknown.stderr, /^msg-zerocopy doctor: The host 'nowhere\.invalid' cannot be /);
  });

  it('exits 1 with the reason when everything is copied', async () => {
    const { status, stdout, stderr } = await doctor(['127.0.0.1']);
    assert.deepEqual({ status, stderr }, { status: 1, stderr: '' });
    assert.match(stdout, /^Everything is copied to 127\.0\.0\.1 \((addon|device)\)\./);
    assert.match(stdout, /^BLOCKED /m);
  });

  it('exits 1 without the addon, with the reason and the remedy', async () => {
    const { status, stdout } = await doctor([], { MSG_ZEROCOPY_ADDON: 'off' });
    assert.equal(status, 1);
    assert.match(stdout, /^Everything is copied here \(addon\)\./);
    assert.match(stdout, /^BLOCKED {2}Native addon: .*MSG_ZEROCOPY_ADDON=off/m);
    assert.match(stdout, /^ +remedy: unset MSG_ZEROCOPY_ADDON$/m);
  });

  for (const target of [undefined, '127.0.0.1']) {
    it(`prints with --json what diagnose(${target ?? ''}) answers`, async () => {
      const { status, stdout, stderr } = await doctor(
        target === undefined ? ['--json'] : [target, '--json'],
      );
      assert.equal(stderr, '');
      const printed = JSON.parse(stdout) as Diagnosis;
      const { answer } =
        target === undefined
          ? await isolated(({ zc }) => zc.diagnose())
          : await isolated(({ zc }) => zc.diagnose('127.0.0.1'));
      assert.deepEqual(printed, answer);
      assert.equal(status, printed.zeroCopy ? 0 : 1);
    });
  }

  it('opens one connection to a given port, and sends nothing', async () => {
    const ends: Promise<number>[] = [];
    const server = net.createServer((socket) => {
      let bytes = 0;
      socket.on('data', (chunk) => (bytes += chunk.length));
      ends.push(new Promise((resolve) => socket.once('close', () => resolve(bytes))));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = server.address() as net.AddressInfo;
      const { stdout } = await doctor(['127.0.0.1', '-p', String(port), '--json']);
      const { target, findings } = JSON.parse(stdout) as Diagnosis;
      assert.deepEqual(target, { host: '127.0.0.1', port, address: '127.0.0.1', family: 4 });
      const found = findings.find(({ id }) => id === 'connection');
      assert.equal(found?.verdict, 'ok', found?.detail);
      assert.deepEqual(await Promise.all(ends), [0]);
    } finally {
      server.close();
    }
  });
});
