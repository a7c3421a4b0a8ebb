// The far end of a packet test's wire. Datagrams are received with Node's own dgram, which knows
// nothing of the sockets under test; frames with a packet socket. Not a test itself.
import dgram from 'node:dgram';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import {
  createPacketSocket,
  type PacketRemoteInfo,
  type PacketSocketOptions,
  type ZeroCopyPacketSocket,
} from '../../lib/index';
import { fillFrom } from '../../scripts/pattern';
import { type Digest, digest } from '../helpers/packet-frames';
import type { Family } from '../helpers/packet-wire';
import { print } from '../helpers/program-side';
import { until } from '../../scripts/until';

// One line of JSON for each request and one for its answer, in turn.

/** A frame that a packet socket received. */
export interface CaughtFrame extends Digest {
  readonly rinfo: PacketRemoteInfo;
  /** The whole of it, in base64. */
  readonly data: string;
}

/** A datagram to send: which keystream it carries, and how much of it. */
export interface Said {
  readonly stream: number;
  readonly bytes: number;
}

export type FarRequest =
  /** Opens a UDP socket; answers its port. */
  | { readonly do: 'listen'; readonly family: Family; readonly address: string }
  /** Waits for a datagram `mark`; answers what came before it and forgets that. */
  | { readonly do: 'take'; readonly port: number; readonly mark: string }
  /** Waits until `count` datagrams have come since the last take. */
  | { readonly do: 'await'; readonly port: number; readonly count: number }
  /** Sends datagrams through the UDP socket on `from`. */
  | {
      readonly do: 'say';
      readonly from: number;
      readonly to: { readonly address: string; readonly port: number };
      readonly datagrams: readonly Said[];
    }
  /** Opens a packet socket; answers its number. */
  | { readonly do: 'open'; readonly options: PacketSocketOptions }
  /** Waits for `count` frames, or for one that holds the text `mark`; answers them and forgets them. */
  | { readonly do: 'catch'; readonly socket: number; readonly until: number | string }
  /** Sends frames, in base64, through a packet socket. */
  | { readonly do: 'inject'; readonly socket: number; readonly frames: readonly string[] }
  | { readonly do: 'close'; readonly socket: number };

export interface FarAnswer {
  readonly failure?: string;
  readonly port?: number;
  readonly socket?: number;
  readonly datagrams?: readonly Digest[];
  readonly frames?: readonly CaughtFrame[];
}

const RECEIVE_BUFFER = 4 * 1024 * 1024;
/** Longer than anything takes that is on its way. */
const ARRIVAL_DEADLINE_MS = 15_000;

class UdpEnd {
  readonly #socket: dgram.Socket;
  #arrived: Digest[] = [];
  #marks = new Set<string>();

  constructor(family: 4 | 6) {
    this.#socket = dgram.createSocket({ type: `udp${family}`, recvBufferSize: RECEIVE_BUFFER });
    this.#socket.on('message', (data) => {
      if (data.toString('latin1').startsWith('mark ')) this.#marks.add(data.toString('latin1'));
      else this.#arrived.push(digest(data));
    });
  }

  async bind(address: string): Promise<number> {
    this.#socket.bind(0, address);
    await once(this.#socket, 'listening');
    return this.#socket.address().port;
  }

  async take(mark: string): Promise<readonly Digest[]> {
    await until(`the datagram '${mark}'`, () => this.#marks.has(mark), ARRIVAL_DEADLINE_MS);
    const taken = this.#arrived;
    this.#arrived = [];
    return taken;
  }

  reached(count: number): Promise<void> {
    const enough = (): boolean => this.#arrived.length >= count;
    return until(`${count} datagrams`, enough, ARRIVAL_DEADLINE_MS);
  }

  async say({ to, datagrams }: FarRequest & { readonly do: 'say' }): Promise<void> {
    for (const { stream, bytes } of datagrams) {
      const data = Buffer.alloc(bytes);
      fillFrom(data, stream, 0);
      await new Promise<void>((resolve, reject) => {
        this.#socket.send(data, to.port, to.address, (error) =>
          error === null ? resolve() : reject(error),
        );
      });
    }
  }
}

class PacketEnd {
  #caught: CaughtFrame[] = [];

  constructor(readonly socket: ZeroCopyPacketSocket) {
    socket.on('message', (data: Buffer, rinfo: CaughtFrame['rinfo']) => {
      this.#caught.push({ ...digest(data), rinfo, data: data.toString('base64') });
    });
  }

  async catch(enough: number | string): Promise<readonly CaughtFrame[]> {
    const has =
      typeof enough === 'number'
        ? () => this.#caught.length >= enough
        : () => this.#caught.some(({ data }) => Buffer.from(data, 'base64').includes(enough));
    await until(`frames: ${enough}`, has, ARRIVAL_DEADLINE_MS);
    const taken = this.#caught;
    this.#caught = [];
    return taken;
  }
}

const udpEnds = new Map<number, UdpEnd>();
const packetEnds: PacketEnd[] = [];

function udpEnd(port: number): UdpEnd {
  const end = udpEnds.get(port);
  if (end === undefined) throw new Error(`nobody listens on ${port}`);
  return end;
}

function packetEnd(socket: number): PacketEnd {
  const end = packetEnds[socket];
  if (end === undefined) throw new Error(`no packet socket ${socket}`);
  return end;
}

async function serve(request: FarRequest): Promise<FarAnswer> {
  switch (request.do) {
    case 'listen': {
      const end = new UdpEnd(request.family);
      const port = await end.bind(request.address);
      udpEnds.set(port, end);
      return { port };
    }
    case 'take':
      return { datagrams: await udpEnd(request.port).take(request.mark) };
    case 'await':
      await udpEnd(request.port).reached(request.count);
      return {};
    case 'say':
      await udpEnd(request.from).say(request);
      return {};
    case 'open':
      return { socket: packetEnds.push(new PacketEnd(createPacketSocket(request.options))) - 1 };
    case 'catch':
      return { frames: await packetEnd(request.socket).catch(request.until) };
    case 'inject':
      for (const frame of request.frames) {
        await packetEnd(request.socket).socket.send(Buffer.from(frame, 'base64'), {});
      }
      return {};
    case 'close':
      packetEnd(request.socket).socket.close();
      return {};
  }
}

async function main(): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    const answer = await serve(JSON.parse(line) as FarRequest).catch((error: Error) => ({
      failure: error.stack ?? error.message,
    }));
    print(answer);
  }
  process.exit(0); // whoever asked is gone
}

if (require.main === module) void main();
