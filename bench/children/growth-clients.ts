// The other end of the mixed load: connects, reads, and goes away in every way there is.
import net from 'node:net';

import type { GrowthClientsOrder } from '../protocol';
import { takeOrder } from './session';
import { seededRandom } from '../../scripts/random';

const pauseMs = 5;
const random = seededRandom(1);

function oneAfterAnother(order: GrowthClientsOrder): void {
  const socket = net.connect(order.port, order.address);
  // A third leaves early, by a plain close or a reset.
  const dice = random();
  const leaveAfter = dice < 0.33 ? random() * 2_000_000 : Infinity;
  let received = 0;
  socket.on('data', (data) => {
    received += data.length;
    if (received < leaveAfter) return;
    if (dice < 0.15) socket.resetAndDestroy();
    else socket.destroy();
  });
  socket.on('error', () => undefined);
  socket.on('close', () => setTimeout(() => oneAfterAnother(order), pauseMs));
}

const order = takeOrder<GrowthClientsOrder>();
for (let index = 0; index < order.connections; index++) oneAfterAnother(order);
