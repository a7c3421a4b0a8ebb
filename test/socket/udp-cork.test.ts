// Where a corked datagram goes when the socket's peer changes before uncork(): to where it was sent.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { openSockets, type Sink } from '../helpers/dgram-behaviours-open';

describe('a corked UDP datagram', () => {
  const sockets = openSockets();
  let meant: Sink;
  let other: Sink;
  beforeEach(async () => {
    [meant, other] = [await sockets.sink(), await sockets.sink()];
  });

  async function assertArrived(datagrams: readonly string[]): Promise<void> {
    assert.deepEqual(await meant.rest(), datagrams);
    assert.deepEqual(await other.rest(), []);
  }

  it('keeps the destination of its first send when the socket is connected elsewhere', async () => {
    const socket = await sockets.bound();
    const { port, address } = meant.to;
    socket.cork();
    const told = new Promise<Error | null>((resolve) => {
      socket.send('first', port, address, resolve);
    });
    const reported = socket.send(Buffer.from(' second'), { port, address });
    socket.connect(other.port, '127.0.0.1');
    await once(socket, 'connect');
    socket.uncork();
    assert.equal(await told, null);
    assert.equal((await reported).bytes, 7);
    await assertArrived(['first second']);
  });

  it('goes to the peer that the socket leaves', async () => {
    const socket = await sockets.connectedTo(meant);
    socket.cork();
    const told = new Promise<Error | null>((resolve) => socket.send('first', resolve));
    socket.disconnect();
    const { port, address } = meant.to;
    const behind = socket.send(Buffer.from('still corked'), { port, address });
    socket.connect(other.port, '127.0.0.1');
    await once(socket, 'connect');
    assert.equal(await told, null);
    assert.deepEqual(await meant.rest(), ['first']);
    socket.uncork();
    assert.equal((await behind).bytes, 12);
    await assertArrived(['still corked']);
  });
});
