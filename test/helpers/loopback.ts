// Connections over loopback with both ends in this process, gone when the test is over. The far end
// reads nothing until it is told to, so that a write can be stalled without a clock.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import {
  connect,
  type ZeroCopyConnectOptions,
  type ZeroCopyMembers,
  type ZeroCopyOptions,
} from '../../lib/index';

/** More than a send buffer and a receive buffer of loopback take together. */
export const STALLING_BYTES = 48 * 1024 * 1024;

export type Upgraded = net.Socket & ZeroCopyMembers;

export interface Pair<S extends net.Socket> {
  readonly sender: S;
  /** Paused: see gather(). */
  readonly receiver: net.Socket;
}

/** What arrived, and how it ended. */
export interface Gathered {
  readonly bytes: number;
  readonly sha256: string;
  /** Code of the error that ended it. */
  readonly error?: string;
}

export function sha256(...parts: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

/** Reads everything that comes until the connection ends. */
export function gather(receiver: net.Socket, visit?: (chunk: Buffer) => void): Promise<Gathered> {
  const hash = createHash('sha256');
  let bytes = 0;
  let code: string | undefined;
  receiver.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    bytes += chunk.length;
    visit?.(chunk);
  });
  receiver.on('error', (error: NodeJS.ErrnoException) => (code = error.code ?? error.message));
  receiver.resume();
  return new Promise((resolve) => {
    const done = (): void =>
      resolve({
        bytes,
        sha256: hash.digest('hex'),
        ...(code === undefined ? {} : { error: code }),
      });
    receiver.once('close', done);
    // Half-open on purpose: the far end says nothing, so it closes when its own side ends.
    receiver.once('end', () => receiver.end());
  });
}

/** Settles when `bytes` bytes have arrived; answers them. */
export function take(receiver: net.Socket, bytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  return new Promise((resolve) => {
    const look = (chunk: Buffer): void => {
      parts.push(chunk);
      size += chunk.length;
      if (size < bytes) return;
      receiver.off('data', look);
      receiver.pause();
      resolve(Buffer.concat(parts));
    };
    receiver.on('data', look);
    receiver.resume();
  });
}

export class Loopback {
  readonly #servers = new Set<net.Server>();
  readonly #sockets = new Set<net.Socket>();

  /** Closes the socket when the test is over. */
  own<S extends net.Socket>(socket: S): S {
    this.#sockets.add(socket);
    return socket;
  }

  /** Listens on a free port of 127.0.0.1, or on `path`, until the test is over. */
  async listen<S extends net.Server>(server: S, path?: string): Promise<S> {
    this.#servers.add(server);
    server.on('connection', (socket: net.Socket) => this.#sockets.add(socket));
    if (path === undefined) server.listen(0, '127.0.0.1');
    else server.listen(path);
    await once(server, 'listening');
    return server;
  }

  /** A server that leaves what it accepts unread. */
  silentServer(options: net.ServerOpts = {}): Promise<net.Server> {
    return this.listen(net.createServer({ pauseOnConnect: true, allowHalfOpen: true, ...options }));
  }

  async pair(
    zeroCopy?: ZeroCopyOptions,
    options: Partial<ZeroCopyConnectOptions> = {},
  ): Promise<Pair<Upgraded>> {
    const server = await this.silentServer();
    const to = { ...addressOf(server), ...options, ...(zeroCopy && { zeroCopy }) };
    return this.#join(server, connect(to as ZeroCopyConnectOptions));
  }

  /** The same without this package. */
  async plainPair(options: Partial<net.TcpNetConnectOpts> = {}): Promise<Pair<net.Socket>> {
    const server = await this.silentServer();
    return this.#join(server, net.connect({ ...addressOf(server), ...options }));
  }

  async #join<S extends net.Socket>(server: net.Server, sender: S): Promise<Pair<S>> {
    this.own(sender);
    const [[receiver]] = await Promise.all([
      once(server, 'connection') as Promise<[net.Socket]>,
      once(sender, 'connect'),
    ]);
    return { sender, receiver };
  }

  async close(): Promise<void> {
    const closed = [...this.#sockets].map((socket) => {
      socket.on('error', () => undefined);
      const gone = socket.closed ? undefined : once(socket, 'close').catch(() => undefined);
      socket.destroy();
      return gone;
    });
    await Promise.all(closed);
    await Promise.all(
      [...this.#servers].map((server) => new Promise((resolve) => server.close(resolve))),
    );
    this.#sockets.clear();
    this.#servers.clear();
  }
}

export function addressOf(server: net.Server): { host: string; port: number } {
  return { host: '127.0.0.1', port: (server.address() as net.AddressInfo).port };
}

/** For use in a suite: connections that every test begins without, and that end with it. */
export function loopback(): Loopback {
  const connections = new Loopback();
  afterEach(() => connections.close());
  return connections;
}
