// Raw IP packets, with the kernel's header or with our own. Zero copy is a ring of frames shared with the kernel, which
// takes packets that bring their header: messages are produced in it.
import { once } from 'node:events';
import { createRawSocket, headers, type ZeroCopyRawSocket } from '../../../lib/index';
import { RAW_PROTOCOL } from '../inlets/inlet';
import type { SenderOrder } from '../protocol';
import { sourceTowards } from '../route';
import {
  type Channel,
  engineOf,
  type OpenChannel,
  PooledMessages,
  ringFor,
  SEND_BUFFER_BYTES,
} from './channel';

/** A bound socket of protocol 8 gets copies of what it sends to this machine; they stay unread. */
const UNREAD_BUFFER_BYTES = 2048;

export const openRawChannel: OpenChannel = async (order): Promise<Channel> => {
  const { family, mode, zeroCopy, bytes } = order.trial;
  const header = mode === 'raw_hdrincl' ? await ipHeader(order) : undefined;
  const headerBytes = header?.length ?? 0;
  const ring = zeroCopy ? ringFor(headerBytes + bytes) : false;
  const socket = createRawSocket({
    family,
    ...(header === undefined
      ? { protocol: RAW_PROTOCOL }
      : { protocol: 'raw', headerIncluded: true, ring }),
    sendBufferSize: SEND_BUFFER_BYTES,
    recvBufferSize: UNREAD_BUFFER_BYTES,
    zeroCopy: zeroCopyOf(order, header),
  });
  socket.on('error', () => undefined);
  const connected = once(socket, 'connect');
  socket.connect(order.address);
  await connected;
  const sending =
    header !== undefined && zeroCopy
      ? produceInRing(socket, header, bytes)
      : copyFromPool(socket, header, new PooledMessages(order));
  return {
    control: socket.zeroCopy,
    headerBytes,
    ...sending,
    close: async () => {
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
};

/** A ring needs no engine by name: it goes on wherever it can. */
function zeroCopyOf(order: SenderOrder, header: Buffer | undefined) {
  return header !== undefined && order.trial.zeroCopy
    ? {}
    : { engine: engineOf(order), threshold: 0 };
}

type Sending = Pick<Channel, 'room' | 'transmit'>;

function copyFromPool(
  socket: ZeroCopyRawSocket,
  header: Buffer | undefined,
  messages: PooledMessages,
): Sending {
  return {
    room: () => messages.room(),
    transmit: (fill) =>
      messages.transmit(fill, (piece) =>
        socket.send(header === undefined ? piece : [header, piece], {}),
      ),
  };
}

function produceInRing(socket: ZeroCopyRawSocket, header: Buffer, bytes: number): Sending {
  return {
    room: () => socket.ready(),
    transmit: async (fill) => {
      const frame = socket.reserve(header.length + bytes);
      header.copy(frame);
      fill(frame.subarray(header.length));
      return [await socket.commit(frame)];
    },
  };
}

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
