// What is written is the kernel's when write() returns, from wherever it was written: nothing waits for a
// later callback, tick or turn of the loop.
import assert from 'node:assert/strict';
import { uringSuite } from '../helpers/suites';
import { startProgram, stopPrograms } from '../helpers/program';
import type { Origin, WithinWriteArgument } from '../scenarios/within-write';

interface Done {
  readonly done: true;
  readonly engine: string;
  readonly stats: { readonly zeroCopySends: number };
}

async function origins(engine: WithinWriteArgument['engine']): Promise<[Origin[], Done]> {
  const program = startProgram('within-write', { engine } satisfies WithinWriteArgument);
  const all: Origin[] = [];
  for (;;) {
    const line = await program.next<Origin | Done>();
    if ('done' in line) return [all, line];
    all.push(line);
  }
}

async function allArrive(engine: WithinWriteArgument['engine']): Promise<void> {
  const [all, done] = await origins(engine);
  assert.equal(done.engine, engine);
  assert.ok(all.length > 10);
  const late = all.filter(({ arrived }) => !arrived).map(({ origin }) => origin);
  assert.deepEqual(late, [], 'not there while the writer stood still behind write()');
  const fewest = engine === 'copy' ? 0 : 5 * all.length;
  const { zeroCopySends } = done.stats;
  assert.ok(zeroCopySends >= fewest, `${zeroCopySends} zero-copy sends`);
}

const TITLE =
  'a write arrives although its thread stands still from write() on, from wherever it comes';

describe('within write()', () => {
  afterEach(stopPrograms);

  for (const engine of ['msg_zerocopy', 'copy'] as const) {
    it(`${TITLE}, engine '${engine}'`, () => allArrive(engine));
  }
});

uringSuite('within write()', () => {
  afterEach(stopPrograms);

  it(`${TITLE}, engine 'io_uring'`, () => allArrive('io_uring'));
});
