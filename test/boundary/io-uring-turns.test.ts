// What is written leaves within the turn, from wherever it was written. Requests are gathered for a
// hook at the end of the turn; one that misses it would wait for whatever wakes the loop next.
import assert from 'node:assert/strict';
import { uringSuite } from '../helpers/io-uring-suite';
import { startProgram, stopPrograms } from '../helpers/program';
import type { Origin, TurnsArgument } from './programs/io-uring-turns';

interface Done {
  readonly done: true;
  readonly engine: string;
  readonly stats: { readonly zeroCopySends: number };
}

async function origins(engine: TurnsArgument['engine']): Promise<[Origin[], Done]> {
  const program = startProgram('io-uring-turns', { engine } satisfies TurnsArgument);
  const all: Origin[] = [];
  for (;;) {
    const line = await program.next<Origin | Done>();
    if ('done' in line) return [all, line];
    all.push(line);
  }
}

/** The turn of the answer, and one that a notification before it may take. */
const TURNS = 2;
/**
 * These write themselves first, up to a full send buffer, and each write is answered: as many turns as the
 * other thread takes to read on a busy machine. A loop that spins takes thousands.
 */
const OWN_TURNS: Readonly<Record<string, number>> = {
  'a callback of an accepted write': 100,
  "'drain'": 100,
};

function isSlow({ origin, turns }: Origin): boolean {
  return turns > (OWN_TURNS[origin] ?? TURNS);
}

uringSuite('io_uring: a write', () => {
  afterEach(stopPrograms);

  it('leaves within the turn, from wherever it comes', async () => {
    const [all, { engine, stats }] = await origins('io_uring');
    assert.equal(engine, 'io_uring');
    assert.ok(stats.zeroCopySends >= 10 * all.length, `${stats.zeroCopySends} zero-copy sends`);
    assert.ok(all.length > 10);
    const late = all.filter(({ arrived }) => !arrived).map(({ origin }) => origin);
    assert.deepEqual(late, [], 'not there by the next turn');
    const unanswered = all.filter(({ answered }) => !answered).map(({ origin }) => origin);
    assert.deepEqual(unanswered, [], 'the loop went to rest with it');
    const slow = all.filter(isSlow);
    assert.deepEqual(slow, [], 'more turns than an answer takes');
  });

  // Otherwise the test above might ask for what nobody can do.
  it('does so in plain Node', async () => {
    const [all] = await origins('copy');
    const bad = all.filter((one) => !one.arrived || !one.answered || isSlow(one));
    assert.deepEqual(bad, []);
  });
});
