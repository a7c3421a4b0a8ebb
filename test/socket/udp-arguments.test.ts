// What a UDP socket of this package takes beside node:dgram's own, and what it refuses: at once, with
// nothing sent.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { inspect } from 'node:util';
import { createUdpSocket, type UdpSendOptions, type UdpSocketOptions } from '../../lib/index';
import { openSockets, type Sink } from '../helpers/dgram-behaviours-open';

const TYPE = 'ERR_INVALID_ARG_TYPE';
const RANGE = 'ERR_OUT_OF_RANGE';
const PORT = 'ERR_SOCKET_BAD_PORT';

type Loose = {
  send(...args: unknown[]): Promise<unknown>;
  sendMany(...args: unknown[]): Promise<unknown>;
};

function loose(socket: object): Loose {
  return socket as Loose;
}

const BAD_SOCKET_OPTIONS = [
  [{ gro: 5 }, TYPE],
  [{ gro: 'half' }, TYPE],
  [{ gro: null }, TYPE],
  [{ packetInfo: 1 }, TYPE],
  [{ packetInfo: 'yes' }, TYPE],
  [{ receiveTos: null }, TYPE],
  [{ maxQueuedBytes: -1 }, RANGE],
  [{ maxQueuedBytes: NaN }, RANGE],
  [{ maxQueuedBytes: 1.5 }, RANGE],
  [{ maxQueuedBytes: '5' }, TYPE],
  [{ whenQueueFull: 'drop' }, RANGE],
  [{ whenQueueFull: true }, TYPE],
  [{ zeroCopy: 5 }, TYPE],
  [{ zeroCopy: null }, TYPE],
  [{ zeroCopy: { engine: 'warp' } }, RANGE],
  [{ zeroCopy: { engine: 'tx_ring' } }, RANGE],
  [{ zeroCopy: { engine: 'io_uring' } }, RANGE],
  [{ zeroCopy: { threshold: -1 } }, RANGE],
  [{ zeroCopy: { threshold: 'all' } }, TYPE],
  [{ zeroCopy: { source: 'heap' } }, RANGE],
  [{ zeroCopy: { maxPendingBytes: 0.5 } }, RANGE],
] as const;

/** With a port, unless it says so; the last of each is what it is refused with. */
const BAD_SEND_OPTIONS = [
  [{ port: undefined }, PORT],
  [{ port: null }, PORT],
  [{ port: 0 }, PORT],
  [{ port: -1 }, PORT],
  [{ port: 65_536 }, PORT],
  [{ port: 1.5 }, PORT],
  [{ port: 'x' }, PORT],
  [{ port: {} }, PORT],
  [{ address: 5 }, TYPE],
  [{ address: null }, TYPE],
  [{ address: {} }, TYPE],
  [{ segmentSize: 0 }, RANGE],
  [{ segmentSize: -1 }, RANGE],
  [{ segmentSize: 1.5 }, RANGE],
  [{ segmentSize: NaN }, RANGE],
  [{ segmentSize: 65_508 }, RANGE],
  [{ segmentSize: '100' }, TYPE],
  [{ segmentSize: null }, TYPE],
  [{ tos: -1 }, RANGE],
  [{ tos: 256 }, RANGE],
  [{ tos: 1.5 }, RANGE],
  [{ tos: NaN }, RANGE],
  [{ tos: '8' }, TYPE],
  [{ source: 5 }, TYPE],
  [{ source: 'no address' }, RANGE],
  [{ source: '::1' }, RANGE],
  [{ source: '' }, RANGE],
  [{ interface: {} }, TYPE],
  [{ interface: null }, TYPE],
  [{ signal: null }, TYPE],
  [{ signal: {} }, TYPE],
  [{ signal: new AbortController() }, TYPE],
] as const;

const BAD_MESSAGES = [undefined, null, 5, true, {}, new ArrayBuffer(8), [5], ['a', null], [['a']]];

describe('the arguments of a UDP socket', () => {
  const sockets = openSockets();

  async function assertNothingArrived(sink: Sink): Promise<void> {
    assert.deepEqual(await sink.rest(), []);
  }

  describe('as options of the socket', () => {
    it("names every value of 'gro'", () => {
      const given = { type: 'udp4', gro: 'half' } as unknown as UdpSocketOptions;
      assert.throws(() => createUdpSocket(given), /must be a boolean or 'whole'\./);
    });

    for (const [options, code] of BAD_SOCKET_OPTIONS) {
      it(`refuses ${inspect(options)}`, () => {
        const given = { type: 'udp4', ...options } as unknown as UdpSocketOptions;
        assert.throws(() => createUdpSocket(given), { code });
      });
    }

    it('accepts every kind of option', async () => {
      const all: Partial<UdpSocketOptions>[] = [
        { gro: false, packetInfo: false, receiveTos: false, reusePort: false },
        { gro: 'whole', packetInfo: true, receiveTos: true, reusePort: true },
        { maxQueuedBytes: 0, whenQueueFull: 'wait' },
        { zeroCopy: { engine: 'copy', threshold: 'auto', source: 'any', maxPendingBytes: 0 } },
        { zeroCopy: { threshold: 1, source: () => false } },
      ];
      const sink = await sockets.sink();
      for (const options of all) {
        const socket = await sockets.bound(options);
        await socket.send('taken', sink.to);
      }
      assert.deepEqual(
        await sink.rest(),
        all.map(() => 'taken'),
      );
    });
  });

  describe('as options of one send', () => {
    for (const [options, code] of BAD_SEND_OPTIONS) {
      it(`refuses ${inspect(options, { depth: 0 })} at once, and sends nothing`, async () => {
        const sink = await sockets.sink();
        const socket = await sockets.bound();
        const given = { ...sink.to, ...options };
        assert.throws(() => void loose(socket).send('x', given), { code });
        assert.throws(() => void loose(socket).sendMany([Buffer.from('x')], given), { code });
        const item = { data: Buffer.from('x'), ...given };
        if (!('signal' in options)) {
          assert.throws(() => void loose(socket).sendMany([Buffer.from('y'), item], sink.to), {
            code,
          });
        }
        assert.equal(socket.getSendQueueCount(), 0);
        await assertNothingArrived(sink);
      });
    }

    it('are refused behind port and address, with the way to pass them, and nothing is sent', async () => {
      const sink = await sockets.sink();
      const socket = loose(await sockets.bound());
      const { port, address } = sink.to;
      assert.throws(() => void socket.send(Buffer.alloc(100_000), port, address, { tos: 8 }), {
        code: TYPE,
        message: /"port" .*send\(message, \{ port, address, … \}\)/,
      });
      await assertNothingArrived(sink);
    });

    it('refuses more than 128 segments, and more bytes than a datagram', async () => {
      const sink = await sockets.sink();
      const socket = await sockets.bound();
      for (const [bytes, segmentSize] of [
        [129, 1],
        [65_508, 1000],
        [12_801, 100],
      ] as const) {
        const options = { ...sink.to, segmentSize };
        assert.throws(() => void socket.send(Buffer.alloc(bytes), options), { code: RANGE });
        assert.throws(() => void socket.sendMany([Buffer.alloc(bytes)], options), { code: RANGE });
      }
      await assertNothingArrived(sink);
      const report = await socket.send(Buffer.alloc(128, 'z'), { ...sink.to, segmentSize: 1 });
      assert.equal(report.bytes, 128);
      assert.deepEqual(await sink.rest(), new Array(128).fill('z'));
    });

    it('cuts into segments, the last one possibly shorter', async () => {
      const sink = await sockets.sink();
      const socket = await sockets.bound();
      const message = Buffer.from('0123456789');
      await socket.send(message, { ...sink.to, segmentSize: 4 });
      await socket.send([message, message], { ...sink.to, segmentSize: 8 });
      await socket.send(message, { ...sink.to, segmentSize: 10 });
      await socket.send(message, { ...sink.to, segmentSize: 65_507 });
      assert.deepEqual(
        [...(await sink.rest())].join(' '),
        '0123 4567 89 01234567 89012345 6789 0123456789 0123456789',
      );
    });

    it('refuses invalid messages at once', async () => {
      const sink = await sockets.sink();
      const socket = await sockets.bound();
      for (const message of BAD_MESSAGES) {
        assert.throws(() => void loose(socket).send(message, sink.to), { code: TYPE });
      }
      await assertNothingArrived(sink);
    });

    it('accepts every message that node:dgram accepts', async () => {
      const sink = await sockets.sink();
      const socket = await sockets.bound();
      const messages = [
        'text',
        Buffer.from('buffer'),
        new Uint16Array([0x4141]),
        ['a', 'b'],
        [],
        '',
      ];
      for (const message of messages) {
        const report = await loose(socket).send(message, sink.to);
        const sums = report as Record<string, number>;
        const parts = ['zeroCopyBytes', 'copiedBytes', 'kernelCopiedBytes', 'unknownBytes'];
        assert.equal(
          parts.reduce((sum, name) => sum + (sums[name] ?? NaN), 0),
          sums['bytes'],
        );
      }
      assert.deepEqual(await sink.rest(), ['text', 'buffer', 'AA', 'ab', '', '']);
    });

    it('refuses port and address on a connected socket, in items of a list, too', async () => {
      const sink = await sockets.sink();
      const socket = await sockets.connectedTo(sink);
      const code = 'ERR_SOCKET_DGRAM_IS_CONNECTED';
      const data = Buffer.from('x');
      for (const options of [{ port: sink.port }, { address: '127.0.0.1' }, sink.to]) {
        assert.throws(() => void socket.send(data, options), { code });
        assert.throws(() => void socket.sendMany([data], options), { code });
        assert.throws(() => void socket.sendMany([data, { data, ...options }]), { code });
      }
      await assertNothingArrived(sink);
      await socket.send(data, {});
      await socket.sendMany([data, { data, tos: 8 }]);
      assert.deepEqual(await sink.rest(), ['x', 'x', 'x']);
    });

    it('reports addresses of the other family and invalid ones, and keeps working', async () => {
      const sink = await sockets.sink();
      const socket = await sockets.bound();
      const tries: UdpSendOptions[] = [
        { port: sink.port, address: '::1' },
        { ...sink.to, source: '198.51.100.7' },
      ];
      for (const options of tries) {
        await assert.rejects(
          async () => socket.send('x', options),
          ({ code, errno, syscall }: NodeJS.ErrnoException) =>
            /^E[A-Z]+$/.test(code ?? '') && (errno ?? 0) < 0 && syscall !== undefined,
          inspect(options),
        );
      }
      await assert.rejects(socket.send('x', { port: sink.port, address: '::1' }), {
        code: 'EINVAL',
        syscall: 'send',
        address: '::1',
        port: sink.port,
        message: `send EINVAL ::1:${sink.port}`,
        sentDatagrams: 0,
      });
      await socket.send('on', sink.to);
      assert.deepEqual(await sink.rest(), ['on']);
    });

    it('refuses missing interfaces, and keeps working', async () => {
      const sink = await sockets.sink();
      const socket = await sockets.bound();
      for (const device of ['no-such-device', '', -1, 1.5, NaN, 2 ** 33, 2_000_000_000]) {
        const options = { ...sink.to, interface: device };
        const sent = async (): Promise<unknown> => socket.send('x', options);
        await assert.rejects(sent, { code: RANGE }, inspect(device));
      }
      await socket.send('on', sink.to);
      assert.deepEqual(await sink.rest(), ['on']);
    });

    it('sends from the given source and interface, with the given tos', async () => {
      const receiver = await sockets.bound({ packetInfo: true, receiveTos: true });
      const { port } = receiver.address();
      const socket = sockets.create();
      const to = { port, address: '127.0.0.1' };
      const cases: UdpSendOptions[] = [
        {},
        { tos: 0xb8 },
        { source: '127.0.0.2', tos: 2 },
        { interface: 'lo' },
        { interface: 1 },
      ];
      for (const options of cases) {
        const arrived = once(receiver, 'message');
        await socket.send('x', { ...to, ...options });
        const [, rinfo] = (await arrived) as [Buffer, Record<string, unknown>];
        const { address, destination, interfaceIndex, tos } = rinfo;
        assert.deepEqual(
          { address, destination, interfaceIndex, tos },
          {
            address: options.source ?? '127.0.0.1',
            destination: '127.0.0.1',
            interfaceIndex: 1,
            tos: options.tos ?? 0,
          },
        );
      }
    });
  });
});
