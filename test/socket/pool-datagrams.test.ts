// Pieces of a pool that a datagram socket was given, freed before they are sent: they are not handed out
// again before that.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { isIP } from 'node:net';
import { BufferPool, createUdpSocket, type ZeroCopyUdpSocket } from '../../lib/index';
import { overwriteFree } from '../helpers/pool-pieces';
import { until } from '../../scripts/until';

const KIB = 1024;

describe('a piece of a pool sent by a UDP socket', () => {
  const sockets: ZeroCopyUdpSocket[] = [];
  afterEach(async () => {
    for (const socket of sockets.splice(0)) {
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    }
  });

  async function receiving(): Promise<{ to: { port: number; address: string }; got: number[][] }> {
    const receiver = createUdpSocket('udp4');
    sockets.push(receiver);
    const got: number[][] = [];
    receiver.on('message', (message) => got.push([message.length, ...new Set(message)]));
    receiver.bind(0, '127.0.0.1');
    await once(receiver, 'listening');
    return { to: { port: receiver.address().port, address: '127.0.0.1' }, got };
  }

  type Send = (
    socket: ZeroCopyUdpSocket,
    to: { port: number; address: string },
    pieces: readonly [Buffer, Buffer],
  ) => Promise<unknown>;
  const WAYS: readonly (readonly [name: string, send: Send])[] = [
    [
      'with a callback',
      (socket, { port, address }, pieces) =>
        Promise.all(
          pieces.map((piece) => new Promise((done) => socket.send(piece, port, address, done))),
        ),
    ],
    [
      'to a name that is looked up',
      (socket, { port }, pieces) =>
        Promise.all(
          pieces.map((piece) => new Promise((done) => socket.send(piece, port, 'localhost', done))),
        ),
    ],
    [
      'with a promise',
      (socket, to, pieces) =>
        Promise.all(
          pieces.map((piece) => socket.send([piece.subarray(0, 5), piece.subarray(5)], to)),
        ),
    ],
    ['by sendMany()', (socket, to, pieces) => socket.sendMany([...pieces], to)],
    [
      'corked, both in one datagram',
      (socket, to, [a, b]) => {
        socket.cork();
        const sent = [
          socket.send(a, to),
          new Promise((done) => socket.send(b, to.port, to.address, done)),
        ];
        setImmediate(() => socket.uncork());
        return Promise.all(sent);
      },
    ],
  ];
  for (const [name, send] of WAYS) {
    it(`${name} arrives intact, although it is freed right after the call`, async () => {
      const { to, got } = await receiving();
      const socket = createUdpSocket('udp4');
      sockets.push(socket);
      const pool = new BufferPool({ bytes: 256 * KIB });
      const pieces = [1, 2].map((value) => pool.allocUnsafe(20_000).fill(value));
      const [a, b] = pieces as unknown as [Buffer, Buffer];
      const sent = send(socket, to, [a, b]);
      pool.free(a);
      pool.free(b);
      overwriteFree(pool);
      await sent;
      const expected = name.startsWith('corked')
        ? [[40_000, 1, 2]]
        : [
            [20_000, 1],
            [20_000, 2],
          ];
      await until('all arrived', () => got.length === expected.length);
      // Lookups of one name may end in any order.
      assert.deepEqual(got.sort(), expected);
      const { pieces: left, pinnedPieces, waitingFrees } = pool.stats;
      assert.deepEqual([left, pinnedPieces, waitingFrees], [0, 0, 0]);
    });
  }

  it('returns to the pool when the lookup throws', async () => {
    const lookup = (
      name: string,
      _family: number,
      done: (error: null, ip: string) => void,
    ): void => {
      if (isIP(name) === 0) throw new Error('no lookup');
      done(null, name);
    };
    const socket = createUdpSocket({ type: 'udp4', lookup: lookup as never });
    sockets.push(socket);
    socket.bind(0);
    await once(socket, 'listening');
    const pool = new BufferPool({ bytes: 64 * KIB });
    const piece = pool.allocUnsafe(20_000);
    const send = (): unknown => socket.send(piece, 9, 'somewhere.example', () => undefined);
    assert.throws(send, /no lookup/);
    pool.free(piece);
    assert.deepEqual([pool.stats.pieces, pool.stats.pinnedPieces], [0, 0]);
  });
});
