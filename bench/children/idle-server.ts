// Holds idle connections and says what they weigh.
import { readdirSync } from 'node:fs';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import type { IdleServerOrder, MemoryFigures } from '../protocol';
import { say, takeOrder } from './session';
import { upgradeFor } from './upgrade';

const collect = (globalThis as { gc?: () => void }).gc;
const backlog = 4096;

async function main(): Promise<void> {
  const order = takeOrder<IdleServerOrder>();
  const upgrade = await upgradeFor(order.contestant);
  const greeting = Buffer.allocUnsafeSlow(order.greeting).fill('greeting ');
  const sockets: net.Socket[] = [];
  let onFull: () => void = () => undefined;
  const full = new Promise<void>((resolve) => (onFull = resolve));
  const server = net.createServer((socket) => {
    sockets.push(socket);
    // The clients are killed at the end: their resets are none of our business.
    socket.on('error', () => undefined).resume();
    if (order.greeting > 0) socket.write(greeting);
    if (sockets.length === order.connections) onFull();
  });
  upgrade.apply(server);
  const before = await weigh();
  server.listen({ port: 0, host: order.address, backlog }, () => {
    say({ event: 'ready', port: (server.address() as net.AddressInfo).port } as { event: string });
  });
  await full;
  await sleep(order.settleSeconds * 1000);
  const after = await weigh();
  say({ event: 'weighed', before, after } as { event: string });
}

async function weigh(): Promise<MemoryFigures> {
  // Twice, with a turn of the loop between: finalizers of the first round free more.
  for (let round = 0; round < 2; round++) {
    collect?.();
    await sleep(100);
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  const descriptors = readdirSync('/proc/self/fd').length;
  return { rss, heap: heapUsed, external, descriptors };
}

void main();
