// The kernel's flag that completions wait may be stale. Whoever goes on entering the ring until it is
// cleared never comes back; whoever takes it for completions never sleeps.
import assert from 'node:assert/strict';
import http from 'node:http';
import { compiled } from '../helpers/compiled';
import { uringSuite } from '../helpers/suites';
import { countWrong } from '../../scripts/pattern';
import { startProgram, stopPrograms } from '../helpers/program';
import type { AnswersArgument, Idled } from '../scenarios/io-uring-answers';

const REQUESTS = 60;
const IDLE_MS = 600;

function get(port: number, agent: http.Agent): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const request = http.get({ port, host: '127.0.0.1', agent }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve(Buffer.concat(chunks)));
      response.on('error', reject);
    });
    request.on('error', reject);
  });
}

uringSuite('io_uring', () => {
  afterEach(stopPrograms);

  for (const bytes of [2_000, 300_000]) {
    it(`sends responses of ${bytes} bytes, then idles although the kernel's flag stays set`, async () => {
      const library = compiled('stale-taskrun', ['-shared', '-fPIC', '-ldl']);
      const given: AnswersArgument = { bytes, idleMs: IDLE_MS };
      const program = startProgram('io-uring-answers', given, {
        // Behind what is there: a sanitizer must come first.
        env: { LD_PRELOAD: `${process.env['LD_PRELOAD'] ?? ''} ${library}` },
      });
      const { port } = await program.next<{ port: number }>();
      const agent = new http.Agent({ keepAlive: true, maxSockets: 3 });
      const answers = await Promise.all(Array.from({ length: REQUESTS }, () => get(port, agent)));
      for (const answer of answers) {
        assert.equal(answer.length, bytes);
        assert.equal(countWrong(answer, 1, 0), 0);
      }
      program.tell({});
      const { cpuMs, engine, notifications, zeroCopySends } = await program.next<Idled>();
      agent.destroy();
      assert.equal(engine, 'io_uring');
      assert.ok(zeroCopySends > 0);
      assert.equal(notifications, zeroCopySends);
      // A loop that does not sleep takes all of the time.
      assert.ok(cpuMs < IDLE_MS / 2, `${cpuMs} ms of CPU in ${IDLE_MS} ms without work`);
    });
  }
});
