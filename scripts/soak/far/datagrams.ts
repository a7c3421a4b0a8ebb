// The far end of the datagram actors. Datagrams may be lost, and none may be wrong.
import dgram from 'node:dgram';
import { once } from 'node:events';
import { createRawSocket, createUdpSocket } from '../../../lib/index';
import { RAW_PROTOCOL, RECEIVE_BUFFER_BYTES } from '../../selftest/inlets/inlet';
import { readDescription } from '../../selftest/message';
import type { Judge } from './judge';

const SAMPLE_BYTES = 16;

export interface Bound {
  readonly port: number;
  close(): void;
}

// The address is the soak's alone, so no other datagrams come.
function take(judge: Judge, channel: string, data: Buffer): void {
  judge.add(`${channel} datagrams received`);
  const message = readDescription(data);
  if (message === undefined || message.length !== data.length) {
    const { token, sequence } = message ?? {};
    const sample = data.toString('hex', 0, SAMPLE_BYTES);
    const known = token === undefined || sequence === undefined ? {} : { token, sequence };
    judge.wrong({ channel, ...known, offset: 0, bytes: data.length, sample });
    return;
  }
  judge.compare(channel, data, message, 0);
}

/** Node's own socket: what it reports does not depend on this package. */
export async function bindPlain(address: string, judge: Judge): Promise<Bound> {
  const socket = dgram.createSocket({ type: 'udp4', recvBufferSize: RECEIVE_BUFFER_BYTES });
  socket.on('message', (data) => take(judge, 'udp', data));
  socket.bind(0, address);
  await once(socket, 'listening');
  return { port: socket.address().port, close: () => socket.close() };
}

/** This package's, with datagrams that the kernel joined. */
export async function bindJoining(address: string, judge: Judge): Promise<Bound> {
  const socket = createUdpSocket({ type: 'udp6', gro: true, recvBufferSize: RECEIVE_BUFFER_BYTES });
  socket.on('message', (data: Buffer) => take(judge, 'udp', data));
  socket.bind(0, address);
  await once(socket, 'listening');
  return { port: socket.address().port, close: () => socket.close() };
}

export async function bindRaw(family: 4 | 6, address: string, judge: Judge): Promise<Bound> {
  const options = { family, protocol: RAW_PROTOCOL, recvBufferSize: RECEIVE_BUFFER_BYTES };
  const socket = createRawSocket(options);
  // IPv4 comes with its header, IPv6 without.
  socket.on('message', (data: Buffer) => {
    take(judge, 'raw', family === 4 ? data.subarray(((data[0] ?? 0) & 0x0f) * 4) : data);
  });
  socket.bind(address);
  await once(socket, 'listening');
  return { port: 0, close: () => socket.close() };
}
