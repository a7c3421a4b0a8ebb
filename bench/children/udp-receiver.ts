// One UDP socket that is flooded; its program does nothing with the datagrams but count them.
import dgram from 'node:dgram';
import net from 'node:net';

import type { ReceiveOrder } from '../protocol';
import { Meter } from './meter';
import { say, takeOrder } from './session';

// The same for everybody: room for some 1,800 datagrams of 1400 bytes.
const recvBufferSize = 2_097_152;

async function open(order: ReceiveOrder): Promise<dgram.Socket> {
  const type = net.isIPv6(order.address) ? 'udp6' : 'udp4';
  const { name, kind } = order.contestant;
  if (kind === 'plain') return dgram.createSocket({ type, recvBufferSize });
  const { createUdpSocket } = await import('../../lib/index.js');
  return createUdpSocket({ type, recvBufferSize, gro: name === 'gro' });
}

async function main(): Promise<void> {
  const order = takeOrder<ReceiveOrder>();
  const { segment } = order;
  const socket = await open(order);
  // What is sent here has nothing to do with zero copy, so the meter hears of no socket.
  let meter: Meter | undefined;
  socket.on('message', (message: Buffer) => {
    if (message.length !== segment) throw new Error(`a datagram of ${message.length} bytes`);
    meter ??= new Meter(order, { bytes: segment, datagrams: 1 }, undefined);
    if (meter.took(1)) return;
    socket.removeAllListeners('message');
    socket.close();
  });
  socket.bind(0, order.address, () => {
    say({ event: 'ready', port: socket.address().port } as { event: string });
  });
}

void main();
