// Views and signals of another realm (a vm context, as jest has one for each test file) are no instances of
// this realm's classes, and bytes all the same.
import assert from 'node:assert/strict';
import { on, once } from 'node:events';
import net from 'node:net';
import vm from 'node:vm';
import {
  BufferPool,
  connect,
  createPacketSocket,
  createRawSocket,
  createUdpSocket,
  type SendReport,
} from '../../lib/index';
import { openSockets } from '../helpers/dgram-behaviours-open';
import { addressOf, take } from '../helpers/loopback';

/** For experiments: no protocol of anybody's. */
const ETHERTYPE = 0x88b5;
const UNASSIGNED_PROTOCOL = 201;
const BYTES = 50_000;

/** As many bytes as given, all of them `value`. */
function foreign(bytes: number, value: number): Uint8Array {
  const made: unknown = vm.runInNewContext(`new Uint8Array(${bytes}).fill(${value})`);
  assert.ok(!(made instanceof Uint8Array));
  return made as Uint8Array;
}

/** What sends one message of a view; the view is the caller's again when it settles. */
type Ways = Record<string, (view: Uint8Array) => Promise<SendReport>>;

async function assertArrives(
  ways: Ways,
  next: () => Promise<Buffer>,
  bytes: number,
): Promise<void> {
  let value = 1;
  for (const [way, send] of Object.entries(ways)) {
    const view = foreign(bytes, value);
    const report = await send(view);
    view.fill(0xee);
    assert.equal(report.bytes, bytes, way);
    const arrived = await next();
    assert.equal(arrived.length, bytes, way);
    assert.ok(
      arrived.every((byte) => byte === value),
      way,
    );
    value++;
  }
}

describe('a Uint8Array of another realm', () => {
  const sockets = openSockets();

  it('is sent by a TCP socket', async () => {
    const server = net.createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const accepted = once(server, 'connection') as Promise<[net.Socket]>;
    const socket = connect({ ...addressOf(server), zeroCopy: { threshold: 1 } });
    const [receiver] = await accepted;
    const ways: Ways = {
      'one view': (view) => socket.send(view),
      'a list': (view) => socket.send([view]),
    };
    await assertArrives(ways, () => take(receiver, BYTES), BYTES);
    socket.destroy();
    receiver.destroy();
    server.close();
  });

  it('is sent by a UDP socket, in every way', async () => {
    const sink = await sockets.sink();
    const socket = await sockets.connectedTo(sink, { zeroCopy: { threshold: 1 } });
    const ways: Ways = {
      options: (view) => socket.send(view, {}),
      list: (view) => socket.send([view], {}),
      many: (view) => socket.sendMany([view]),
      items: (view) => socket.sendMany([{ data: view }]),
      callback: (view) =>
        new Promise((resolve, reject) => {
          socket.send(view, (error) =>
            error === null ? resolve({ bytes: view.length } as SendReport) : reject(error),
          );
        }),
    };
    const next = async (): Promise<Buffer> => (await sink.next(1))[0] as Buffer;
    await assertArrives(ways, next, BYTES);
  });

  if (process.geteuid?.() === 0) {
    it('is sent by a raw socket', async () => {
      const address = '127.86.3.1';
      const options = { family: 4, protocol: UNASSIGNED_PROTOCOL } as const;
      const receiver = createRawSocket(options);
      const socket = createRawSocket(options);
      const messages = on(receiver, 'message');
      receiver.bind(address);
      await once(receiver, 'listening');
      const ways: Ways = {
        options: (view) => socket.send(view, { address }),
        many: (view) => socket.sendMany([view], { address }),
        items: (view) => socket.sendMany([{ data: view, address }]),
      };
      const next = async (): Promise<Buffer> =>
        ((await messages.next()) as { value: [Buffer] }).value[0].subarray(20);
      await assertArrives(ways, next, 1_000);
      socket.close();
      receiver.close();
    });

    for (const ring of [false, true]) {
      it(`is sent by a packet socket ${ring ? 'with' : 'without'} a ring`, async () => {
        const device = { interface: 'lo', type: 'dgram', protocol: ETHERTYPE } as const;
        const receiver = createPacketSocket({ ...device, ignoreOutgoing: true });
        const socket = createPacketSocket({ ...device, ring });
        const messages = on(receiver, 'message');
        await once(receiver, 'listening');
        const address = '00:00:00:00:00:00';
        const ways: Ways = {
          options: (view) => socket.send(view, { address }),
          many: (view) => socket.sendMany([view], { address }),
          items: (view) => socket.sendMany([{ data: view, address }]),
        };
        const next = async (): Promise<Buffer> =>
          ((await messages.next()) as { value: [Buffer] }).value[0];
        await assertArrives(ways, next, 1_000);
        socket.close();
        receiver.close();
      });
    }
  } else {
    it('skipped: raw and packet sockets need root (remedy: run as root, for instance with sudo)');
  }

  it('is not mistaken for a piece of a pool', () => {
    const pool = new BufferPool({ bytes: 1 << 20 });
    assert.throws(() => pool.free(foreign(5, 1) as Buffer), { code: 'ERR_ZC_FOREIGN_BUFFER' });
  });
});

describe('an AbortSignal of another realm', () => {
  it('closes a UDP socket', async () => {
    // As a window has one (jsdom): Node has no second realm with an AbortController.
    const signal = Object.assign(new EventTarget(), { aborted: false, reason: undefined });
    const socket = createUdpSocket({ type: 'udp4', signal: signal as unknown as AbortSignal });
    const closed = once(socket, 'close');
    signal.aborted = true;
    signal.dispatchEvent(new Event('abort'));
    await closed;
  });
});
