// What receives: the seam between the receiver's accounts and a socket of one kind.
import type { ReceiverOrder } from '../protocol';

export interface Inlet {
  readonly address: string;
  readonly port: number;
  /** Bytes that the socket can hold, as the kernel counts them. */
  readonly receiveBuffer: number;
  /** Messages the kernel dropped because the socket was full. */
  drops(): number;
  close(): void;
}

/** What an inlet calls. */
export interface Takers {
  /** A datagram's payload, or the next piece of a stream. */
  take(data: Buffer): void;
  /** A stream has ended; `how` when not as it should. */
  ended(how?: string): void;
}

export type OpenInlet = (order: ReceiverOrder, takers: Takers) => Promise<Inlet>;

/** As the kernel's own self-test asks for; the kernel gives what net.core.rmem_max allows. */
export const RECEIVE_BUFFER_BYTES = 2 * 1024 * 1024;

/** EGP, a protocol that nothing else speaks any more: what raw sockets send and receive here. */
export const RAW_PROTOCOL = 8;
