// One raw IPv4 socket that sends packets with a header of their own without pause, in the way the
// contestant's name says. The buffers are never changed; what goes by the ring is produced in it.
import net from 'node:net';

import type { ZeroCopyRawSocket } from '../../lib/index.js';
import type { DatagramOrder } from '../protocol';
import { keepSending, makeBuffers, Meter, type Sent } from './meter';
import { takeOrder } from './session';

const outstanding = 64;
const together = 64;
/** RFC 3692: for experiments. */
const protocol = 253;
const headerBytes = 20;
const counterBytes = 4;
/** In front of a ring frame's data: TPACKET2_HDRLEN, rounded up. */
const ringFrameOverhead = 64;
/** IPPROTO_RAW: sends any protocol, receives none. */
const anyProtocol = 255;

/** The kernel fills in length, checksum, identification and source: raw(7). The ring does, too. */
function makeHeader({ address }: DatagramOrder): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt8(0x45, 0);
  header.writeUInt8(64, 8);
  header.writeUInt8(protocol, 9);
  header.set(address.split('.').map(Number), 16);
  return header;
}

function makePackets(order: DatagramOrder): Buffer[] {
  const header = makeHeader(order);
  return makeBuffers(order.size, order.buffers).map((packet) => {
    packet.set(header);
    return packet;
  });
}

async function main(): Promise<void> {
  const order = takeOrder<DatagramOrder>();
  if (!net.isIPv4(order.address)) throw new Error(`not an IPv4 address: ${order.address}`);
  const unit = { bytes: order.size, datagrams: 1 };
  if (order.contestant.kind === 'plain') {
    sendByPackage(order, new Meter(order, unit, undefined));
    return;
  }
  const { createRawSocket } = await import('../../lib/index.js');
  const { name } = order.contestant;
  const ring = name === 'ring' && ringFor(order);
  const socket = createRawSocket({ family: 4, protocol: anyProtocol, headerIncluded: true, ring });
  const meter = new Meter(order, unit, socket);
  if (name === 'ring') await sendByRing(socket, order, meter);
  else if (name === 'send-many') await sendMany(socket, order, meter);
  else sendSingly(socket, order, meter);
}

/** As far as it is used here; the package has no types. */
interface RawSocketPackage {
  SocketLevel: { IPPROTO_IP: number };
  SocketOption: { IP_HDRINCL: number };
  createSocket(options: { protocol: number }): {
    setOption(level: number, option: number, value: number): void;
    send(packet: Buffer, offset: number, length: number, address: string, sent: Sent): void;
    close(): void;
  };
}

function sendByPackage(order: DatagramOrder, meter: Meter): void {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- optional, and found by NODE_PATH
  const raw = require('raw-socket') as RawSocketPackage;
  const socket = raw.createSocket({ protocol: anyProtocol });
  socket.setOption(raw.SocketLevel.IPPROTO_IP, raw.SocketOption.IP_HDRINCL, 1);
  const { address } = order;
  keepSending(
    meter,
    makePackets(order),
    outstanding,
    (packet, sent) => socket.send(packet, 0, packet.length, address, sent),
    () => socket.close(),
  );
}

function sendSingly(socket: ZeroCopyRawSocket, order: DatagramOrder, meter: Meter): void {
  const { address } = order;
  keepSending(
    meter,
    makePackets(order),
    outstanding,
    (packet, sent) => socket.send(packet, address, sent),
    () => socket.close(),
  );
}

async function sendMany(
  socket: ZeroCopyRawSocket,
  order: DatagramOrder,
  meter: Meter,
): Promise<void> {
  const batch = makePackets(order).slice(0, together);
  const options = { address: order.address };
  do await socket.sendMany(batch, options);
  while (meter.took(batch.length));
  socket.close();
}

function ringFor({ size, buffers }: DatagramOrder): { frames: number; frameSize: number } {
  return { frames: buffers, frameSize: 2 ** Math.ceil(Math.log2(size + ringFrameOverhead)) };
}

// Headers and a counter in every packet, the rest in the first of a batch, as bench/cpacket.c produces. While one
// batch is with the kernel the next is produced.
async function sendByRing(
  socket: ZeroCopyRawSocket,
  order: DatagramOrder,
  meter: Meter,
): Promise<void> {
  const header = makeHeader(order);
  const options = { address: order.address };
  let counter = 0;
  let earlier: Promise<unknown> | undefined;
  do {
    const batch: Buffer[] = [];
    while (batch.length < together) {
      if (socket.freeFrames === 0) await socket.ready();
      const packet = socket.reserve(order.size);
      packet.set(header);
      packet.writeUInt32LE(counter++ >>> 0, headerBytes);
      if (batch.length === 0) packet.fill(counter & 255, headerBytes + counterBytes);
      batch.push(packet);
    }
    const commit = socket.commit(batch, options);
    await earlier;
    earlier = commit;
  } while (meter.took(together));
  await earlier;
  socket.close();
}

void main();
