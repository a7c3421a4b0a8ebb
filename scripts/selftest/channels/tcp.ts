// A stream.
import { once } from 'node:events';
import { connect } from '../../../lib/index';
import { type Channel, engineOf, type OpenChannel, PooledMessages } from './channel';

export const openTcpChannel: OpenChannel = async (order): Promise<Channel> => {
  const { trial, address, port } = order;
  const messages = new PooledMessages(order);
  const socket = connect({
    host: address,
    port,
    zeroCopy: {
      engine: engineOf(order),
      threshold: 0,
      ...(trial.mixed ? { source: messages.everyOther } : {}),
    },
  });
  await once(socket, 'connect');
  // The sends fail with it, and tell.
  socket.on('error', () => undefined);
  const corked = trial.cork === undefined ? undefined : socket;
  return {
    control: socket.zeroCopy,
    headerBytes: 0,
    room: () => messages.room(),
    transmit: (fill) => messages.transmit(fill, (piece) => socket.send(piece), corked),
    close: async () => {
      if (socket.closed) return;
      const closed = once(socket, 'close');
      socket.resume(); // so that the peer's end is seen
      socket.end();
      await closed;
    },
  };
};
