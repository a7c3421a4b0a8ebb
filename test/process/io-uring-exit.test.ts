// The end of a process or of a worker in the very turn of its writes. Requests that wait for the end
// of the turn must not be lost with it, nor be sent from memory that is used again.
import assert from 'node:assert/strict';
import { uringSuite } from '../helpers/suites';
import { type Arrival, Peer } from '../helpers/peer';
import { type Place } from '../../scripts/place';
import { describePlaces, loopback } from '../helpers/suites';
import { startProgram, stopPrograms } from '../helpers/program';
import { type Control, type ExitArgument } from '../scenarios/io-uring-exit';
import type { Left } from '../scenarios/io-uring-many-workers';
import type { WorkersArgument } from '../scenarios/io-uring-workers';

/** As the program writes on each socket. */
const BYTES = 544_011;
const RESIDENT_BYTES = 64 * 1024 * 1024;
const { allowedNodeEnvironmentFlags: FLAGS } = process;
const PERMISSION = FLAGS.has('--permission') ? '--permission' : '--experimental-permission';
/** Connections need leave, too, from Node 25 on. */
const NET = FLAGS.has('--allow-net') ? ['--allow-net'] : [];

interface Ended {
  readonly arrivals: readonly Arrival[];
  readonly code: number | null;
  readonly stderr: string;
  readonly control: Control['control'];
}

async function run(
  place: Place,
  manner: Pick<ExitArgument, 'engine' | 'then' | 'sockets'>,
  nodeOptions: readonly string[] = [],
): Promise<Ended> {
  const peer = await Peer.start(place);
  peer.read();
  const given: ExitArgument = { port: peer.port, address: place.address('receiver'), ...manner };
  const program = startProgram('io-uring-exit', given, { place, nodeOptions });
  const { control } = await program.next<Control>();
  const arrivals: Arrival[] = [];
  while (arrivals.length < manner.sockets) arrivals.push(await peer.nextArrival());
  const { code, stderr } = await program.ended();
  return { arrivals, code, stderr, control };
}

const WAYS: readonly [then: ExitArgument['then'], code: number][] = [
  ['exits', 3],
  ['exits in a tick', 3],
  ['exits in a microtask', 3],
  ['exits in an immediate', 3],
  ['throws', 1],
  ['writes at exit', 3],
  ['writes before exit', 0],
  ['destroys and exits', 3],
  ['ends', 0],
  ['returns', 0],
  ['unrefs', 0],
];

uringSuite('io_uring', () => {
  describePlaces('a process that writes and', (getPlace) => {
    afterEach(stopPrograms);

    for (const [then, code] of WAYS) {
      for (const sockets of [1, 12]) {
        it(`${then} delivers what plain Node delivers, on each of ${sockets}`, async () => {
          const expected = Array.from({ length: sockets }, () => {
            return { bytes: BYTES, wrong: 0, how: 'end' };
          });
          for (const engine of ['copy', 'io_uring'] as const) {
            const ended = await run(getPlace(), { engine, then, sockets });
            assert.equal(ended.control.engine, engine);
            assert.deepEqual(ended.arrivals, expected, engine);
            assert.equal(ended.code, code);
            assert.match(ended.stderr, then === 'throws' ? /on purpose/ : /^$/);
          }
        });
      }
    }
  });

  describePlaces('workers that end', (getPlace) => {
    afterEach(stopPrograms);
    const WORKERS = 5;

    for (const state of ['queued', 'in flight', 'stalled'] as const) {
      for (const ending of [
        'terminate',
        'process.exit',
        'process.exit later',
        'with main',
      ] as const) {
        it(`with sends ${state} send no wrong byte: ${ending}`, async () => {
          const place = getPlace();
          const peer = await Peer.start(place);
          const address = place.address('receiver');
          const given: WorkersArgument = {
            port: peer.port,
            address,
            workers: WORKERS,
            state,
            ending,
          };
          const program = startProgram('io-uring-workers', given, { place });
          if (ending !== 'with main') {
            const { ended } = await program.next<{ ended: number[] }>();
            const code = ending === 'terminate' ? 1 : 7;
            assert.deepEqual(ended, new Array(WORKERS).fill(code));
          }
          // Not before: read at once, the sends would not stay in flight.
          const expectedCode = ending === 'with main' ? 5 : 0;
          const atEnd = { code: expectedCode, signal: null, stderr: '' };
          if (ending === 'with main') assert.deepEqual(await program.ended(), atEnd);
          peer.read();
          const arrivals: Arrival[] = [];
          while (arrivals.length < WORKERS + 1) arrivals.push(await peer.nextArrival());
          const wrong = arrivals.reduce((sum, arrival) => sum + arrival.wrong, 0);
          assert.equal(wrong, 0, `${wrong} wrong bytes arrived`);
          // The main thread's own.
          const whole = arrivals.filter(
            ({ bytes, how }) => bytes === 8 * 96 * 1024 && how === 'end',
          );
          assert.ok(whole.length >= 1, JSON.stringify(arrivals));
          if (ending !== 'with main') assert.deepEqual(await program.ended(), atEnd);
        });
      }
    }
  });

  describe('three hundred workers one after another', () => {
    afterEach(stopPrograms);

    it('leave no descriptor, no ring and no memory behind', async () => {
      const program = startProgram('io-uring-many-workers', { some: 60, many: 300 });
      // libuv has rings of its own, from Node 22 on.
      const { rings, mappings } = (await program.next<Left>()).left;
      const before = (await program.next<Left>()).left;
      const { left } = await program.next<Left>();
      assert.deepEqual(await program.ended(), { code: 0, signal: null, stderr: '' });
      assert.deepEqual([left.rings, left.mappings, left.wrong], [rings, mappings, 0]);
      assert.ok(left.descriptors <= before.descriptors, `${left.descriptors} descriptors`);
      const grown = left.residentBytes - before.residentBytes;
      assert.ok(grown < RESIDENT_BYTES, `${grown} bytes more are resident`);
    }).timeout(120_000);
  });
});

describe('io_uring under the permission model', () => {
  afterEach(stopPrograms);

  it('copies without --allow-addons, with the reason', async () => {
    const manner = { engine: 'io_uring', then: 'ends', sockets: 2 } as const;
    const options = ['--no-warnings', PERMISSION, '--allow-fs-read=*', ...NET];
    const { arrivals, code, stderr, control } = await run(loopback, manner, options);
    assert.deepEqual(control, { engine: 'copy', reason: 'addon-unavailable' });
    const whole = { bytes: BYTES, wrong: 0, how: 'end' };
    assert.deepEqual({ arrivals, code, stderr }, { arrivals: [whole, whole], code: 0, stderr: '' });
  });
});
