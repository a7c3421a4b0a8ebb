// One connected UDP socket that sends without pause, in the way the contestant's name says. The
// buffers are never changed.
import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';

import type { UdpSocketOptions, ZeroCopyUdpSocket } from '../../lib/index.js';
import type { DatagramOrder } from '../protocol';
import { keepSending, makeBuffers, Meter } from './meter';
import { takeOrder } from './session';

const outstanding = 64;
const together = 64;
const outstandingGso = 16;

type Start = (socket: ZeroCopyUdpSocket, order: DatagramOrder, meter: Meter) => Promise<void>;

const starts: Record<string, Start> = {
  'send-many': sendMany,
  gso: sendSegmented,
  'gso-zerocopy': sendSegmented,
};

async function main(): Promise<void> {
  const order = takeOrder<DatagramOrder>();
  const { name, kind } = order.contestant;
  const type = net.isIPv6(order.address) ? 'udp6' : 'udp4';
  if (kind === 'plain') {
    const socket = dgram.createSocket(type);
    await connect(socket, order);
    sendSingly(socket, order, meterFor(order, undefined));
    return;
  }
  // Loaded by upgraded contestants alone, so that plain ones pay for none of it.
  const { createUdpSocket } = await import('../../lib/index.js');
  const settings = order.contestant.settings as UdpSocketOptions['zeroCopy'];
  // Settings were made for a size: told 'copy' or 'msg_zerocopy', every send is to go that way.
  const zeroCopy = settings && { threshold: 1, ...settings };
  const socket = createUdpSocket({ type, ...(zeroCopy && { zeroCopy }) });
  await connect(socket, order);
  const start = starts[name];
  const meter = meterFor(order, socket);
  if (start) await start(socket, order, meter);
  else sendSingly(socket, order, meter);
}

async function connect(socket: dgram.Socket, { port, address }: DatagramOrder): Promise<void> {
  const connected = once(socket, 'connect');
  socket.connect(port, address);
  await connected;
}

function meterFor({ size, segment, ...order }: DatagramOrder, socket: object | undefined): Meter {
  return new Meter(order, { bytes: size, datagrams: Math.ceil(size / segment) }, socket);
}

function sendSingly(socket: dgram.Socket, { size, buffers }: DatagramOrder, meter: Meter): void {
  keepSending(
    meter,
    makeBuffers(size, buffers),
    outstanding,
    (buffer, sent) => socket.send(buffer, sent),
    () => socket.close(),
  );
}

async function sendMany(
  socket: ZeroCopyUdpSocket,
  { size, buffers }: DatagramOrder,
  meter: Meter,
): Promise<void> {
  const batch = makeBuffers(size, buffers).slice(0, together);
  do await socket.sendMany(batch);
  while (meter.took(batch.length));
  socket.close();
}

async function sendSegmented(
  socket: ZeroCopyUdpSocket,
  { size, segment, buffers }: DatagramOrder,
  meter: Meter,
): Promise<void> {
  const sources = makeBuffers(size, buffers);
  const options = { segmentSize: segment };
  let next = 0;
  const keepOneGoing = async (): Promise<void> => {
    do {
      const buffer = sources[next] as Buffer;
      next = next + 1 === sources.length ? 0 : next + 1;
      await socket.send(buffer, options);
    } while (meter.took(1));
  };
  await Promise.all(Array.from({ length: outstandingGso }, keepOneGoing));
  socket.close();
}

void main();
