// bindSync() and connectSync(), where node:dgram has none to compare with, too.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { createUdpSocket } from '../../lib/index';
import { presentFamilies } from '../scenarios/dgram-behaviours-kit';
import { FallbackSockets } from '../helpers/udp-fallback';

for (const { type, localhost } of presentFamilies()) {
  describe(`a socket of this package, ${type}`, () => {
    it('binds and connects at once, on every Node', async () => {
      await using receiver = createUdpSocket(type);
      await using sender = createUdpSocket(type);
      const events: string[] = [];
      receiver.on('listening', () => events.push('listening'));
      sender.on('connect', () => events.push('connect'));
      const { address, port } = receiver.bindSync({ address: localhost });
      assert.deepEqual([address, port > 0], [localhost, true]);
      assert.throws(() => receiver.bindSync(), { code: 'ERR_SOCKET_ALREADY_BOUND' });
      const message = once(receiver, 'message');
      sender.connectSync(port);
      assert.deepEqual([sender.remoteAddress().port, events], [port, []]);
      assert.throws(() => sender.connectSync(port), { code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' });
      sender.send('x');
      assert.equal(String((await message)[0]), 'x');
      assert.deepEqual(events, ['listening', 'connect']);
    });
  });
}

describe('a socket without the addon', () => {
  const sockets = new FallbackSockets();

  const isPresent = 'bindSync' in dgram.Socket.prototype;

  it('binds and connects at once, or says that this Node cannot', async () => {
    const socket = sockets.create();
    if (!isPresent) {
      const error = {
        code: 'ERR_ZC_UNAVAILABLE',
        message: /Sync\(\), which Node v[\d.]+ lacks \(Node 24\.21 has it\)/,
      };
      assert.throws(() => socket.bindSync(), error);
      assert.throws(() => socket.connectSync(9), error);
      return;
    }
    const far = await sockets.bound();
    const arrived = once(far, 'message');
    const { port } = socket.bindSync({ address: '127.0.0.1' });
    assert.equal(socket.address().port, port);
    socket.connectSync(far.address().port);
    await socket.send('x', {});
    const [data, rinfo] = (await arrived) as [Buffer, dgram.RemoteInfo];
    assert.deepEqual([String(data), rinfo.port], ['x', port]);
  });

  it('cannot cancel what it sent at once', async () => {
    if (!isPresent) return;
    const far = await sockets.bound();
    const socket = sockets.create();
    socket.bindSync();
    const aborter = new AbortController();
    const sent = socket.send('x', { port: far.address().port, signal: aborter.signal });
    aborter.abort();
    assert.equal((await sent).bytes, 1);
  });
});
