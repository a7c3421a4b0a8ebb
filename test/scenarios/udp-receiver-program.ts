// Receives datagrams and checks every byte, in a process of its own: nothing of the sender's memory can
// reach it but over the network. On node:dgram, or on this package where reception is what is tested.
// Usage: node udp-receiver-program.js. Writes {"port":N}, where it takes requests, lines of JSON; one reply to
// each, in whatever order they become due.
import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { createInterface } from 'node:readline';
import type { UdpRemoteInfo } from '../../lib/index';
import {
  DatagramChecker,
  type DatagramReport,
  fillDatagram,
  markerOf,
} from '../helpers/udp-datagrams';

/** A socket that the program is to receive on. */
export interface OpenOptions {
  readonly type: 'udp4' | 'udp6';
  readonly address: string;
  /** Chooses the bytes that are expected. */
  readonly stream: number;
  /** Default: any. */
  readonly port?: number;
  readonly recvBufferSize?: number;
  /** Receives with this package and these options; default: node:dgram. */
  readonly library?: LibraryOptions;
}

export interface LibraryOptions {
  readonly gro?: boolean | 'whole';
  readonly packetInfo?: boolean;
  readonly receiveTos?: boolean;
  readonly reusePort?: boolean;
}

export type ReceiverRequest =
  | { readonly do: 'open'; readonly open: OpenOptions }
  /** Replied to when this many datagrams have come, markers not counted. */
  | { readonly do: 'reached'; readonly socket: number; readonly datagrams: number }
  /** Replied to when the marker has come. */
  | { readonly do: 'marked'; readonly socket: number; readonly marker: number }
  | { readonly do: 'report'; readonly socket: number }
  /** Replied to at once; the socket is closed when the reply comes. */
  | { readonly do: 'close'; readonly socket: number }
  /** Stops the program, event loop and all, right after the reply. */
  | { readonly do: 'stall'; readonly milliseconds: number }
  /** Sends datagrams 0 to `count` of a stream from a socket, with node:dgram. */
  | {
      readonly do: 'send';
      readonly socket: number;
      readonly host: string;
      readonly port: number;
      readonly stream: number;
      readonly count: number;
      readonly bytes: number;
    };

export interface Opened {
  readonly socket: number;
  readonly port: number;
  readonly recvBufferSize: number;
}

/** What came with the datagrams beside their bytes; values are counts. */
export interface Accompaniments {
  readonly segmentSizes: Readonly<Record<string, number>>;
  readonly destinations: Readonly<Record<string, number>>;
  readonly interfaces: Readonly<Record<string, number>>;
  readonly tos: Readonly<Record<string, number>>;
  readonly sources: Readonly<Record<string, number>>;
  /** 'message' events. With gro: 'whole' one holds several datagrams. */
  readonly messages: number;
  /** receiveDrops of the package's socket. */
  readonly receiveDrops: number;
}

export interface SocketReport extends DatagramReport {
  readonly with: Accompaniments;
}

export interface ReceiverReply {
  readonly id: number;
  readonly opened?: Opened;
  readonly report?: SocketReport;
  readonly failure?: string;
}

type Counts = Record<string, number>;
type Receiving = dgram.Socket & { readonly zeroCopy?: { readonly stats: object } };

function count(counts: Counts, value: string | number | undefined): void {
  const key = String(value);
  counts[key] = (counts[key] ?? 0) + 1;
}

class Incoming {
  readonly #checker: DatagramChecker;
  readonly #seen = { messages: 0 };
  readonly #segmentSizes: Counts = {};
  readonly #destinations: Counts = {};
  readonly #interfaces: Counts = {};
  readonly #tos: Counts = {};
  readonly #sources: Counts = {};
  readonly #markers = new Set<number>();
  #waiting: { readonly due: () => boolean; readonly then: () => void }[] = [];

  constructor(
    readonly socket: Receiving,
    stream: number,
  ) {
    this.#checker = new DatagramChecker(stream);
    socket.on('message', (message, rinfo) => this.#take(message, rinfo));
    // Errors of earlier datagrams do not matter here.
    socket.on('error', () => undefined);
  }

  whenReached(datagrams: number, then: () => void): void {
    this.#wait(() => this.#checker.datagrams >= datagrams, then);
  }

  whenMarked(marker: number, then: () => void): void {
    this.#wait(() => this.#markers.has(marker), then);
  }

  report(): SocketReport {
    const stats = this.socket.zeroCopy?.stats as { receiveDrops?: number } | undefined;
    const accompaniments: Accompaniments = {
      segmentSizes: this.#segmentSizes,
      destinations: this.#destinations,
      interfaces: this.#interfaces,
      tos: this.#tos,
      sources: this.#sources,
      messages: this.#seen.messages,
      receiveDrops: stats?.receiveDrops ?? 0,
    };
    return { ...this.#checker.report(), with: accompaniments };
  }

  #take(message: Buffer, rinfo: UdpRemoteInfo): void {
    const marker = markerOf(message);
    if (marker === undefined) this.#check(message, rinfo);
    else this.#markers.add(marker);
    const due = this.#waiting.filter((one) => one.due());
    if (due.length === 0) return;
    this.#waiting = this.#waiting.filter((one) => !due.includes(one));
    for (const { then } of due) then();
  }

  #check(message: Buffer, rinfo: UdpRemoteInfo): void {
    this.#seen.messages++;
    count(this.#segmentSizes, rinfo.segmentSize);
    count(this.#destinations, rinfo.destination);
    count(this.#interfaces, rinfo.interfaceIndex);
    count(this.#tos, rinfo.tos);
    count(this.#sources, rinfo.address);
    const step = Math.max(1, rinfo.segmentSize ?? message.length);
    let at = 0;
    do {
      this.#checker.take(message.subarray(at, at + step));
      at += step;
    } while (at < message.length);
  }

  #wait(due: () => boolean, then: () => void): void {
    if (due()) then();
    else this.#waiting.push({ due, then });
  }
}

const sockets: Incoming[] = [];

async function create(open: OpenOptions): Promise<Receiving> {
  const { type, recvBufferSize } = open;
  const common = { type, ...(recvBufferSize === undefined ? {} : { recvBufferSize }) };
  if (open.library === undefined) return dgram.createSocket(common);
  const { createUdpSocket } = await import('../../lib/index.js');
  return createUdpSocket({ ...common, ...open.library }) as unknown as Receiving;
}

async function openSocket(open: OpenOptions): Promise<ReceiverReply['opened']> {
  const socket = await create(open);
  const incoming = new Incoming(socket, open.stream);
  const listening = once(socket, 'listening');
  socket.bind(open.port ?? 0, open.address);
  await listening;
  sockets.push(incoming);
  return {
    socket: sockets.length - 1,
    port: socket.address().port,
    recvBufferSize: socket.getRecvBufferSize(),
  };
}

function block(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

function sendFrom(socket: dgram.Socket, request: ReceiverRequest & { do: 'send' }): void {
  for (let sequence = 0; sequence < request.count; sequence++) {
    const datagram = Buffer.alloc(request.bytes);
    fillDatagram(datagram, request.stream, sequence);
    socket.send(datagram, request.port, request.host);
  }
}

async function answer(
  request: ReceiverRequest & { readonly id: number },
  reply: (line: ReceiverReply) => void,
): Promise<void> {
  const { id } = request;
  if (request.do === 'open') return reply({ id, opened: (await openSocket(request.open))! });
  if (request.do === 'stall') {
    reply({ id });
    // The reply leaves first: it is written by the time the next turn begins.
    return void setImmediate(() => block(request.milliseconds));
  }
  const incoming = sockets[request.socket];
  if (incoming === undefined) throw new Error(`no socket ${request.socket}`);
  switch (request.do) {
    case 'reached':
      return incoming.whenReached(request.datagrams, () => reply({ id }));
    case 'marked':
      return incoming.whenMarked(request.marker, () => reply({ id }));
    case 'report':
      return reply({ id, report: incoming.report() });
    case 'close':
      return void incoming.socket.close(() => reply({ id }));
    case 'send':
      sendFrom(incoming.socket, request);
      return reply({ id });
  }
}

const server = net.createServer({ noDelay: true }, (control) => {
  const reply = (line: ReceiverReply): void => void control.write(`${JSON.stringify(line)}\n`);
  control.on('error', () => control.destroy());
  createInterface({ input: control }).on('line', (line) => {
    const request = JSON.parse(line) as ReceiverRequest & { readonly id: number };
    answer(request, reply).catch((error: Error) =>
      reply({ id: request.id, failure: error.message }),
    );
  });
});
server.listen(0, '::', () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as net.AddressInfo).port })}\n`);
});
