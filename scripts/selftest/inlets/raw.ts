// A raw socket; receives what raw sockets send, with headers of their own or of the kernel's.
import { once } from 'node:events';
import { createRawSocket } from '../../../lib/index';
import { type OpenInlet, RAW_PROTOCOL, RECEIVE_BUFFER_BYTES } from './inlet';

export const openRawInlet: OpenInlet = async ({ trial, address, port }, { take }) => {
  const { family } = trial;
  const socket = createRawSocket({
    family,
    protocol: RAW_PROTOCOL,
    recvBufferSize: RECEIVE_BUFFER_BYTES,
  });
  // IPv4 comes with its header, IPv6 without.
  socket.on('message', (data: Buffer) =>
    take(family === 4 ? data.subarray(ipv4Length(data)) : data),
  );
  socket.bind(address);
  await once(socket, 'listening');
  return {
    address,
    port, // raw sockets know none
    receiveBuffer: socket.getRecvBufferSize(),
    drops: () => socket.zeroCopy.stats.receiveDrops,
    close: () => socket.close(),
  };
};

function ipv4Length(packet: Buffer): number {
  return ((packet[0] ?? 0) & 0x0f) * 4;
}
