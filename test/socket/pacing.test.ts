// The option maxPacingRate: what the kernel makes of it, on which sockets and when, and that it holds.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import {
  connect,
  createPacketSocket,
  createRawSocket,
  createUdpSocket,
  enableZeroCopy,
  ZeroCopySocket,
  type ZeroCopyMembers,
} from '../../lib/index';
import { isolated } from '../helpers/isolated';
import { addressOf, gather, loopback, sha256 } from '../helpers/loopback';
import { everywhere } from '../helpers/tcp-place';

const MIB = 1024 * 1024;
const RATE = 12_500_000;

describe('the pacing rate of a connection', () => {
  const connections = loopback();

  it('is what the program sets, of 32 bits and more, and unlimited with Infinity', async () => {
    for (const rate of [1, RATE, 2 ** 31, 2 ** 32 - 2, 2 ** 32 - 1, 2 ** 32, 2 ** 40, Infinity]) {
      const { sender } = await connections.pair({ maxPacingRate: rate });
      assert.equal(sender.zeroCopy.maxPacingRate, rate);
    }
  });

  it('is unlimited by default', async () => {
    const { sender } = await connections.pair({});
    assert.equal(sender.zeroCopy.maxPacingRate, Infinity);
    assert.equal(sender.listenerCount('connect'), 0);
  });

  for (const engine of ['msg_zerocopy', 'io_uring', 'copy'] as const) {
    it(`applies to what was written while connecting, engine ${engine}`, async () => {
      const server = await connections.silentServer();
      const accepted = once(server, 'connection') as Promise<[net.Socket]>;
      const zeroCopy = { engine, threshold: 1, maxPacingRate: RATE };
      const socket = connect({ ...addressOf(server), zeroCopy });
      connections.own(socket);
      assert.equal(socket.zeroCopy.maxPacingRate, undefined);
      const data = Buffer.alloc(MIB, 'early');
      const expected = sha256(data);
      socket.end(data, () => data.fill(0xee));
      await once(socket, 'connect');
      assert.equal(socket.zeroCopy.maxPacingRate, RATE);
      const [receiver] = await accepted;
      assert.deepEqual(await gather(receiver), { bytes: MIB, sha256: expected });
    });
  }

  it('changes with new options, stays without one, and ends with Infinity', async () => {
    const { sender } = await connections.pair({ maxPacingRate: RATE });
    const told = (options: { maxPacingRate?: number }): number | undefined => {
      enableZeroCopy(sender, options);
      return sender.zeroCopy.maxPacingRate;
    };
    assert.equal(told({ maxPacingRate: 2 * RATE }), 2 * RATE);
    assert.equal(told({}), 2 * RATE);
    assert.equal(told({ maxPacingRate: Infinity }), Infinity);
    assert.throws(() => told({ maxPacingRate: 0 }), { code: 'ERR_OUT_OF_RANGE' });
    assert.equal(sender.zeroCopy.maxPacingRate, Infinity);
  });

  it('applies to every connection of a socket by its last options, and leaves no listener', async () => {
    const server = await connections.silentServer();
    const socket = new ZeroCopySocket({ zeroCopy: { maxPacingRate: RATE } });
    connections.own(socket);
    enableZeroCopy(socket, { maxPacingRate: 2 * RATE });
    for (const rate of [2 * RATE, 3 * RATE]) {
      enableZeroCopy(socket, { maxPacingRate: rate });
      socket.connect(addressOf(server));
      await once(socket, 'connect');
      assert.equal(socket.zeroCopy.maxPacingRate, rate);
      assert.equal(socket.listenerCount('connect'), 0);
      socket.destroy();
      await once(socket, 'close');
      assert.equal(socket.zeroCopy.maxPacingRate, undefined);
    }
  });

  it('applies to each connection that a server accepts, of http, too', async () => {
    const rates: (number | undefined)[] = [];
    const see = (socket: net.Socket): void =>
      void rates.push((socket as net.Socket & ZeroCopyMembers).zeroCopy.maxPacingRate);
    const server = http.createServer((request, response) => {
      see(request.socket);
      response.end('x');
    });
    enableZeroCopy(server, { maxPacingRate: RATE });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    for (let i = 0; i < 2; i++) await (await fetch(`http://127.0.0.1:${port}/`)).text();
    server.closeAllConnections();
    server.close();
    assert.deepEqual(rates, [RATE, RATE]);
  });

  it('does not apply to a Unix-domain socket', async () => {
    const file = path.join(os.tmpdir(), `msg-zerocopy-pacing-${process.pid}.sock`);
    const server = net.createServer((socket) => socket.resume()).listen(file);
    await once(server, 'listening');
    const socket = connect({ path: file, zeroCopy: { maxPacingRate: RATE } });
    await once(socket, 'connect');
    assert.equal(socket.zeroCopy.maxPacingRate, undefined);
    socket.destroy();
    server.close();
    await once(server, 'close');
  });

  it('causes one warning when it cannot be set, and data flows', async () => {
    const { answer, code, stderr } = await isolated(
      async ({ zc, net: nodeNet, events, warnings, turn }) => {
        const server = nodeNet.createServer((socket) => socket.resume());
        server.listen(0, '127.0.0.1');
        await events.once(server, 'listening');
        const { port } = server.address() as net.AddressInfo;
        const rates: unknown[] = [];
        for (let i = 0; i < 2; i++) {
          const zeroCopy = { maxPacingRate: 1_000_000 };
          const socket = zc.connect({ port, host: '127.0.0.1', zeroCopy });
          await events.once(socket, 'connect');
          rates.push(socket.zeroCopy.maxPacingRate ?? null);
          socket.end('x');
          await events.once(socket, 'finish');
        }
        const udp = zc.createUdpSocket({ type: 'udp4', zeroCopy: { maxPacingRate: 1_000_000 } });
        rates.push(udp.zeroCopy.maxPacingRate ?? null);
        udp.close();
        server.close();
        await turn();
        const text = warnings.map((warning) => `${warning.code}: ${warning.message}`);
        return { rates, text };
      },
      { env: { MSG_ZEROCOPY_ADDON: 'off' } },
    );
    const text = [
      'ZC_PACING: The option maxPacingRate has no effect, so nothing limits the rate: MSG_ZEROCOPY_ADDON=off',
    ];
    assert.deepEqual([answer, code], [{ rates: [null, null, null], text }, 0], stderr);
  });
});

describe('the pacing rate of a datagram socket', () => {
  it('is set as soon as there is a descriptor', async () => {
    const socket = createUdpSocket({ type: 'udp4', zeroCopy: { maxPacingRate: 2 ** 33 } });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    assert.equal(socket.zeroCopy.maxPacingRate, 2 ** 33);
    await socket[Symbol.asyncDispose]();
    assert.equal(socket.zeroCopy.maxPacingRate, undefined);
  });

  if (process.geteuid?.() === 0) {
    it('is set on raw and packet sockets, too', async () => {
      const zeroCopy = { maxPacingRate: RATE };
      const raw = createRawSocket({ family: 4, protocol: 'icmp', zeroCopy });
      const packet = createPacketSocket({ interface: 'lo', zeroCopy });
      for (const socket of [raw, packet]) {
        assert.equal(socket.zeroCopy.maxPacingRate, RATE);
        await socket[Symbol.asyncDispose]();
      }
    });
  }
});

everywhere('a stream with a pacing rate', (getPlace) => {
  const TOTAL = 8 * MIB;
  const PER_SECOND = 8 * MIB;
  // What the kernel lets go before it begins to pace (net/ipv4/tcp_output.c: ten segments, of up to 64 KiB over
  // loopback), and what a timer of a busy machine makes up for.
  const LEAST_MS = 600;

  for (const engine of ['msg_zerocopy', 'io_uring', 'copy'] as const) {
    it(`keeps to it, and takes less than half the time without one, engine ${engine}`, async () => {
      const zeroCopy = { engine, threshold: 1, maxPacingRate: PER_SECOND };
      const to = getPlace().to();
      const { runner } = getPlace();
      const paced = await runner.run('pacing', 'stream', { to, zeroCopy, totalBytes: TOTAL });
      assert.equal(paced.maxPacingRate, PER_SECOND);
      assert.ok(paced.milliseconds >= LEAST_MS, `${paced.milliseconds} ms`);
      assert.equal(paced.zeroCopySends > 0, engine !== 'copy');
      const unlimited = { engine, threshold: 1 };
      const params = { to, zeroCopy: unlimited, totalBytes: TOTAL };
      const free = await runner.run('pacing', 'stream', params);
      const both = `${free.milliseconds} ms of ${paced.milliseconds}`;
      assert.ok(free.milliseconds < paced.milliseconds / 2, both);
    });
  }
});
