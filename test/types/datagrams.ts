// The types of datagram sockets as programs use them: compiled, never run.
import type dgram from 'node:dgram';
import type { EventEmitter } from 'node:events';
import {
  createPacketSocket,
  createRawSocket,
  createUdpSocket,
  headers,
  type DatagramStats,
  type PacketRemoteInfo,
  type RawRemoteInfo,
  type SendReport,
  type UdpRemoteInfo,
  type ZeroCopyUdpSocket,
} from '../../lib/index';

export async function udp(buffer: Buffer, signal: AbortSignal): Promise<void> {
  const socket: ZeroCopyUdpSocket = createUdpSocket({
    type: 'udp4',
    gro: 'whole',
    reusePort: true,
  });
  // Whoever takes a socket of node:dgram takes this one.
  const plain: dgram.Socket = socket;
  plain.send('text', 1234, 'localhost');
  socket.send(buffer, 1234, (error, bytes) => void [error?.message, bytes.toFixed()]);
  socket.send(buffer, 0, 10, 1234, 'localhost');
  const report: SendReport = await socket.send([buffer, 'text'], { segmentSize: 1400, signal });
  void report.zeroCopyBytes;
  await socket.sendMany([buffer, { data: [buffer], port: 1, tos: 2 }], { port: 3 });
  const stats: DatagramStats = socket.zeroCopy.stats;
  void stats.receiveDrops;
  for await (const { data, rinfo } of socket) {
    const info: UdpRemoteInfo = rinfo;
    void [data.length, info.segmentSize, info.destination];
  }
  // @ts-expect-error an engine that datagrams do not have
  createUdpSocket({ type: 'udp4', zeroCopy: { engine: 'io_uring' } });
  // @ts-expect-error a number of bytes
  socket.send(buffer, { segmentSize: '1400' });
  // @ts-expect-error the type is needed
  createUdpSocket({});
}

export async function raw(buffer: Buffer): Promise<void> {
  const socket = createRawSocket({ family: 4, protocol: 'icmp', filter: { icmpTypes: [0] } });
  const emitter: EventEmitter = socket;
  void emitter;
  socket.send(buffer, '127.0.0.1', (error) => void error?.message);
  const report: SendReport = await socket.send([buffer], { address: '127.0.0.1' });
  void report;
  for await (const { rinfo } of socket) {
    const info: RawRemoteInfo = rinfo;
    void info.size;
  }
  const ring = createRawSocket({ family: 6, protocol: 'raw', headerIncluded: true, ring: true });
  const reserved: Buffer = ring.reserve(100);
  const sent: SendReport = await ring.commit([reserved], { address: '::1' });
  void sent.reason;
  // @ts-expect-error the header says it
  void ring.commit(reserved, { address: '::1', tos: 4 });
  // @ts-expect-error no such family
  createRawSocket({ family: 5, protocol: 1 });
}

export async function packet(frame: Buffer): Promise<void> {
  const socket = createPacketSocket({ interface: 'lo', ring: { frames: 64 }, virtioHeader: true });
  const reserved: Buffer = socket.reserve(1000);
  const offload = headers.offload(reserved, 1400);
  const report: SendReport = await socket.commit([reserved], { offload });
  void report;
  await socket.send(frame, { protocol: 0x0800 });
  for await (const { rinfo } of socket) {
    const info: PacketRemoteInfo = rinfo;
    void info.packetType;
  }
  // @ts-expect-error the interface is needed
  createPacketSocket({ ring: true });
}
