// Where a corked datagram goes when the socket's peer changes before uncork(): to where it was sent.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ZeroCopyUdpSocket } from '../../lib/index';
import { missing } from '../../lib/native/loader';
import { FallbackUdpSocket } from '../../lib/udp/fallback';
import { openSockets, type OpenSockets, type Sink } from '../helpers/dgram-behaviours-open';

type Create = (sockets: OpenSockets) => ZeroCopyUdpSocket;

const SOCKETS: Readonly<Record<string, Create>> = {
  'of ours': (sockets) => sockets.create(),
  'without the addon': (sockets) => {
    const socket = new FallbackUdpSocket({ type: 'udp4' }, missing('for this test'));
    return sockets.own(socket as unknown as ZeroCopyUdpSocket);
  },
};

for (const [name, create] of Object.entries(SOCKETS)) {
  describe(`a corked datagram, UDP socket ${name}`, () => {
    const sockets = openSockets();
    let socket: ZeroCopyUdpSocket;
    let meant: Sink;
    let other: Sink;
    beforeEach(async () => {
      [meant, other] = [await sockets.sink(), await sockets.sink()];
      socket = create(sockets);
      socket.bind(0, '127.0.0.1');
      await once(socket, 'listening');
    });

    async function connect({ port }: Sink): Promise<void> {
      socket.connect(port, '127.0.0.1');
      await once(socket, 'connect');
    }

    async function assertArrived(datagrams: readonly string[]): Promise<void> {
      assert.deepEqual(await meant.rest(), datagrams);
      assert.deepEqual(await other.rest(), []);
    }

    it('keeps the destination of its first send when the socket is connected elsewhere', async () => {
      const { port, address } = meant.to;
      socket.cork();
      const told = new Promise<Error | null>((resolve) => {
        socket.send('first', port, address, resolve);
      });
      const reported = socket.send(Buffer.from(' second'), { port, address });
      await connect(other);
      socket.uncork();
      assert.equal(await told, null);
      assert.equal((await reported).bytes, 7);
      await assertArrived(['first second']);
    });

    it('goes to the peer that the socket leaves', async () => {
      await connect(meant);
      socket.cork();
      const told = new Promise<Error | null>((resolve) => socket.send('first', resolve));
      socket.disconnect();
      const { port, address } = meant.to;
      const behind = socket.send(Buffer.from('still corked'), { port, address });
      assert.equal(await told, null);
      assert.deepEqual(await meant.rest(), ['first']);
      await connect(other);
      socket.uncork();
      assert.equal((await behind).bytes, 12);
      await assertArrived(['still corked']);
    });

    it('stays corked for the next peer when the socket leaves one', async () => {
      await connect(other);
      socket.cork();
      socket.disconnect();
      await connect(meant);
      const sent = [socket.send(Buffer.from('one '), {}), socket.send(Buffer.from('datagram'), {})];
      assert.deepEqual(await meant.rest(), []);
      socket.uncork();
      await Promise.all(sent);
      await assertArrived(['one datagram']);
    });

    it('stays corked when disconnect() or connect() throws', async () => {
      socket.cork();
      const { port, address } = meant.to;
      const sent = socket.send(Buffer.from('corked'), { port, address });
      const notConnected = { code: 'ERR_SOCKET_DGRAM_NOT_CONNECTED' };
      assert.throws(() => socket.disconnect(), notConnected);
      assert.throws(() => socket.connect(0), { code: 'ERR_SOCKET_BAD_PORT' });
      assert.deepEqual(await meant.rest(), []);
      socket.uncork();
      await sent;
      await assertArrived(['corked']);
    });
  });
}
