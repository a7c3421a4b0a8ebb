// Lengths beyond what 32 bits hold: the memory is never touched, so that it takes no place.
import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import { enableZeroCopy } from '../../lib/index';
import { uringSuite } from '../helpers/io-uring-suite';

const GIB = 2 ** 30;

uringSuite('io_uring: a write', () => {
  it('of one buffer of 4 GiB arrives whole', async () => {
    const sink = net.createServer().listen(0, '127.0.0.1');
    await once(sink, 'listening');
    const connected = once(sink, 'connection') as Promise<[net.Socket]>;
    const socket = net.connect((sink.address() as net.AddressInfo).port, '127.0.0.1');
    // Nothing may be pinned, so that all of it is asked for by copy.
    enableZeroCopy(socket, { engine: 'io_uring', maxPendingBytes: 1 });
    const [peer] = await connected;
    let received = 0;
    let wrong = 0;
    peer.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (chunk[0] !== 0 || chunk[chunk.length - 1] !== 0) wrong++;
    });
    const buffer = Buffer.from(new ArrayBuffer(4 * GIB));
    socket.end(buffer);
    await once(peer, 'end');
    assert.deepEqual({ received, wrong }, { received: 4 * GIB, wrong: 0 });
    sink.close();
  });
});
