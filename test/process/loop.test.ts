// The event loop rests when nothing happens. An unread notification makes libuv spin on
// EPOLLERR; a wake-up for each socket instead of one for all would cost nearly as much.
import assert from 'node:assert/strict';
import path from 'node:path';
import { Peer } from '../helpers/peer';
import { type Program, startProgram, stopPrograms } from '../helpers/program';
import type { LoopArgument, Measured } from '../scenarios/loop-turns';

const MEASURE_MS = 300;
/** The timer that ends the measurement, and the last notifications before it. A loop that spins makes
 * ten thousand turns and uses all of the time. */
const TURNS_AT_REST = 20;
const CPU_AT_REST_MS = 50;
const COUNTING_ADDON = path.join(__dirname, '../scenarios/counting-addon.js');

interface Run {
  readonly peer: Peer;
  readonly program: Program;
}

async function bring(
  manner: Partial<LoopArgument>,
  env: Readonly<Record<string, string>> = {},
): Promise<Run> {
  const peer = await Peer.start();
  if ((manner.state ?? 'idle') === 'idle') peer.read();
  const given: LoopArgument = {
    port: peer.port,
    address: '127.0.0.1',
    sockets: 1,
    state: 'idle',
    reading: 'reading',
    callbacks: 'none',
    measure: MEASURE_MS,
    ...manner,
  };
  const program = startProgram('loop-turns', given, { env });
  await program.next();
  return { peer, program };
}

async function measure({ program }: Run): Promise<Measured['measured']> {
  program.tell({ go: true });
  return (await program.next<Measured>()).measured;
}

describe('the event loop', () => {
  afterEach(stopPrograms);

  for (const state of ['idle', 'stalled', 'pinned'] as const) {
    for (const reading of ['reading', 'paused'] as const) {
      for (const callbacks of ['waited for', 'none'] as const) {
        it(`rests while sockets are ${state} and ${reading}, callbacks: ${callbacks}`, async () => {
          const run = await bring({ state, reading, callbacks, sockets: 4 });
          const { turns, cpuMs } = await measure(run);
          assert.ok(turns <= TURNS_AT_REST, `${turns} turns in ${MEASURE_MS} ms`);
          assert.ok(cpuMs <= CPU_AT_REST_MS, `${cpuMs} ms of CPU time in ${MEASURE_MS} ms`);
        });
      }
    }
  }

  for (const reading of ['reading', 'paused'] as const) {
    it(`turns only a few times for each notification, on ${reading} sockets`, async () => {
      const measured = 'until released';
      const run = await bring({
        state: 'pinned',
        reading,
        callbacks: 'waited for',
        measure: measured,
      });
      // 16 sends of 64 KiB are acknowledged one after another, however long it takes.
      run.peer.readSlowly(64 * 1024, 10);
      const { turns, cpuMs, notifications, released } = await measure(run);
      assert.equal(released, 16);
      assert.ok(notifications > 0);
      assert.ok(turns <= 4 * 16 + TURNS_AT_REST, `${turns} turns`);
      assert.ok(cpuMs <= MEASURE_MS / 4, `${cpuMs} ms of CPU time`);
    });
  }

  it('makes one call into JavaScript for each wake-up, with 50 sockets', async () => {
    const run = await bring(
      { state: 'pinned', sockets: 50, callbacks: 'waited for', measure: 'until released' },
      { MSG_ZEROCOPY_ADDON: COUNTING_ADDON },
    );
    run.peer.read();
    const { released } = await measure(run);
    assert.equal(released, 50 * 16);
    const { stderr } = await run.program.ended();
    const { calls, records, mostPerTurn } = JSON.parse(stderr) as Record<string, number>;
    assert.equal(mostPerTurn, 1);
    // None for nothing. How many records a wake-up has is the kernel's: on a fast machine often one.
    assert.ok((records as number) >= (calls as number), `${records} records in ${calls} calls`);
  });
});
