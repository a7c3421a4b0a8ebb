// A test's hand on the receiver program: opens streams to it, asks it how they ended, and tells it to
// read on, read slowly or say something.
import type net from 'node:net';
import { connect, type ZeroCopySocketOptions } from '../../lib/index';
import { ControlLine, newStream } from './control-line';
import { Outgoing } from './outgoing';
import type {
  ControlReply,
  ControlRequest,
  Pace,
  StreamReport,
  StreamSpec,
} from '../scenarios/receiver-program';

/** Where a receiver listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** What the receiver is to do with a stream. */
export type Manner = Omit<StreamSpec, 'stream'>;
type SocketOptions = Partial<net.TcpSocketConnectOpts> & ZeroCopySocketOptions;

export class ReceiverClient {
  private constructor(
    readonly address: Address,
    readonly line: ControlLine<ControlRequest, ControlReply>,
  ) {}

  static async open(address: Address): Promise<ReceiverClient> {
    return new ReceiverClient(address, await ControlLine.open(address, '{"control":true}\n'));
  }

  /** A connected stream whose first line is on its way. */
  async stream(manner: Manner, options: SocketOptions = {}): Promise<Outgoing> {
    const socket = connect({ ...this.address, ...options });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', reject);
    });
    return this.begin(socket, manner);
  }

  /** Makes a stream of a socket that is there already: one that a server accepted. */
  begin(socket: net.Socket, manner: Manner): Outgoing {
    const stream = newStream();
    const head = Buffer.from(`${JSON.stringify({ stream, ...manner })}\n`);
    return new Outgoing(socket as ConstructorParameters<typeof Outgoing>[0], stream, head);
  }

  /** How the stream ended at the receiver; waits until it has. */
  async report(outgoing: Outgoing): Promise<StreamReport> {
    const reply = await this.line.ask({ do: 'report', stream: outgoing.stream });
    return reply.report as StreamReport;
  }

  /** Bytes that the receiver has read so far. */
  async received(outgoing: Outgoing): Promise<number> {
    return (await this.line.ask({ do: 'received', stream: outgoing.stream })).received as number;
  }

  async resume(outgoing: Outgoing): Promise<void> {
    await this.line.ask({ do: 'resume', stream: outgoing.stream });
  }

  async pace(outgoing: Outgoing, pace: Pace): Promise<void> {
    await this.line.ask({ do: 'pace', stream: outgoing.stream, pace });
  }

  /** Lets the receiver send `bytes` bytes on the stream. */
  async say(outgoing: Outgoing, bytes: number): Promise<void> {
    await this.line.ask({ do: 'say', stream: outgoing.stream, bytes });
  }

  /** Lets the receiver connect to a server of the test's, `count` times. */
  async dial(host: string, port: number, count: number): Promise<void> {
    await this.line.ask({ do: 'dial', host, port, count });
  }

  close(): Promise<void> {
    return this.line.close();
  }
}
