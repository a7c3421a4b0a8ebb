// Datagrams, whole or put together from corked sends.
import { once } from 'node:events';
import { createUdpSocket } from '../../../lib/index';
import {
  type Channel,
  engineOf,
  type OpenChannel,
  PooledMessages,
  SEND_BUFFER_BYTES,
} from './channel';

export const openUdpChannel: OpenChannel = async (order): Promise<Channel> => {
  const { trial, address, port } = order;
  const messages = new PooledMessages(order);
  const socket = createUdpSocket({
    type: trial.family === 6 ? 'udp6' : 'udp4',
    sendBufferSize: SEND_BUFFER_BYTES,
    zeroCopy: {
      engine: engineOf(order),
      threshold: 0,
      ...(trial.mixed ? { source: messages.everyOtherMessage } : {}),
    },
  });
  socket.connect(port, address);
  await once(socket, 'connect');
  // What a peer that is gone makes of it shows in what does not arrive.
  socket.on('error', () => undefined);
  const corked = trial.cork === undefined ? undefined : socket;
  return {
    control: socket.zeroCopy,
    headerBytes: 0,
    room: () => messages.room(),
    transmit: (fill) => messages.transmit(fill, (piece) => socket.send(piece, {}), corked),
    close: async () => {
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
};
