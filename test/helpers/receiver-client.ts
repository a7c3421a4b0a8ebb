// A test's hand on the receiver program: opens streams to it, asks it how they ended, and tells it to
// read on, read slowly or say something.
import net from 'node:net';
import { createInterface } from 'node:readline';
import { connect, type ZeroCopySocketOptions } from '../../lib/index';
import { Outgoing } from './outgoing';
import type {
  ControlReply,
  ControlRequest,
  Pace,
  StreamReport,
  StreamSpec,
} from './receiver-protocol';

/** Where a receiver listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

type Without<T> = T extends unknown ? Omit<T, 'id'> : never;
/** What the receiver is to do with a stream. */
export type Manner = Omit<StreamSpec, 'stream'>;
type SocketOptions = Partial<net.TcpSocketConnectOpts> & ZeroCopySocketOptions;

// Distinct within one receiver, which several processes may use: the low bits count.
let nextStream = (process.pid % 100_000) * 10_000;

export class ReceiverClient {
  readonly #pending = new Map<number, (reply: ControlReply) => void>();
  #nextId = 0;

  private constructor(
    readonly address: Address,
    readonly control: net.Socket,
  ) {
    control.write('{"control":true}\n');
    createInterface({ input: control }).on('line', (line) => {
      const reply = JSON.parse(line) as ControlReply;
      this.#pending.get(reply.id)?.(reply);
      this.#pending.delete(reply.id);
    });
  }

  static async open(address: Address): Promise<ReceiverClient> {
    const control = net.connect({ ...address, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      control.once('connect', resolve).once('error', reject);
    });
    return new ReceiverClient(address, control);
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
    const stream = nextStream++;
    const head = Buffer.from(`${JSON.stringify({ stream, ...manner })}\n`);
    return new Outgoing(socket as ConstructorParameters<typeof Outgoing>[0], stream, head);
  }

  /** How the stream ended at the receiver; waits until it has. */
  async report(outgoing: Outgoing): Promise<StreamReport> {
    const reply = await this.#ask({ do: 'report', stream: outgoing.stream });
    return reply.report as StreamReport;
  }

  /** Bytes that the receiver has read so far. */
  async received(outgoing: Outgoing): Promise<number> {
    return (await this.#ask({ do: 'received', stream: outgoing.stream })).received as number;
  }

  async resume(outgoing: Outgoing): Promise<void> {
    await this.#ask({ do: 'resume', stream: outgoing.stream });
  }

  async pace(outgoing: Outgoing, pace: Pace): Promise<void> {
    await this.#ask({ do: 'pace', stream: outgoing.stream, pace });
  }

  /** Lets the receiver send `bytes` bytes on the stream. */
  async say(outgoing: Outgoing, bytes: number): Promise<void> {
    await this.#ask({ do: 'say', stream: outgoing.stream, bytes });
  }

  /** Lets the receiver connect to a server of the test's, `count` times. */
  async dial(host: string, port: number, count: number): Promise<void> {
    await this.#ask({ do: 'dial', host, port, count });
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.control.once('close', resolve));
    this.control.destroy();
    await closed;
  }

  #ask(request: Without<ControlRequest>): Promise<ControlReply> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, resolve);
      this.control.once('close', () => reject(new Error('the receiver is gone')));
      this.control.setMaxListeners(0);
      this.control.write(`${JSON.stringify({ id, ...request })}\n`);
    });
  }
}
