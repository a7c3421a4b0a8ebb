// What a scenario on datagrams begins and ends with: a socket under test, a receiver, and the checks
// that hold after every scenario whatever it did.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  createUdpSocket,
  type DatagramZeroCopyOptions,
  type UdpSocketOptions,
  type ZeroCopyUdpSocket,
} from '../../lib/index';
import { countDescriptors, descriptorsBackTo, portsClosed } from './remains';
import { UdpOutgoing } from './udp-outgoing';
import type { UdpParams } from './udp-place';
import { type Target, UdpReceiver } from './udp-receiver';

/** Every send goes zero-copy, whatever the kernel makes of it. */
export const FORCED: DatagramZeroCopyOptions = { engine: 'msg_zerocopy', threshold: 0 };

export interface Session {
  readonly socket: ZeroCopyUdpSocket;
  readonly out: UdpOutgoing;
  readonly target: Target;
  readonly receiver: UdpReceiver;
}

export interface SessionOptions extends Partial<UdpSocketOptions> {
  /** Connects the socket to the target. Default: 'no'. */
  readonly connected?: 'yes' | 'no';
  /** Whether memory is detached while the kernel has it. Default: 'none'. */
  readonly detached?: 'none' | 'some';
}

/** Everything that was sent has been released, and each notification belonged to a send. */
function assertAccounted(socket: ZeroCopyUdpSocket): void {
  const { stats, pendingBytes, pendingSends } = socket.zeroCopy;
  const { notifications, strayNotifications } = stats;
  assert.deepEqual(
    { pendingBytes, pendingSends, notifications, strayNotifications },
    {
      pendingBytes: 0,
      pendingSends: 0,
      notifications: stats.zeroCopySends,
      strayNotifications: 0,
    },
  );
}

export async function openUdp(
  params: UdpParams,
  options: Partial<UdpSocketOptions> = {},
): Promise<ZeroCopyUdpSocket> {
  const socket = createUdpSocket({ type: params.type, zeroCopy: FORCED, ...options });
  const listening = once(socket, 'listening');
  socket.bind(0);
  await listening;
  return socket;
}

export async function connectUdp(socket: ZeroCopyUdpSocket, to: Target): Promise<void> {
  const connected = once(socket, 'connect');
  socket.connect(to.port, to.address);
  await connected;
}

export async function closeUdp(socket: ZeroCopyUdpSocket): Promise<void> {
  await new Promise<void>((resolve) => socket.close(resolve));
}

/** Runs `body` and checks what it leaves behind. */
export async function withSession(
  params: UdpParams,
  options: SessionOptions,
  body: (session: Session) => Promise<void>,
): Promise<void> {
  const { connected = 'no', detached = 'none', ...socketOptions } = options;
  const receiver = await UdpReceiver.open(params.at);
  // The first socket of a process opens what all of them share, which stays.
  await closeUdp(await openUdp(params));
  await portsClosed();
  const descriptors = countDescriptors();
  const target = await receiver.target(params.type);
  const socket = await openUdp(params, socketOptions);
  try {
    if (connected === 'yes') await connectUdp(socket, target);
    await body({ socket, out: new UdpOutgoing(), target, receiver });
    await socket.zeroCopy.flush();
    assertAccounted(socket);
    if (detached === 'none') assert.equal(socket.zeroCopy.stats.detachedBuffers, 0);
  } finally {
    await closeUdp(socket).catch(() => undefined); // closed by the scenario
    await nextTurn();
  }
  await portsClosed();
  await descriptorsBackTo(descriptors);
  await receiver.close();
}
