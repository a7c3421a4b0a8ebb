// Many sockets of one process that write in turn: each its next buffer when its last was taken, so
// that one write of each is outstanding. The buffers are never changed.
import type net from 'node:net';

import type { ConnectionsOrder, Result, Snapshot } from '../protocol';
import { buffersIn, makeBuffers } from './meter';
import { say, takeOrder, takeSnapshot } from './session';
import { connectAll } from './sockets';
import { upgradeFor, type Upgrade } from './upgrade';

const checkEveryBytes = 1_048_576;

function run(
  sockets: readonly net.Socket[],
  buffers: readonly Buffer[],
  order: ConnectionsOrder,
  upgrade: Upgrade,
): void {
  const checkEvery = Math.ceil(checkEveryBytes / order.size);
  const startAt = performance.now() + order.warmup * 1000;
  let writes = 0;
  let untilCheck = checkEvery;
  let start: Snapshot | undefined;
  const snapshot = (): Snapshot => {
    const waiting = sockets.reduce((sum, socket) => sum + socket.writableLength, 0);
    const bytes = writes * order.size - waiting;
    const done = { bytes, writes: bytes / order.size };
    return takeSnapshot(order.kernelThreads, done, upgrade.totals());
  };
  const check = (): void => {
    const now = performance.now();
    if (now < startAt) return;
    start ??= snapshot();
    if (now < start.at + order.seconds * 1000) return;
    const result: Result = { event: 'result', start, end: snapshot(), ...upgrade.verdict() };
    say(result);
    for (const socket of sockets) socket.removeAllListeners('drain').destroy();
  };
  const ready = [...sockets];
  // A socket leaves the queue when it is full, and comes back with its 'drain'. A write that was taken at
  // once says so by returning true, and has no 'drain'.
  const writeReady = (): void => {
    for (let socket = ready.shift(); socket; socket = ready.shift()) {
      if (socket.destroyed) continue;
      const room = socket.write(buffers[writes % buffers.length] as Buffer);
      writes++;
      if (room) ready.push(socket);
      if (--untilCheck > 0) continue;
      untilCheck = checkEvery;
      check();
    }
  };
  for (const socket of sockets) {
    socket.on('drain', () => {
      ready.push(socket);
      writeReady();
    });
  }
  writeReady();
}

async function main(): Promise<void> {
  const order = takeOrder<ConnectionsOrder>();
  const { size } = order;
  const source = { size, count: buffersIn(order.footprint, size) };
  const upgrade = await upgradeFor(order.contestant, source);
  const sockets = await connectAll(order, upgrade);
  run(sockets, makeBuffers(size, source.count, upgrade.allocate), order, upgrade);
}

void main();
