// The kernel may have no memory for a request: it was not sent, and is sent later. Whoever takes it for sent, or
// leaves it in the ring, sends bytes twice, or never.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { compiled } from '../helpers/compiled';
import { uringSuite } from '../helpers/suites';
import { countWrong } from '../../scripts/pattern';
import { startProgram, stopPrograms } from '../helpers/program';
import type { RoundsArgument, RoundsDone } from '../scenarios/io-uring-rounds';

const CLIENTS = 5;
const ROUNDS = 20;

/** Asks for each answer when the one before it is whole; the wrong bytes of what came, and how many came. */
function ask(port: number, client: number, bytes: number): Promise<{ wrong: number; got: number }> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write('?'));
    let got = 0;
    let wrong = 0;
    socket.on('data', (chunk: Buffer) => {
      wrong += countWrong(chunk, client, got);
      const before = Math.floor(got / bytes);
      got += chunk.length;
      const whole = Math.floor(got / bytes);
      if (whole > before && whole < ROUNDS) socket.write('?');
    });
    socket.on('end', () => resolve({ wrong, got })).on('error', reject);
  });
}

uringSuite('io_uring: a submit that the kernel refuses for want of memory', () => {
  let folder = '';

  beforeEach(() => (folder = mkdtempSync(path.join(tmpdir(), 'refused-'))));
  afterEach(async () => {
    await stopPrograms();
    rmSync(folder, { recursive: true });
  });

  for (const bytes of [2_000, 300_000]) {
    it(`sends every response of ${bytes} bytes once, and calls back for each write`, async () => {
      const library = compiled('refused-submit', ['-shared', '-fPIC', '-ldl']);
      const counted = path.join(folder, 'count');
      const given: RoundsArgument = { clients: CLIENTS, rounds: ROUNDS, bytes };
      const program = startProgram('io-uring-rounds', given, {
        // Behind what is there: a sanitizer must come first.
        env: {
          LD_PRELOAD: `${process.env['LD_PRELOAD'] ?? ''} ${library}`,
          REFUSED_SUBMITS: counted,
        },
      });
      const { port } = await program.next<{ port: number }>();
      const answers: Promise<{ wrong: number; got: number }>[] = [];
      for (let client = 0; client < CLIENTS; client++) answers.push(ask(port, client, bytes));
      for (const answer of await Promise.all(answers)) {
        assert.deepEqual(answer, { wrong: 0, got: ROUNDS * bytes });
      }
      program.tell({});
      const { callbacks, engines } = await program.next<RoundsDone>();
      assert.equal(callbacks, CLIENTS * ROUNDS * 2);
      assert.deepEqual(new Set(engines), new Set(['io_uring']));
      assert.ok(readFileSync(counted).length > 0, 'no submit was refused');
      assert.equal((await program.ended()).code, 0);
    });
  }

  it('sends several responses once each, whether the submit accepted them or not', () => {
    const library = compiled('refused-submit', ['-shared', '-fPIC', '-ldl']);
    const counted = path.join(folder, 'count');
    const mocha = path.join(path.dirname(require.resolve('mocha/package.json')), 'bin/mocha.js');
    const tests = path.join(__dirname, 'copy-batch.test.js');
    const shared = ['--no-config', '--timeout', '30000', '--fgrep', 'arrive whole', tests];
    const env = {
      ...process.env,
      LD_PRELOAD: `${process.env['LD_PRELOAD'] ?? ''} ${library}`,
      REFUSED_SUBMITS: counted,
    };
    const { stdout } = spawnSync(process.execPath, [mocha, ...shared], { encoding: 'utf8', env });
    assert.match(stdout, /8 passing/);
    assert.ok(readFileSync(counted).length > 20, 'no submit was refused');
  });
});
