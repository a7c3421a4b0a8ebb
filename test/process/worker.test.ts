// Workers end with memory pinned, and their memory is used again at once: connections must be reset
// before that, and nothing may crash, whatever else the process does with the addon.
import assert from 'node:assert/strict';
import { type Arrival, Peer } from '../helpers/peer';
import { type Place } from '../../scripts/place';
import { describePlaces } from '../helpers/suites';
import { type Program, startProgram, stopPrograms } from '../helpers/program';
import type { WorkersArgument } from '../scenarios/workers';

const WORKERS = 5;
const CHUNK_BYTES_OF_ONE = 32 * 96 * 1024;
const CLEAN = { code: 0, signal: null, stderr: '' };

async function start(
  place: Place,
  ending: WorkersArgument['ending'],
): Promise<{ peer: Peer; program: Program }> {
  const peer = await Peer.start(place);
  const given = { port: peer.port, address: place.address('receiver'), workers: WORKERS, ending };
  return { peer, program: startProgram('workers', given satisfies WorkersArgument, { place }) };
}

// The workers' connections and the main thread's, in whatever order they ended.
async function arrivals(peer: Peer): Promise<Arrival[]> {
  peer.read();
  const all: Arrival[] = [];
  while (all.length < WORKERS + 1) all.push(await peer.nextArrival());
  return all;
}

function count(all: readonly Arrival[], how: string): number {
  return all.filter((one) => one.how === how).length;
}

function assertNothingWrong(all: readonly Arrival[]): void {
  const wrong = all.reduce((sum, one) => sum + one.wrong, 0);
  assert.equal(wrong, 0, `${wrong} wrong bytes arrived`);
}

describePlaces('workers with memory pinned', (getPlace) => {
  afterEach(stopPrograms);

  for (const ending of ['terminate', 'process.exit'] as const) {
    it(`are reset before their memory is used again: ${ending}`, async () => {
      const { peer, program } = await start(getPlace(), ending);
      const { ended } = await program.next<{ ended: number[] }>();
      assert.deepEqual(ended, new Array(WORKERS).fill(ending === 'terminate' ? 1 : 7));
      const all = await arrivals(peer);
      assertNothingWrong(all);
      assert.deepEqual(
        { reset: count(all, 'reset'), end: count(all, 'end') },
        { reset: WORKERS, end: 1 },
      );
      assert.deepEqual(await program.ended(), CLEAN);
    });
  }

  it('stay alive until all is released when they end naturally', async () => {
    const { peer, program } = await start(getPlace(), 'naturally');
    await program.next(); // all workers have come to their end
    const all = await arrivals(peer);
    for (const { bytes, wrong, how } of all) {
      assert.deepEqual({ bytes, wrong, how }, { bytes: CHUNK_BYTES_OF_ONE, wrong: 0, how: 'end' });
    }
    const { ended } = await program.next<{ ended: number[] }>();
    assert.deepEqual(ended, new Array(WORKERS).fill(0));
    assert.deepEqual(await program.ended(), CLEAN);
  });

  it('end on process.exit() of the main thread, whose own bytes still arrive', async () => {
    const { peer, program } = await start(getPlace(), 'with main');
    assert.deepEqual(await program.ended(), { ...CLEAN, code: 5 });
    const all = await arrivals(peer);
    assertNothingWrong(all);
    assert.ok(count(all, 'end') >= 1, 'the main thread resets nothing');
  });
});

describe('workers beside the main thread', () => {
  afterEach(stopPrograms);

  // Ten times, because what crashes at the end of an environment does so now and then.
  for (let round = 1; round <= 10; round++) {
    it(`use the same addon and end without a crash, round ${round}`, async () => {
      const program = startProgram('worker-traffic', {});
      const { done } = await program.next<{ done: number[] }>();
      assert.deepEqual(done, [0, 0, 1, 1]);
      assert.deepEqual(await program.ended(), CLEAN);
    });
  }
});
