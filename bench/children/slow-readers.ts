// Clients that ask for one large answer after the other, and read a part of it every few milliseconds.
import net from 'node:net';

import { SLOW_PATH, type SlowReadersOrder } from '../protocol';
import { takeOrder } from './session';

const everyMs = 10;
const bytesAtOnce = 256 * 1024;

function readSlowly({ address, port }: SlowReadersOrder): void {
  const socket = net.connect(port, address);
  const ask = (): void =>
    void socket.write(`GET ${SLOW_PATH} HTTP/1.1\r\nHost: ${address}\r\n\r\n`);
  let left = 0;
  let taken = 0;
  socket.on('connect', ask);
  socket.on('data', (data) => {
    if (left === 0) {
      const head = data.indexOf('\r\n\r\n') + 4;
      const length = /content-length: (\d+)/i.exec(data.toString('latin1', 0, head))?.[1];
      left = Number(length) + head;
    }
    left -= data.length;
    taken += data.length;
    if (left === 0) ask();
    if (taken >= bytesAtOnce) socket.pause();
  });
  setInterval(() => {
    taken = 0;
    socket.resume();
  }, everyMs);
  socket.on('error', () => process.exit(0)).on('close', () => process.exit(0));
}

const order = takeOrder<SlowReadersOrder>();
for (let reader = 0; reader < order.readers; reader++) readSlowly(order);
