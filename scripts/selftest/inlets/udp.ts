// A UDP socket; also what receives the frames of packet sockets, which carry UDP.
import { once } from 'node:events';
import { createUdpSocket } from '../../../lib/index';
import { type OpenInlet, RECEIVE_BUFFER_BYTES } from './inlet';

export const openUdpInlet: OpenInlet = async ({ trial, address, port }, { take }) => {
  const type = trial.family === 6 ? 'udp6' : 'udp4';
  const socket = createUdpSocket({ type, recvBufferSize: RECEIVE_BUFFER_BYTES }, take);
  socket.bind(port, address);
  await once(socket, 'listening');
  const bound = socket.address();
  return {
    address: bound.address,
    port: bound.port,
    receiveBuffer: socket.getRecvBufferSize(),
    drops: () => socket.zeroCopy.stats.receiveDrops,
    close: () => socket.close(),
  };
};
