// UDP sockets without the addon, beside node:dgram's own.
import assert from 'node:assert/strict';
import { missing } from '../../lib/native/loader';
import type { UdpSocketOptions, ZeroCopyUdpSocket } from '../../lib/index';
import { FallbackUdpSocket } from '../../lib/udp/fallback';
import { OpenSockets } from './dgram-behaviours-open';

export const HOST = '127.0.0.1';
/** More than a UDP datagram takes. */
export const TOO_MANY = 70_000;

export type Failure = NodeJS.ErrnoException & { sentDatagrams?: number };

export async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  return promise.then(
    () => assert.fail('it succeeded'),
    (error: Failure) => error,
  );
}

/** For use in a suite: those under test have no addon. */
export class FallbackSockets extends OpenSockets {
  override create(options: Partial<UdpSocketOptions> = {}): ZeroCopyUdpSocket {
    const socket = new FallbackUdpSocket({ type: 'udp4', ...options }, missing('for this test'));
    return this.own(socket as unknown as ZeroCopyUdpSocket);
  }
}
