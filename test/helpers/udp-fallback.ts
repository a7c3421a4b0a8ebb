// UDP sockets without the addon, beside node:dgram's own.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { missing } from '../../lib/native/loader';
import type { UdpSocketOptions, ZeroCopyUdpSocket } from '../../lib/index';
import { FallbackUdpSocket } from '../../lib/udp/fallback';
import { until } from '../../scripts/until';

export const HOST = '127.0.0.1';
/** More than a UDP datagram takes. */
export const TOO_MANY = 70_000;

export type Failure = NodeJS.ErrnoException & { sentDatagrams?: number };

/** Node's own receiver, and what it got so far. */
interface Receiver {
  readonly port: number;
  readonly texts: string[];
}

/** Sockets of both kinds for the tests of one suite, closed behind each. */
export interface FallbackKit {
  own<S extends dgram.Socket>(socket: S): S;
  create(options?: Partial<UdpSocketOptions>): ZeroCopyUdpSocket;
  bound(options?: Partial<UdpSocketOptions>): Promise<ZeroCopyUdpSocket>;
  receiver(): Promise<Receiver>;
  /** What arrived since the last look: all that was sent before, because the last did. */
  heard(receiver: Receiver): Promise<string[]>;
}

export async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  return promise.then(
    () => assert.fail('it succeeded'),
    (error: Failure) => error,
  );
}

/** To be called in a suite. */
export function fallbackKit(): FallbackKit {
  const open = new Set<dgram.Socket>();

  afterEach(async () => {
    for (const socket of open) {
      socket.removeAllListeners('error').on('error', () => undefined);
      await new Promise<void>((resolve) => socket.close(resolve));
    }
  });

  function own<S extends dgram.Socket>(socket: S): S {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    return socket;
  }

  function create(options: Partial<UdpSocketOptions> = {}): ZeroCopyUdpSocket {
    const socket = new FallbackUdpSocket({ type: 'udp4', ...options }, missing('for this test'));
    return own(socket as unknown as ZeroCopyUdpSocket);
  }

  async function bound(options: Partial<UdpSocketOptions> = {}): Promise<ZeroCopyUdpSocket> {
    const socket = create(options);
    socket.bind(0, HOST);
    await once(socket, 'listening');
    return socket;
  }

  async function receiver(): Promise<Receiver> {
    const socket = own(dgram.createSocket('udp4'));
    const texts: string[] = [];
    socket.on('message', (message) => texts.push(message.toString('latin1')));
    socket.bind(0, HOST);
    await once(socket, 'listening');
    return { port: socket.address().port, texts };
  }

  async function heard({ port, texts }: Receiver): Promise<string[]> {
    const last = own(dgram.createSocket('udp4'));
    last.send('the last', port, HOST);
    await until('the last datagram', () => texts.includes('the last'));
    return texts.splice(0).filter((text) => text !== 'the last');
  }

  return { own, create, bound, receiver, heard };
}
