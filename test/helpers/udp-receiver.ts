// A test's hand on the program that receives its datagrams: opens sockets in it, waits until datagrams
// have come, and asks what they were.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { ControlLine, newStream } from './control-line';
import { markerDatagram } from './udp-datagrams';
import type {
  LibraryOptions,
  ReceiverReply,
  ReceiverRequest,
  SocketReport,
} from '../scenarios/udp-receiver-program';

export type UdpFamily = 'udp4' | 'udp6';

/** Where the receiver program is, as the sender sees it. */
export interface ReceiverAddress {
  readonly address4: string;
  readonly address6: string;
  /** Where it takes requests. */
  readonly control: number;
}

/** What is asked for; the kernel gives less where net.core.rmem_max is smaller. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
/** A marker may be lost like any other datagram. */
const MARKER_AGAIN_MS = 20;
const ARRIVAL_DEADLINE_MS = 20_000;

export interface TargetOptions {
  readonly address?: string;
  readonly port?: number;
  readonly stream?: number;
  readonly recvBufferSize?: number;
  readonly library?: LibraryOptions;
}

/** One socket of the receiver program's. */
export class Target {
  #marker = 0;

  constructor(
    readonly client: UdpReceiver,
    readonly type: UdpFamily,
    readonly address: string,
    readonly stream: number,
    readonly opened: { readonly socket: number; readonly port: number; recvBufferSize: number },
  ) {}

  get port(): number {
    return this.opened.port;
  }

  /** Settles when `datagrams` of them have come; throws with the report when they do not. */
  async reached(datagrams: number): Promise<void> {
    const { socket } = this.opened;
    const reached = this.client.ask({ do: 'reached', socket, datagrams });
    if (await within(ARRIVAL_DEADLINE_MS, reached)) return;
    const { ranges, ...report } = await this.report();
    assert.fail(
      `not ${datagrams}: ${JSON.stringify(report)} ${JSON.stringify(ranges.slice(0, 9))}`,
    );
  }

  /** Settles when everything that was sent before this call has come or is lost. */
  async drained(): Promise<void> {
    const marker = ++this.#marker;
    const socket = dgram.createSocket(this.type);
    const seen = this.client.ask({ do: 'marked', socket: this.opened.socket, marker });
    const send = (): void => socket.send(markerDatagram(marker), this.port, this.address);
    send();
    const timer = setInterval(send, MARKER_AGAIN_MS);
    try {
      assert.ok(await within(ARRIVAL_DEADLINE_MS, seen), 'no marker arrives');
    } finally {
      clearInterval(timer);
      socket.close();
    }
  }

  async report(): Promise<SocketReport> {
    const { report } = await this.client.ask({ do: 'report', socket: this.opened.socket });
    return report as SocketReport;
  }

  /** Closes the socket: the port refuses from now on. */
  async close(): Promise<void> {
    await this.client.ask({ do: 'close', socket: this.opened.socket });
  }
}

async function within(milliseconds: number, promise: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), milliseconds);
  });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

export class UdpReceiver {
  private constructor(
    readonly at: ReceiverAddress,
    readonly line: ControlLine<ReceiverRequest, ReceiverReply>,
  ) {}

  static async open(at: ReceiverAddress): Promise<UdpReceiver> {
    return new UdpReceiver(at, await ControlLine.open({ host: at.address4, port: at.control }));
  }

  /** A socket that receives; it stays open until the receiver program ends or it is closed. */
  async target(type: UdpFamily, options: TargetOptions = {}): Promise<Target> {
    const { address, port, library, recvBufferSize = RECEIVE_BUFFER_BYTES } = options;
    const host = address ?? (type === 'udp4' ? this.at.address4 : this.at.address6);
    const stream = options.stream ?? newStream();
    const wanted = { type, address: host, stream, recvBufferSize };
    const open = { ...wanted, ...(port && { port }), ...(library && { library }) };
    const { opened } = await this.ask({ do: 'open', open });
    assert.ok(opened !== undefined);
    const target = new Target(this, type, host, stream, opened);
    // So that the neighbour is known: what waits for its address is dropped beyond a few packets.
    if (options.port === undefined) await target.drained();
    return target;
  }

  ask(request: ReceiverRequest): Promise<ReceiverReply> {
    return this.line.ask(request);
  }

  close(): Promise<void> {
    return this.line.close();
  }
}
