// A connection that does not keep the event loop: what was written on it still gets out, and those who
// wait are called, as in plain Node.
import assert from 'node:assert/strict';
import { Peer } from '../helpers/peer';
import { describePlaces } from '../helpers/suites';
import { startProgram, stopPrograms } from '../helpers/program';
import type { UnrefsArgument, UnrefsEnd } from '../scenarios/unrefs';

const MIB = 1024 * 1024;

const WRITES: readonly (Pick<UnrefsArgument, 'how' | 'bytes' | 'chunkBytes'> & {
  readonly title: string;
})[] = [
  { title: 'one write of 30 MiB', how: 'one write', bytes: 30 * MIB, chunkBytes: 30 * MIB },
  { title: 'one write of 1 MiB', how: 'one write', bytes: MIB, chunkBytes: MIB },
  { title: 'end() with 30 MiB', how: 'end', bytes: 30 * MIB, chunkBytes: 30 * MIB },
  { title: 'chunks of 64 KiB', how: 'chunks', bytes: 30 * MIB, chunkBytes: 64 * 1024 },
  { title: 'awaited sends of 1 MiB', how: 'promises', bytes: 4 * MIB, chunkBytes: MIB },
];

describePlaces('an unref’ed connection', (getPlace) => {
  afterEach(stopPrograms);

  for (const engine of ['plain', 'msg_zerocopy', 'io_uring'] as const) {
    for (const { title, ...manner } of WRITES) {
      it(`${engine} delivers ${title} whole, and the callbacks come`, async () => {
        const place = getPlace();
        const peer = await Peer.start(place);
        peer.read();
        const given = { port: peer.port, address: place.address('receiver'), engine, ...manner };
        const writer = startProgram('unrefs', given, { place });
        const { end } = await writer.next<UnrefsEnd>();
        assert.deepEqual(end, { released: manner.bytes });
        assert.deepEqual(await writer.ended(), { code: 0, signal: null, stderr: '' });
        const arrival = await peer.nextArrival();
        assert.deepEqual(arrival, { bytes: manner.bytes, wrong: 0, how: 'end' });
      });
    }
  }
});
