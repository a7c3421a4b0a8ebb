// Frames put on a device by a packet socket: UDP in IP, with the Ethernet header ours (packet) or the
// kernel's (packet_dgram). Zero copy is a ring of frames shared with the kernel: messages are
// produced in it, headers and all.
import { once } from 'node:events';
import {
  createPacketSocket,
  headers,
  type PacketSendOptions,
  type SendReport,
  type ZeroCopyPacketSocket,
} from '../../../lib/index';
import type { SenderOrder } from '../protocol';
import { type Link, linkTowards } from '../route';
import {
  type Channel,
  engineOf,
  type Fill,
  type OpenChannel,
  PooledMessages,
  ringFor,
  SEND_BUFFER_BYTES,
} from './channel';

const ETHERTYPE = { 4: 0x0800, 6: 0x86dd } as const;
const UDP_PROTOCOL = 17;
const UDP_BYTES = 8;

/** Writes the headers of a frame. */
class FrameHeaders {
  readonly #order: SenderOrder;
  readonly #link: Link;
  readonly #fixed: Buffer;

  constructor(order: SenderOrder, link: Link) {
    this.#order = order;
    this.#link = link;
    const { family, mode, bytes } = order.trial;
    const fields = {
      source: link.source,
      destination: order.address,
      protocol: UDP_PROTOCOL,
      payloadLength: UDP_BYTES + bytes,
    };
    const ip = family === 6 ? headers.ipv6(fields) : headers.ipv4(fields);
    const ethernet = headers.ethernet({
      source: link.sourceMac,
      destination: link.destinationMac,
      protocol: ETHERTYPE[family],
    });
    this.#fixed = mode === 'packet' ? Buffer.concat([ethernet, ip]) : ip;
  }

  get bytes(): number {
    return this.#fixed.length + UDP_BYTES;
  }

  /** All headers of a frame with this payload, whose checksum they carry. */
  before(payload: Buffer): Buffer {
    const { address, port } = this.#order;
    const udp = headers.udp({
      source: this.#link.source,
      destination: address,
      sourcePort: port,
      destinationPort: port,
      payload,
    });
    return Buffer.concat([this.#fixed, udp]);
  }
}

export const openPacketChannel: OpenChannel = async (order): Promise<Channel> => {
  const { trial, address } = order;
  const link = await linkTowards(address);
  const frames = new FrameHeaders(order, link);
  const socket = createPacketSocket({
    interface: link.device,
    type: trial.mode === 'packet' ? 'raw' : 'dgram',
    ...(trial.zeroCopy
      ? { ring: ringFor(frames.bytes + trial.bytes) }
      : { zeroCopy: { engine: engineOf(order) } }),
    sendBufferSize: SEND_BUFFER_BYTES,
  });
  socket.on('error', () => undefined);
  const options: PacketSendOptions =
    trial.mode === 'packet'
      ? {}
      : { address: link.destinationMac, protocol: ETHERTYPE[trial.family] };
  const sending = trial.zeroCopy
    ? produceInRing(socket, frames, options, trial.bytes)
    : copyFromPool(socket, frames, options, new PooledMessages(order));
  return {
    control: socket.zeroCopy,
    headerBytes: frames.bytes,
    ...sending,
    close: async () => {
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
};

type Sending = Pick<Channel, 'room' | 'transmit'>;

function copyFromPool(
  socket: ZeroCopyPacketSocket,
  frames: FrameHeaders,
  options: PacketSendOptions,
  messages: PooledMessages,
): Sending {
  return {
    room: () => messages.room(),
    transmit: (fill) =>
      messages.transmit(fill, (payload) => socket.send([frames.before(payload), payload], options)),
  };
}

function produceInRing(
  socket: ZeroCopyPacketSocket,
  frames: FrameHeaders,
  options: PacketSendOptions,
  bytes: number,
): Sending {
  const produce = async (fill: Fill): Promise<readonly SendReport[]> => {
    const frame = socket.reserve(frames.bytes + bytes);
    const payload = frame.subarray(frames.bytes);
    fill(payload);
    frames.before(payload).copy(frame);
    return [await socket.commit(frame, options)];
  };
  return { room: () => socket.ready(), transmit: produce };
}
