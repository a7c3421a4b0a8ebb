// Upgraded http servers in the workers of node:cluster: descriptors that came from another process.
import assert from 'node:assert/strict';
import http from 'node:http';
import { countWrong } from '../../scripts/pattern';
import { startProgram, stopPrograms } from '../helpers/program';
import type { ClusterArgument } from '../scenarios/cluster-server';

const BODY_BYTES = 1024 * 1024;
const CLIENTS = 8;
const REQUESTS_EACH = 5;

interface Answer {
  readonly bytes: number;
  readonly wrong: number;
  readonly worker: string;
  readonly sendsBefore: number;
}

function ask(port: number, stream: number, agent: http.Agent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { 'x-stream': String(stream) };
    const request = http.get({ port, host: '127.0.0.1', headers, agent }, (response) => {
      let bytes = 0;
      let wrong = 0;
      response.on('data', (chunk: Buffer) => {
        wrong += countWrong(chunk, stream, bytes);
        bytes += chunk.length;
      });
      response.once('error', reject).once('end', () => {
        const worker = response.headers['x-worker'] as string;
        resolve({ bytes, wrong, worker, sendsBefore: Number(response.headers['x-sends-before']) });
      });
    });
    request.once('error', reject);
  });
}

// One client: its requests one after another on one connection.
async function client(port: number, index: number): Promise<Answer[]> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const answers: Answer[] = [];
  for (let i = 0; i < REQUESTS_EACH; i++) answers.push(await ask(port, index * 100 + i, agent));
  agent.destroy();
  return answers;
}

describe('node:cluster', () => {
  afterEach(stopPrograms);

  for (const policy of ['round robin', 'shared handle'] as const) {
    it(`serves large bodies intact from upgraded servers, ${policy}`, async () => {
      const given: ClusterArgument = { policy, workers: 2, bodyBytes: BODY_BYTES };
      const program = startProgram('cluster-server', given);
      const { port } = await program.next<{ port: number }>();
      const all = await Promise.all(Array.from({ length: CLIENTS }, (_, i) => client(port, i)));
      for (const answers of all) {
        for (const { bytes, wrong } of answers) {
          assert.deepEqual({ bytes, wrong }, { bytes: BODY_BYTES, wrong: 0 });
        }
        assert.ok((answers.at(-1) as Answer).sendsBefore > 0, 'large bodies go zero-copy');
      }
      // Round robin shares out; a shared handle is taken by whichever worker is awake.
      const workers = new Set(all.flat().map(({ worker }) => worker));
      if (policy === 'round robin') assert.equal(workers.size, 2);
      program.tell({ stop: true });
      assert.deepEqual(await program.next(), { codes: [0, 0] });
      assert.deepEqual(await program.ended(), { code: 0, signal: null, stderr: '' });
    });
  }
});
