// Programs whose timers, ticks and clocks are not Node's own: under the fakes of a test, and in a window.
import assert from 'node:assert/strict';
import { isolated, type Tools } from '../helpers/isolated';

/** What a UDP socket heard while it lived: its events in their order. */
async function udpLife({ zc, freezeTime, freezeTicks }: Tools): Promise<string[]> {
  const heard: string[] = [];
  const receiver = zc.createUdpSocket('udp4');
  const sender = zc.createUdpSocket({ type: 'udp4', zeroCopy: { threshold: 1 } });
  freezeTime();
  freezeTicks();
  await new Promise<void>((resolve) => receiver.bind(0, '127.0.0.1', resolve));
  const { port } = receiver.address();
  heard.push('bound');
  await new Promise<void>((resolve) => sender.connect(port, '127.0.0.1', () => resolve()));
  heard.push('connected');
  let arrived: (message: Buffer) => void = () => undefined;
  receiver.on('message', (message) => arrived(message));
  for (let byte = 0; byte < 10; byte++) {
    // Fewer than the receiver's buffer holds.
    let left = 20;
    const all = new Promise<void>((resolve) => {
      arrived = (message) => {
        if (message.every((one) => one === byte) && --left === 0) resolve();
      };
    });
    const payload = Buffer.alloc(1_000, byte);
    const sends = Array.from(
      { length: left - 1 },
      () => new Promise((resolve) => sender.send(payload, resolve)),
    );
    await Promise.all([...sends, sender.send(payload, {})]);
    await all;
  }
  heard.push('sent and received');
  await sender.zeroCopy.flush();
  await new Promise<void>((resolve) => sender.close(resolve));
  await new Promise<void>((resolve) => receiver.close(resolve));
  heard.push('closed');
  return heard;
}

/** A connection whose peer does not read is destroyed: what its write is told, and when all is released. */
async function stalled({ zc, net, freezeTime }: Tools): Promise<string[]> {
  const heard: string[] = [];
  const peers: import('node:net').Socket[] = [];
  const server = net.createServer((peer) => peers.push(peer.pause()));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as import('node:net').AddressInfo;
  const socket = zc.connect({
    port,
    host: '127.0.0.1',
    zeroCopy: { threshold: 1, engine: 'msg_zerocopy', lingerTimeoutMs: 200 },
  });
  await new Promise((resolve) => socket.once('connect', resolve));
  freezeTime();
  const told = new Promise<void>((resolve) => {
    socket.write(Buffer.alloc(32 << 20, 7), (error) => {
      heard.push(error == null ? 'no error' : 'error', `pending ${socket.zeroCopy.pendingBytes}`);
      resolve();
    });
  });
  socket.on('error', () => undefined).destroy();
  if (socket.zeroCopy.pendingBytes > 0) heard.push('pinned');
  await told;
  server.close();
  for (const peer of peers) peer.destroy();
  return heard;
}

describe('fake timers that a test installs', () => {
  it('do not stop a UDP socket from binding, connecting, sending, receiving and closing', async () => {
    const { answer, stderr } = await isolated(udpLife);
    assert.equal(stderr, '');
    assert.deepEqual(answer, ['bound', 'connected', 'sent and received', 'closed']);
  });

  it('do not delay the callback of a write on a stalled connection that was destroyed', async () => {
    const { answer, stderr } = await isolated(stalled);
    assert.equal(stderr, '');
    assert.deepEqual(answer, ['pinned', 'error', 'pending 0']);
  });
});

describe('a window whose timers are numbers', () => {
  it('lets connections and UDP sockets send, call back and close', async () => {
    const before = (): void => {
      const { setTimeout: later, setInterval: often } = globalThis;
      const numbered = globalThis as unknown as Record<string, unknown>;
      numbered['setTimeout'] = (...given: Parameters<typeof later>) => Number(later(...given));
      numbered['setInterval'] = (...given: Parameters<typeof often>) => Number(often(...given));
    };
    const { answer, stderr } = await isolated(
      async ({ zc, net }) => {
        const server = net.createServer((peer) => peer.on('data', () => undefined));
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
        const { port } = server.address() as import('node:net').AddressInfo;
        const heard: string[] = [];
        const told: Promise<void>[] = [];
        for (const engine of ['io_uring', 'msg_zerocopy'] as const) {
          const zeroCopy = { threshold: 1, engine };
          const socket = zc.connect({ port, host: '127.0.0.1', zeroCopy });
          const body = Buffer.alloc(1 << 20);
          await new Promise<void>((resolve) => socket.write(body, () => resolve()));
          heard.push(`${engine} written`);
          told.push(new Promise((resolve) => socket.once('close', () => resolve())));
          socket.end().resume();
        }
        await Promise.all(told);
        heard.push('closed');
        await new Promise((resolve) => server.close(resolve));
        return heard;
      },
      { before },
    );
    assert.equal(stderr, '');
    assert.deepEqual(answer, ['io_uring written', 'msg_zerocopy written', 'closed']);
  });
});
