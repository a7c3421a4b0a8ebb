// Getters and util.inspect() change nothing of a socket.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { inspect } from 'node:util';
import { createRawSocket } from '../../lib/index';
import { openSockets } from '../helpers/dgram-behaviours-open';
import { isolated, type Tools } from '../helpers/isolated';
import { uringSuite } from '../helpers/suites';

interface Look {
  readonly engine: string;
  readonly state: string;
  readonly reason?: string;
}

function look({ zeroCopy }: { zeroCopy: Look }): object {
  inspect(zeroCopy);
  const { engine, state, reason } = zeroCopy;
  return { engine, state, reason };
}

describe('reading socket.zeroCopy', () => {
  const sockets = openSockets();

  it('of a UDP socket before bind() does not disable zero copy', async () => {
    const sink = await sockets.sink();
    const socket = sockets.create({ zeroCopy: { threshold: 1, engine: 'msg_zerocopy' } });
    const active = { engine: 'msg_zerocopy', state: 'active', reason: undefined };
    assert.deepEqual(look(socket), active);
    socket.bind(0, '127.0.0.1');
    assert.deepEqual(look(socket), active);
    await once(socket, 'listening');
    assert.deepEqual(look(socket), active);
    const message = Buffer.alloc(20_000, 7);
    const report = await socket.send(message, sink.to);
    assert.equal(report.copiedBytes, 0);
    assert.equal(socket.zeroCopy.stats.zeroCopySends, 1);
    assert.deepEqual(await sink.next(1), [Buffer.alloc(20_000, 7)]);
  });

  if (process.geteuid?.() === 0) {
    it('of an unused raw socket shows that the kernel has no zero copy for it', async () => {
      const socket = createRawSocket({ family: 4, protocol: 253 });
      const expected = { engine: 'copy', state: 'unsupported', reason: 'kernel-unsupported' };
      assert.deepEqual(look(socket), expected);
      await new Promise<void>((resolve) => socket.close(() => resolve()));
    });
  } else {
    it('skipped: raw sockets need root (remedy: run as root, for instance with sudo)');
  }
});

uringSuite('reading socket.zeroCopy', () => {
  it('of a TCP socket does not create a ring', async () => {
    const body = async ({ zc, net, events, turn }: Tools): Promise<unknown[]> => {
      const { subscribe } = process.getBuiltinModule('node:diagnostics_channel');
      let rings = 0;
      subscribe('msg-zerocopy:io_uring', () => rings++);
      const server = net.createServer((peer) => peer.resume());
      server.listen(0, '127.0.0.1');
      await events.once(server, 'listening');
      const { port } = server.address() as import('node:net').AddressInfo;
      const zeroCopy = { engine: 'io_uring', threshold: 1 } as const;
      const socket = zc.connect({ port, host: '127.0.0.1', zeroCopy });
      await events.once(socket, 'connect');
      const { engine, state, reason } = socket.zeroCopy;
      process.getBuiltinModule('node:util').inspect(socket.zeroCopy);
      await turn();
      const looked = rings;
      await new Promise((resolve) => socket.write(Buffer.alloc(1 << 20), resolve));
      socket.destroy();
      server.close();
      return [engine, state, reason ?? null, looked, rings];
    };
    const { answer, stderr } = await isolated(body);
    assert.equal(stderr, '');
    assert.deepEqual(answer, ['io_uring', 'active', null, 0, 1]);
  });
});
