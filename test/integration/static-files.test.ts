// Servers of files as people use them, each plain and upgraded: the same requests get the same answers, byte
// for byte, with the same events, and the kernel sends the files.
import assert from 'node:assert/strict';
import { startProgram, stopPrograms } from '../helpers/program';
import { frameworks } from '../scenarios/static-frameworks';
import { forEachTestNode } from '../helpers/test-nodes';
import { compare, type Compared } from '../scenarios/static-servers';

describe('static file servers', () => {
  for (const name of Object.keys(frameworks)) {
    it(`${name} handles every request and every disconnect as without the upgrade`, () =>
      compare(name));
  }
});

describe('static file servers under other versions of Node', () => {
  afterEach(stopPrograms);

  forEachTestNode((node, version) =>
    it(`${version}: every framework answers as without the upgrade`, async () => {
      const program = startProgram('static-servers', {}, { node });
      const failures: string[] = [];
      for (const framework of Object.keys(frameworks)) {
        const outcome = await program.next<Compared>();
        assert.equal(outcome.framework, framework);
        if (outcome.failure !== undefined) failures.push(`${framework}: ${outcome.failure}`);
      }
      assert.deepEqual(failures, []);
      assert.deepEqual(await program.ended(), { code: 0, signal: null, stderr: '' });
    }),
  );
});
