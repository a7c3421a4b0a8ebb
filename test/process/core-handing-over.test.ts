// A socket that was handed to another process is that one's: who gave it away neither waits for its peer
// nor resets it, as in plain Node.
import assert from 'node:assert/strict';
import type { HandingArgument } from '../scenarios/handing-over';
import { Peer } from '../helpers/peer';
import { loopback } from '../helpers/suites';
import { startProgram, stopPrograms } from '../helpers/program';

const BYTES = 1024 * 1024;
const MORE = 200_000;

describe('a process that passes on a socket with memory pinned', () => {
  afterEach(stopPrograms);

  it('ends at once, and everything arrives from both processes', async () => {
    const peer = await Peer.start();
    const address = loopback.address('receiver');
    const given: HandingArgument = { port: peer.port, address, bytes: BYTES, more: MORE };
    const owner = startProgram('handing-over', given);
    assert.ok((await owner.next<{ pinned: number }>()).pinned > 0, 'nothing is pinned');
    const { heir } = await owner.next<{ heir: number }>();
    try {
      // The peer has read nothing by now.
      assert.deepEqual(await owner.ended(), { code: 0, signal: null, stderr: '' });
      peer.read();
      assert.deepEqual(await peer.nextArrival(), { bytes: BYTES + MORE, wrong: 0, how: 'end' });
    } catch (error) {
      process.kill(heir, 'SIGKILL');
      throw error;
    }
  });
});
