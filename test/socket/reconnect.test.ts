// One net.Socket, several connections: what belonged to the last one stays with it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { enableZeroCopy, type ZeroCopyOptions } from '../../lib/index';
import { addressOf, gather, loopback, sha256 } from '../helpers/loopback';

const LARGE = 128 * 1024;

async function accepted(server: net.Server): Promise<net.Socket> {
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  return socket;
}

/** A port of this machine without a listener. */
async function deadPort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = addressOf(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const SENDERS: readonly (ZeroCopyOptions | undefined)[] = [
  undefined,
  { engine: 'msg_zerocopy' },
  { engine: 'msg_zerocopy', threshold: 1 },
  { engine: 'copy' },
];

for (const zeroCopy of SENDERS) {
  const title = zeroCopy === undefined ? 'plain net' : JSON.stringify(zeroCopy);
  describe(`a reconnecting socket, ${title}`, () => {
    const connections = loopback();

    function newSender(): net.Socket {
      const socket = connections.own(new net.Socket());
      return zeroCopy === undefined ? socket : enableZeroCopy(socket, zeroCopy);
    }

    it('sends on each connection what was written for it, with ids from 0', async () => {
      const server = await connections.silentServer();
      const sender = newSender();
      sender.resume();
      for (const round of [1, 2, 3]) {
        sender.connect(addressOf(server));
        assert.equal(sender.bytesWritten, 0);
        const data = Buffer.alloc(LARGE * round, round);
        sender.write(data); // waits for the connection
        assert.equal(sender.bytesWritten, data.length);
        const arrived = gather(await accepted(server));
        await new Promise((resolve) => sender.end('end', () => resolve(undefined)));
        assert.equal(sender.bytesWritten, data.length + 3);
        assert.equal((await arrived).sha256, sha256(data, Buffer.from('end')));
        if (!sender.closed) await once(sender, 'close');
        assert.equal(sender.bytesWritten, data.length + 3);
      }
    });
  });
}

describe('a write that fails with its connection', () => {
  const connections = loopback();

  it('is not sent on the next one, because its memory was released', async () => {
    const server = await connections.silentServer();
    const sender = enableZeroCopy(connections.own(new net.Socket()), { engine: 'msg_zerocopy' });
    sender.on('error', () => undefined);
    sender.connect({ host: '127.0.0.1', port: await deadPort() });
    const data = Buffer.alloc(LARGE, 1);
    const closed = new Promise((resolve) => sender.once('close', resolve));
    const error = await new Promise<NodeJS.ErrnoException | null | undefined>((resolve) => {
      sender.write(data, resolve);
    });
    assert.equal(error?.code, 'ERR_SOCKET_CLOSED_BEFORE_CONNECTION');
    data.fill(0xee);
    await closed;
    sender.connect(addressOf(server));
    const arrived = gather(await accepted(server));
    sender.end('fresh');
    assert.equal((await arrived).sha256, sha256(Buffer.from('fresh')));
  });
});
