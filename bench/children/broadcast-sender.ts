// One message to many sockets in one turn of the event loop, again and again. A socket whose peer is slow is
// left out, as chat servers do. The message is never changed.
import type net from 'node:net';
import WebSocket from 'ws';

import type { BroadcastOrder, Result, Snapshot } from '../protocol';
import { say, takeOrder, takeSnapshot } from './session';
import { connectAll } from './sockets';
import { upgradeFor } from './upgrade';

/** Messages that may wait in a socket. */
const mostWaiting = 4;

interface WsSender {
  send(
    data: Buffer,
    options: { binary: boolean; fin: boolean; mask: boolean; compress: boolean },
  ): void;
}

/** How a message goes to each socket. */
function writersOf(
  sockets: readonly net.Socket[],
  by: BroadcastOrder['by'],
): ((data: Buffer) => void)[] {
  if (by === 'write') return sockets.map((socket) => (data) => void socket.write(data));
  const { Sender } = WebSocket as unknown as {
    Sender: new (socket: net.Socket, extensions: object) => WsSender;
  };
  return sockets.map((socket) => {
    const sender = new Sender(socket, {});
    return (data) => sender.send(data, { binary: true, fin: true, mask: false, compress: false });
  });
}

function waitingIn(sockets: readonly net.Socket[]): number {
  return sockets.reduce((sum, socket) => sum + socket.writableLength, 0);
}

async function main(): Promise<void> {
  const order = takeOrder<BroadcastOrder>();
  const { size, everyMs, warmup, seconds, by } = order;
  const upgrade = await upgradeFor(order.contestant, { size, count: 1 });
  const sockets = await connectAll(order, upgrade);
  const message = upgrade.allocate(size).fill('m');
  for (const socket of sockets) socket.setNoDelay(true);
  const writers = writersOf(sockets, by);
  let writes = 0;
  const snapshot = (): Snapshot => {
    const bytes = writes * size - waitingIn(sockets);
    return takeSnapshot(order.kernelThreads, { bytes, writes: bytes / size }, upgrade.totals());
  };
  const startAt = performance.now() + warmup * 1000;
  let start: Snapshot | undefined;
  const timer = setInterval(() => {
    for (const [at, socket] of sockets.entries()) {
      if (socket.writableLength > size * mostWaiting) continue;
      writers[at]?.(message);
      writes++;
    }
    const now = performance.now();
    if (now < startAt) return;
    start ??= snapshot();
    if (now < start.at + seconds * 1000) return;
    const result: Result = { event: 'result', start, end: snapshot(), ...upgrade.verdict() };
    say(result);
    clearInterval(timer);
    for (const socket of sockets) socket.destroy();
  }, everyMs);
}

void main();
