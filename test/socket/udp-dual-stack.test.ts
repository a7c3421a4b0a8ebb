// UDP sockets of IPv6 whose peers have IPv4: addresses are mapped, and the kernel sends and receives by IPv4.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { UdpRemoteInfo, ZeroCopyUdpSocket } from '../../lib/index';
import { openSockets } from '../helpers/dgram-behaviours-open';

const MAPPED = '::ffff:127.0.0.1';
/** Other spellings of the same. */
const SPELLINGS = [MAPPED, '::FFFF:7f00:1', '0:0:0:0:0:ffff:127.0.0.1'];
/** DSCP AF11, and congestion experienced. */
const TOS = (10 << 2) | 3;

function next(socket: ZeroCopyUdpSocket): Promise<[Buffer, UdpRemoteInfo]> {
  return once(socket, 'message') as Promise<[Buffer, UdpRemoteInfo]>;
}

describe('a dual-stack UDP socket', () => {
  const sockets = openSockets();

  async function dual(options: object = {}): Promise<ZeroCopyUdpSocket> {
    const socket = sockets.create({ type: 'udp6', ...options });
    socket.bind(0, '::');
    await once(socket, 'listening');
    return socket;
  }

  it('reports the TOS and the destination of datagrams from IPv4 and IPv6', async () => {
    const receiver = await dual({ receiveTos: true, packetInfo: true });
    const { port } = receiver.address();
    const four = await sockets.bound();
    const six = await sockets.bound({ type: 'udp6' });
    for (const [socket, address, destination] of [
      [four, '127.0.0.1', MAPPED],
      [six, '::1', '::1'],
    ] as const) {
      for (const tos of [TOS, 0]) {
        const arrived = next(receiver);
        await socket.send('hello', { port, address, tos });
        const [, rinfo] = await arrived;
        assert.equal(rinfo.tos, tos, address);
        assert.equal(rinfo.destination, destination);
      }
    }
  });

  it('applies TOS, source and interface to a mapped address, connected or not', async () => {
    const receiver = await sockets.bound({ receiveTos: true, packetInfo: true });
    const { port } = receiver.address();
    const unconnected = await dual();
    for (const [index, address] of SPELLINGS.entries()) {
      const connected = sockets.create({ type: 'udp6' });
      connected.connect(port, address);
      await once(connected, 'connect');
      for (const [socket, to] of [
        [connected, {}],
        [unconnected, { port, address }],
      ] as const) {
        for (const [options, sender] of [
          [{ tos: TOS }, '127.0.0.1'],
          [{ tos: TOS, interface: 'lo' }, '127.0.0.1'],
          [{ tos: TOS, source: '::ffff:127.0.0.1', interface: 'lo' }, '127.0.0.1'],
          [{ tos: TOS, segmentSize: 2_000, interface: 'lo' }, '127.0.0.1'],
        ] as const) {
          const data = Buffer.alloc(1_000, index);
          const arrived = next(receiver);
          await socket.send(data, { ...to, ...options });
          const [message, rinfo] = await arrived;
          assert.deepEqual(message, Buffer.alloc(1_000, index));
          assert.deepEqual([rinfo.tos, rinfo.address], [TOS, sender], address);
        }
      }
    }
    assert.equal(unconnected.zeroCopy.stats.softwareSegments, 0);
  });

  it('leaves segmentation to the kernel after a send that fails with and without it', async () => {
    const receiver = await sockets.bound();
    const to = { port: receiver.address().port, address: MAPPED, segmentSize: 1_000 };
    const socket = await dual();
    // IPv4 cannot come from an address of IPv6.
    await assert.rejects(socket.send(Buffer.alloc(3_000), { ...to, source: '::1' }), {
      code: 'EINVAL',
    });
    const { softwareSegments } = socket.zeroCopy.stats;
    const bytes: number[] = [];
    const all = new Promise<void>((resolve) => {
      receiver.on('message', (message) => {
        assert.ok(message.every((byte) => byte === 5));
        if (bytes.push(message.length) === 3) resolve();
      });
    });
    await socket.send(Buffer.alloc(3_000, 5), to);
    await all;
    assert.deepEqual(bytes, [1_000, 1_000, 1_000]);
    assert.equal(socket.zeroCopy.stats.softwareSegments, softwareSegments);
  });

  it('sends the TOS by the family of its new peer after reconnecting', async () => {
    const four = await sockets.bound({ receiveTos: true });
    const six = await sockets.bound({ type: 'udp6', receiveTos: true });
    const socket = sockets.create({ type: 'udp6' });
    for (const [receiver, address] of [
      [four, MAPPED],
      [six, '::1'],
      [four, MAPPED],
    ] as const) {
      socket.connect(receiver.address().port, address);
      await once(socket, 'connect');
      const arrived = next(receiver);
      await socket.send('hello', { tos: TOS });
      assert.equal((await arrived)[1].tos, TOS);
      socket.disconnect();
    }
  });
});
