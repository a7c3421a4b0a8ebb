// Opens connections, reads what comes, and stays until the runner ends it.
import net from 'node:net';

import type { IdleClientsOrder } from '../protocol';
import { say, takeOrder } from './session';

// A few hundred at a time: a larger burst would overflow the server's backlog and wait for SYN retries.
const atOnce = 200;

function connectOne(order: IdleClientsOrder): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(order.port, order.address);
    let missing = order.greeting;
    socket.once('error', reject);
    socket.once('connect', () => {
      if (missing === 0) resolve();
    });
    socket.on('data', (data) => {
      missing -= data.length;
      if (missing === 0) resolve();
    });
  });
}

async function main(): Promise<void> {
  const order = takeOrder<IdleClientsOrder>();
  for (let open = 0; open < order.connections; open += atOnce) {
    const count = Math.min(atOnce, order.connections - open);
    await Promise.all(Array.from({ length: count }, () => connectOne(order)));
  }
  say({ event: 'connected' });
}

void main();
