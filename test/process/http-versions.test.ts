// The http scenarios, callbacks and the ends of processes and workers, under other versions of Node:
// what lib/node/internals.ts relies on is documented in none of them.
import assert from 'node:assert/strict';
import type { Outcome } from '../scenarios/http-scenarios';
import type { Body, ClientArgument } from '../scenarios/http-client';
import { BODY_BYTES, expectedNotes } from '../scenarios/http-answers';
import { loopback } from '../helpers/suites';
import { startProgram, stopPrograms } from '../helpers/program';
import { forEachTestNode } from '../helpers/test-nodes';

async function callbacks(node: string, name: string): Promise<void> {
  const host = loopback.address('sender');
  const server = startProgram('http-server', { address: host }, { node });
  const { port } = await server.next<{ port: number }>();
  const path = `/${encodeURIComponent(name)}`;
  const given: ClientArgument = { host, port, path, stream: 12, expect: 'nothing' };
  const client = startProgram('http-client', given);
  await client.next();
  client.tell({ go: true });
  assert.deepEqual((await client.next<Body>()).body, { bytes: BODY_BYTES, wrong: 0 });
  const notes: string[] = [];
  const expected = expectedNotes[name] as readonly string[];
  while (notes.length <= expected.length) notes.push((await server.next<{ note: string }>()).note);
  assert.deepEqual(
    notes.filter((note) => note !== 'finish'),
    expected,
  );
}

describe('other versions of Node', () => {
  afterEach(stopPrograms);

  forEachTestNode((node, version) => {
    it(`${version} runs every http scenario`, async () => {
      const program = startProgram('http-scenarios', {}, { node });
      const failures: string[] = [];
      for (;;) {
        const outcome = await program.next<Outcome>();
        if (outcome.failure !== undefined) failures.push(`${outcome.scenario}: ${outcome.failure}`);
        if (outcome.version === undefined) continue;
        assert.equal(outcome.version, version);
        break;
      }
      assert.deepEqual(failures, []);
      assert.deepEqual(await program.ended(), { code: 0, signal: null, stderr: '' });
    });

    for (const name of Object.keys(expectedNotes)) {
      it(`${version} passes ${name}`, () => callbacks(node, name));
    }

    it(`${version} ends workers amid traffic without a crash`, async () => {
      const program = startProgram('worker-traffic', {}, { node });
      assert.deepEqual(await program.next(), { done: [0, 0, 1, 1] });
      assert.deepEqual(await program.ended(), { code: 0, signal: null, stderr: '' });
    });
  });
});
