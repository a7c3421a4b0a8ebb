// One packet socket that produces Ethernet frames (IPv4, UDP) and sends them without pause, in the
// way the contestant's name says. Produces as bench/cpacket.c does.
import type { Offload, PacketSocketOptions, ZeroCopyPacketSocket } from '../../lib/index.js';
import type { FrameOrder } from '../protocol';
import { keepSending, makeBuffers, Meter } from './meter';
import { takeOrder } from './session';

const outstanding = 64;
const addresses = { source: '198.18.0.1', destination: '198.18.0.2' };
const macs = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
const discardPort = 9;
const ipv4Protocol = 0x0800;
const udpProtocol = 17;
const ipHeaderBytes = 20;
const udpHeaderBytes = 8;
const ethernetHeaderBytes = 14;
const counterBytes = 4;
/** Before the data of a ring frame: TPACKET2_HDRLEN and the virtio header, rounded up. */
const ringFrameOverhead = 64;

type Library = typeof import('../../lib/index.js');

class Frames {
  readonly bytes: number;
  readonly #headers: Buffer;
  readonly #whole: boolean;
  #counter = 0;

  constructor({ headers }: Library, { size, segment, produce }: FrameOrder) {
    this.bytes = ethernetHeaderBytes + size;
    this.#whole = produce === 'whole';
    const payload = Buffer.alloc(size - ipHeaderBytes - udpHeaderBytes);
    this.#headers = Buffer.concat([
      headers.ethernet({ ...macs, protocol: ipv4Protocol }),
      headers.ipv4({
        ...addresses,
        protocol: udpProtocol,
        payloadLength: udpHeaderBytes + payload.length,
      }),
      headers.udp({
        ...addresses,
        sourcePort: discardPort,
        destinationPort: discardPort,
        payload,
        checksum: segment > 0 ? 'offload' : 'none',
      }),
    ]);
  }

  /** Headers and a counter; the rest of the first frame of a batch, or of every frame. */
  produce(frame: Buffer, index: number): void {
    const counter = this.#counter++;
    const at = this.#headers.length;
    frame.set(this.#headers);
    frame.writeUInt32LE(counter >>> 0, at);
    if (this.#whole || index === 0) frame.fill(counter & 255, at + counterBytes);
  }

  /** What the device needs to cut a frame up; undefined where it is to be sent as it is. */
  offload({ headers }: Library, segment: number): Offload | undefined {
    if (segment === 0) return undefined;
    const sample = Buffer.alloc(this.bytes);
    sample.set(this.#headers);
    return headers.offload(sample, segment);
  }
}

interface Work {
  socket: ZeroCopyPacketSocket;
  order: FrameOrder;
  frames: Frames;
  meter: Meter;
  /** Nothing but what a frame of this kind needs. */
  options: { offload?: Offload };
}

async function main(): Promise<void> {
  const order = takeOrder<FrameOrder>();
  const library = await import('../../lib/index.js');
  const frames = new Frames(library, order);
  const settings: PacketSocketOptions = {
    interface: order.device,
    qdiscBypass: true,
    virtioHeader: order.segment > 0,
  };
  const isRing = order.contestant.name === 'ring';
  if (isRing) settings.ring = { frames: order.buffers, frameSize: ringFrameSize(frames.bytes) };
  const socket = library.createPacketSocket(settings);
  const meter = new Meter(order, { bytes: order.size, datagrams: 1 }, socket);
  const offload = frames.offload(library, order.segment);
  const work = { socket, order, frames, meter, options: offload ? { offload } : {} };
  if (isRing) await sendByRing(work);
  else if (order.contestant.name === 'send-many') await sendMany(work);
  else if (offload) await sendWithOptions(work);
  else sendSingly(work);
}

function ringFrameSize(bytes: number): number {
  return 2 ** Math.ceil(Math.log2(bytes + ringFrameOverhead));
}

function sendSingly({ socket, order, frames, meter }: Work): void {
  let index = 0;
  keepSending(
    meter,
    makeBuffers(frames.bytes, order.buffers),
    outstanding,
    (frame, sent) => {
      frames.produce(frame, index);
      index = index + 1 === order.batch ? 0 : index + 1;
      socket.send(frame, sent);
    },
    () => socket.close(),
  );
}

// There is no callback form that takes options.
async function sendWithOptions({ socket, order, frames, meter, options }: Work): Promise<void> {
  const buffers = makeBuffers(frames.bytes, order.buffers);
  let next = 0;
  const keepOneGoing = async (): Promise<void> => {
    do {
      const index = next;
      next = next + 1 === buffers.length ? 0 : next + 1;
      const frame = buffers[index] as Buffer;
      frames.produce(frame, index % order.batch);
      await socket.send(frame, options);
    } while (meter.took(1));
  };
  await Promise.all(Array.from({ length: order.batch }, keepOneGoing));
  socket.close();
}

async function sendMany({ socket, order, frames, meter, options }: Work): Promise<void> {
  const buffers = makeBuffers(frames.bytes, order.buffers);
  const batches = Array.from({ length: order.buffers / order.batch }, (_, index) =>
    buffers.slice(index * order.batch, (index + 1) * order.batch),
  );
  let next = 0;
  do {
    const batch = batches[next] as Buffer[];
    next = next + 1 === batches.length ? 0 : next + 1;
    batch.forEach((frame, index) => frames.produce(frame, index));
    await socket.sendMany(batch, options);
  } while (meter.took(order.batch));
  socket.close();
}

// While one batch is with the kernel the next is produced.
async function sendByRing({ socket, order, frames, meter, options }: Work): Promise<void> {
  let earlier: Promise<unknown> | undefined;
  do {
    const batch: Buffer[] = [];
    while (batch.length < order.batch) {
      if (socket.freeFrames === 0) await socket.ready();
      const frame = socket.reserve(frames.bytes);
      frames.produce(frame, batch.length);
      batch.push(frame);
    }
    const commit = socket.commit(batch, options);
    await earlier;
    earlier = commit;
  } while (meter.took(order.batch));
  await earlier;
  socket.close();
}

void main();
