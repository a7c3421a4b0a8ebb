// What is refused before anything is sent, and sockets that are closed or were never opened.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  capabilities,
  createPacketSocket,
  type PacketSocketOptions,
  type ZeroCopyPacketSocket,
} from '../../lib/index';
import { assertCode, closed, failureOf, ringOf, scenario, theWire } from './packet-scenario';
import { linkState } from '../helpers/packet-wire';
import { countDescriptors } from '../helpers/remains';

export const unknownInterface = scenario(async (near) => {
  for (const name of ['nosuchdevice', 4_000_000, 'a-name-longer-than-fifteen', '']) {
    const error = await failureOf(() => createPacketSocket({ interface: name }), String(name));
    const codes = ['ENODEV', 'ERR_INVALID_ARG_VALUE', 'ERR_OUT_OF_RANGE'];
    assert.ok(codes.includes(error.code ?? ''), `${name}: ${error.code}: ${error.message}`);
  }
  await assertCode(() => createPacketSocket({ interface: 'nosuchdevice' }), 'ENODEV');
  await assertCode(() => createPacketSocket({ interface: 4_000_000 }), 'ENODEV');
  const { near: here } = near.wire;
  const { ifindex, address, mtu } = linkState(here, here.device);
  const expected = { name: here.device, index: ifindex, mtu, address };
  for (const name of [here.device, ifindex]) {
    const socket = near.open({ interface: name as string });
    const { name: found, index, mtu: most, address: mac } = socket.interface;
    assert.deepEqual({ name: found, index, mtu: most, address: mac }, expected);
  }
});

/** In a process without CAP_NET_RAW. Not wrapped: such a process cannot start the far end. */
export async function unprivileged(): Promise<void> {
  const before = countDescriptors();
  for (const ring of [false, true]) {
    const error = await failureOf(() =>
      createPacketSocket({ interface: theWire().near.device, ring }),
    );
    assert.deepEqual([error.code, error.syscall], ['EPERM', 'socket']);
    assert.match(error.message, /CAP_NET_RAW/);
  }
  assert.ok(countDescriptors() <= before + 3, 'descriptors are left'); // the reactor's own may stay
  const { packet } = capabilities() as unknown as { packet: Record<string, { support: string }> };
  assert.equal(packet['open']?.support, 'no');
}

export function reported(): unknown {
  createPacketSocket({ interface: theWire().near.device }).close();
  return capabilities();
}

export const badOptions = scenario(async (near) => {
  const wrong: readonly [string, unknown][] = [
    ['type', { type: 'stream' }],
    ['protocol', { protocol: -1 }],
    ['protocol', { protocol: 65_536 }],
    ['protocol', { protocol: 'ip' }],
    ['protocol', { protocol: 1.5 }],
    ['ring', { ring: 'yes' }],
    ['ring', { ring: 8 }],
    ['no frames', { ring: { frames: 0 } }],
    ['frames', { ring: { frames: 1.5 } }],
    ['frames', { ring: { frames: -8 } }],
    ['too many frames', { ring: { frames: 2 ** 31 } }],
    ['a frame size of nothing', { ring: { frameSize: 0 } }],
    ['a frame size below any header', { ring: { frameSize: 15 } }],
    ['frameSize', { ring: { frameSize: '2048' } }],
    ['frameSize', { ring: { frameSize: 2 ** 31 } }],
    ['filter', { filter: 'udp' }],
    ['program', { filter: { program: 'udp' } }],
    ['an empty program', { filter: { program: [] } }],
    ['an instruction', { filter: { program: [{ code: 6 }] } }],
    [
      'a long program',
      { filter: { program: new Array(4097).fill({ code: 6, jt: 0, jf: 0, k: 0 }) } },
    ],
    ['a program without an end', { filter: { program: [{ code: 0x28, jt: 0, jf: 0, k: 12 }] } }],
    ['maxQueuedBytes', { maxQueuedBytes: -1 }],
    ['whenQueueFull', { whenQueueFull: 'drop' }],
    ['sendBufferSize', { sendBufferSize: 'large' }],
    ['signal', { signal: 'now' }],
    ['engine', { zeroCopy: { engine: 'none' } }],
    ['virtio header of type dgram', { virtioHeader: true, type: 'dgram', ring: true }],
  ];
  const optional = new Set(['virtio header of type dgram']); // the kernel's word, if any
  for (const [what, options] of wrong) {
    const given = { interface: near.wire.near.device, ...(options as object) };
    let socket: ZeroCopyPacketSocket | undefined;
    const error = await failureOf(() => {
      socket = createPacketSocket(given as PacketSocketOptions);
      throw new Error('was accepted');
    }, what);
    if (socket !== undefined) await closed(socket);
    if (optional.has(what) && socket !== undefined) continue;
    assert.match(
      error.code ?? '',
      /^(ERR_|EINVAL)/,
      `${what} ${JSON.stringify(options).slice(0, 80)}: ${error.message}`,
    );
  }
  for (const nothing of [undefined, null, 'eth0', {}, { interface: null }]) {
    await assertCode(() => createPacketSocket(nothing as never), 'ERR_INVALID_ARG_TYPE');
  }
});

/** Any memory is as good as the default's. */
export const ringShapes = scenario(async (near) => {
  const { udp, out } = await near.route(4);
  for (const ring of [
    { frames: 1 },
    { frames: 2 },
    { frames: 3 },
    { frames: 7, frameSize: 1600 },
    { frames: 1000 },
    { frameSize: 2000 },
    { frameSize: 4096 },
    { frames: 5, frameSize: 5000 },
    { frames: 3, frameSize: 65_600 },
  ]) {
    const socket = near.open({ ring });
    assert.ok(socket.freeFrames >= (ring.frames ?? 1), `${socket.freeFrames} frames`);
    for (let i = 0; i < 10; i++) {
      const views: Buffer[] = [];
      while (socket.freeFrames > 0 && views.length < 4) {
        const frame = out.frame(1400);
        const view = socket.reserve(frame.length);
        frame.copy(view);
        views.push(view);
      }
      await socket.commit(views);
    }
    await udp.expect(out.taken());
  }
});

export const wrongArguments = scenario(async (near) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ring: ringOf(8) });
  const linkless = near.open({ type: 'dgram' });
  const wrong: readonly [string, () => unknown][] = [
    ['no frame', () => socket.send(undefined as never, {})],
    ['a string', () => socket.send('frame' as never, {})],
    ['a list of strings', () => socket.send(['frame'] as never, {})],
    ['options', () => socket.send(out.stray(1), 'now' as never)],
    ['a signal', () => socket.send(out.stray(1), { signal: 1 as never })],
    ['a protocol', () => socket.send(out.stray(1), { protocol: -1 })],
    ['no address', () => linkless.send(out.stray(1), {})],
    ['an address', () => linkless.send(out.stray(1), { address: '10.0.0.1' })],
    ['an address', () => linkless.send(out.stray(1), { address: 7 as never })],
    ['no list', () => socket.sendMany(out.stray(1) as never)],
    ['a list of numbers', () => socket.sendMany([1] as never)],
    ['a frame without data', () => socket.sendMany([{}] as never)],
    ['a length', () => socket.reserve('100' as never)],
    ['a length', () => socket.reserve(-1)],
    ['a length', () => socket.reserve(100.5)],
    ['a length', () => socket.reserve(Number.NaN)],
  ];
  for (const [what, body] of wrong) {
    assert.match((await failureOf(body, what)).code ?? '', /^ERR_/, what);
  }
  await udp.expect([]);
  assert.equal(socket.freeFrames, 8);
});

export const closedSocket = scenario<{ readonly ring: boolean }>(async (near, { ring }) => {
  const socket = near.open({ ring });
  const events: string[] = [];
  socket.on('close', () => events.push('close'));
  const done = closed(socket);
  assert.deepEqual(events, [], "'close' was emitted before close() returned");
  await done;
  await new Promise(setImmediate);
  assert.deepEqual(events, ['close']);
  const frame = Buffer.alloc(100);
  const calls: readonly [string, () => unknown][] = [
    ['send', () => socket.send(frame, {})],
    ['send with a callback', () => viaCallback(socket, frame)],
    ['sendMany', () => socket.sendMany([frame])],
    ['reserve', () => socket.reserve(100)],
    ['ready', () => socket.ready()],
    ['setSendBufferSize', () => socket.setSendBufferSize(10_000)],
  ];
  for (const [what, body] of calls) {
    const { code } = await failureOf(body, what);
    const others = what === 'setSendBufferSize' || (!ring && /reserve|ready/.test(what));
    if (others) assert.match(code ?? '', /^ERR_/, what);
    else assert.equal(code, 'ERR_SOCKET_DGRAM_NOT_RUNNING', what);
  }
  assert.equal(socket.freeFrames, 0);
  await socket.zeroCopy.flush();
});

function viaCallback(socket: ZeroCopyPacketSocket, frame: Buffer): Promise<void> {
  return new Promise((resolve, reject) =>
    socket.send(frame, (error) => (error === null ? resolve() : reject(error))),
  );
}

/** Other ways to the end: a signal, `await using`. */
export const ended = scenario(async (near) => {
  const controller = new AbortController();
  const signalled = near.open({ signal: controller.signal, ring: true });
  const gone = once(signalled, 'close');
  controller.abort();
  await gone;
  await assertCode(() => signalled.send(Buffer.alloc(60), {}), 'ERR_SOCKET_DGRAM_NOT_RUNNING');
  const disposed = near.open({ ring: true });
  await disposed[Symbol.asyncDispose]();
  await assertCode(() => disposed.send(Buffer.alloc(60), {}), 'ERR_SOCKET_DGRAM_NOT_RUNNING');
  await disposed[Symbol.asyncDispose]();
});

export const bufferSizes = scenario(async (near) => {
  const socket = near.open({ recvBufferSize: 50_000, sendBufferSize: 60_000 });
  assert.ok(socket.getRecvBufferSize() >= 50_000);
  assert.ok(socket.getSendBufferSize() >= 60_000);
  socket.setRecvBufferSize(70_000);
  socket.setSendBufferSize(80_000);
  assert.ok(socket.getRecvBufferSize() >= 70_000);
  assert.ok(socket.getSendBufferSize() >= 80_000);
  assert.equal(socket.ref(), socket);
  assert.equal(socket.unref(), socket);
});
