// Sockets for tests of what a UDP socket of this package has beside node:dgram: closed when a test is
// over. The other end is always Node's own.
import dgram from 'node:dgram';
import { once } from 'node:events';
import { createUdpSocket, type UdpSocketOptions, type ZeroCopyUdpSocket } from '../../lib/index';
import { ownedSockets } from './owned-sockets';

export class OpenSockets {
  readonly own = ownedSockets();

  create(options: Partial<UdpSocketOptions> = {}): ZeroCopyUdpSocket {
    return this.own(createUdpSocket({ type: 'udp4', ...options }));
  }

  async bound(options: Partial<UdpSocketOptions> = {}): Promise<ZeroCopyUdpSocket> {
    const socket = this.create(options);
    const listening = once(socket, 'listening');
    socket.bind(0, options.type === 'udp6' ? '::1' : '127.0.0.1');
    await listening;
    return socket;
  }

  async connectedTo(
    sink: Sink,
    options: Partial<UdpSocketOptions> = {},
  ): Promise<ZeroCopyUdpSocket> {
    const socket = this.create(options);
    socket.connect(sink.port, '127.0.0.1');
    await once(socket, 'connect');
    return socket;
  }

  /** A socket of Node's own that keeps what arrives. */
  async sink(): Promise<Sink> {
    const socket = this.own(dgram.createSocket({ type: 'udp4', recvBufferSize: 4 * 1024 * 1024 }));
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new Sink(socket);
  }
}

const MARK = 'the mark that ends what is listened to';

export class Sink {
  readonly socket: dgram.Socket;
  readonly port: number;
  readonly #arrived: Buffer[] = [];
  readonly #senders: dgram.RemoteInfo[] = [];
  #wake: () => void = () => undefined;

  constructor(socket: dgram.Socket) {
    this.socket = socket;
    this.port = socket.address().port;
    socket.on('message', (message, rinfo) => {
      this.#arrived.push(message);
      this.#senders.push(rinfo);
      this.#wake();
    });
  }

  get to(): { port: number; address: string } {
    return { port: this.port, address: '127.0.0.1' };
  }

  /** The senders of what arrived so far. */
  get senders(): readonly dgram.RemoteInfo[] {
    return this.#senders;
  }

  /** The next `count` datagrams. */
  async next(count: number): Promise<Buffer[]> {
    while (this.#arrived.length < count) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return this.#arrived.splice(0, count);
  }

  /** All that was sent to here within this machine until now. */
  async rest(): Promise<string[]> {
    const sender = dgram.createSocket('udp4');
    sender.send(MARK, this.port, '127.0.0.1', () => sender.close());
    for (;;) {
      const at = this.#arrived.findIndex((message) => message.toString() === MARK);
      if (at >= 0)
        return this.#arrived
          .splice(0, at + 1)
          .slice(0, -1)
          .map(String);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

/** For use in a suite: sockets that end with their test. */
export function openSockets(): OpenSockets {
  return new OpenSockets();
}
