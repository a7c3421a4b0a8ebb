// Raw IP packets, with the kernel's header or with our own.
import { once } from 'node:events';
import { createRawSocket, headers } from '../../../lib/index';
import { RAW_PROTOCOL } from '../inlets/inlet';
import type { SenderOrder } from '../protocol';
import { sourceTowards } from '../route';
import {
  type Channel,
  engineOf,
  type OpenChannel,
  PooledMessages,
  SEND_BUFFER_BYTES,
} from './channel';

/** A bound socket of protocol 8 gets copies of what it sends to this machine; nobody reads them. */
const UNREAD_BUFFER_BYTES = 2048;

export const openRawChannel: OpenChannel = async (order): Promise<Channel> => {
  const { family, mode } = order.trial;
  const messages = new PooledMessages(order);
  const header = mode === 'raw_hdrincl' ? await ipHeader(order) : undefined;
  const socket = createRawSocket({
    family,
    protocol: header === undefined ? RAW_PROTOCOL : 'raw',
    ...(header === undefined ? {} : { headerIncluded: true }),
    sendBufferSize: SEND_BUFFER_BYTES,
    recvBufferSize: UNREAD_BUFFER_BYTES,
    zeroCopy: { engine: engineOf(order), threshold: 0 },
  });
  socket.on('error', () => undefined);
  const connected = once(socket, 'connect');
  socket.connect(order.address);
  await connected;
  return {
    control: socket.zeroCopy,
    headerBytes: header?.length ?? 0,
    room: () => messages.room(),
    transmit: (fill) =>
      messages.transmit(fill, (piece) =>
        socket.send(header === undefined ? piece : [header, piece], {}),
      ),
    close: async () => {
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
};

async function ipHeader({ trial, address }: SenderOrder): Promise<Buffer> {
  const source = await sourceTowards(address);
  const fields = {
    source,
    destination: address,
    protocol: RAW_PROTOCOL,
    payloadLength: trial.bytes,
  };
  return trial.family === 6 ? headers.ipv6(fields) : headers.ipv4(fields);
}
