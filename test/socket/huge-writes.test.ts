// Lengths beyond what 32 bits hold: the memory is never touched, so that it takes no place.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { enableZeroCopy, type ZeroCopyOptions } from '../../lib/index';
import { uringSuite } from '../helpers/suites';

const GIB = 2 ** 30;

/** Sends by an upgraded socket, and asserts that so many bytes arrive, all of them zero. */
async function assertArrives(
  bytes: number,
  options: ZeroCopyOptions,
  send: (socket: net.Socket) => void,
): Promise<void> {
  const sink = net.createServer().listen(0, '127.0.0.1');
  await once(sink, 'listening');
  const connected = once(sink, 'connection') as Promise<[net.Socket]>;
  const socket = net.connect((sink.address() as net.AddressInfo).port, '127.0.0.1');
  enableZeroCopy(socket, options);
  const [peer] = await connected;
  let received = 0;
  let wrong = 0;
  peer.on('data', (chunk: Buffer) => {
    received += chunk.length;
    if (chunk[0] !== 0 || chunk[chunk.length - 1] !== 0) wrong++;
  });
  send(socket);
  await once(peer, 'end');
  assert.deepEqual({ received, wrong }, { received: bytes, wrong: 0 });
  sink.close();
}

function twoUnderOneCork(options: ZeroCopyOptions): void {
  it('of two buffers of 2.5 GiB under one cork arrives whole', async () => {
    const buffer = Buffer.from(new ArrayBuffer(2.5 * GIB));
    await assertArrives(5 * GIB, options, (socket) => {
      socket.cork();
      socket.write(buffer);
      socket.end(buffer);
    });
  });
}

describe('a write by copy', () => twoUnderOneCork({ engine: 'copy' }));

describe('a write by MSG_ZEROCOPY', () =>
  twoUnderOneCork({ engine: 'msg_zerocopy', threshold: 1 }));

uringSuite('a write by io_uring', () => {
  twoUnderOneCork({ engine: 'io_uring', threshold: 1 });

  it('of one buffer of 4 GiB that is copied arrives whole', async () => {
    const buffer = Buffer.from(new ArrayBuffer(4 * GIB));
    // Nothing may be pinned, so that all of it is asked for by copy.
    await assertArrives(4 * GIB, { engine: 'io_uring', maxPendingBytes: 1 }, (socket) => {
      socket.end(buffer);
    });
  });
});
