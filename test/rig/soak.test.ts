// A short run of the soak, so that it stays alive, and its command line.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import type { Report } from '../../scripts/soak/report';
import { rigSuite } from '../helpers/suites';

const PROGRAM = path.join(__dirname, '../../scripts/soak.js');
const ENDS_WITHIN_MS = 110_000;

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(argv: readonly string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [PROGRAM, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  // By SIGTERM it still takes its rig down.
  const timer = setTimeout(() => child.kill('SIGTERM'), ENDS_WITHIN_MS);
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr });
    });
  });
  return { child, ended };
}

rigSuite('the soak', () => {
  it('finds nothing wrong in 20 seconds', async function () {
    this.timeout(ENDS_WITHIN_MS + 10_000);
    const { code, stdout, stderr } = await start(['--minutes', '0.3', '--json']).ended;
    assert.equal(code, 0, stderr + stdout);
    const { counts, failures, absent } = JSON.parse(stdout) as Report;
    assert.deepEqual([failures, absent], [[], []]);
    assert.equal(counts['release callbacks'], counts['release callbacks awaited']);
    for (const name of [
      'stats zeroCopySends',
      'connections compared',
      'arrived: tcp bytes verified',
      'arrived: http bodies received',
      'files piped',
      'files piped in chunks',
      'files sendFile() of a path',
      'files sendFile() of a handle',
      'files piped into a socket',
      'sendFile() of a descriptor',
      'arrived: udp datagrams received',
      'arrived: raw datagrams received',
      'packet bytes',
      'ring frames',
    ]) {
      assert.ok((counts[name] ?? 0) > 0, `no ${name}: ${stdout}`);
    }
  });

  it('ends early, with a report, on SIGINT', async function () {
    this.timeout(ENDS_WITHIN_MS + 10_000);
    const { child, ended } = start(['--minutes', '60', '--only', 'tcp', '--json']);
    // It listens for the signal once it has said what it is about to do.
    await new Promise((resolve) => child.stderr?.once('data', resolve));
    child.kill('SIGINT');
    const { code, stdout, stderr } = await ended;
    assert.equal(code, 0, stderr + stdout);
    assert.ok((JSON.parse(stdout) as Report).seconds < 60);
  });
});

describe('the command line of the soak', () => {
  for (const argv of [['--minutes', 'many'], ['--only', 'nothing'], ['--place', 'mars'], ['x']]) {
    it(`reports bad arguments in one line, and names --help: ${argv.join(' ')}`, async () => {
      const { code, stderr } = await start(argv).ended;
      assert.equal(code, 2);
      assert.match(stderr, /^soak: .*; see 'npm run soak -- --help'\n$/);
    });
  }
});
