// What the public faces of raw and packet sockets share.
import type { EventEmitter } from 'node:events';
import type { Arrival } from './core.js';
import type { DatagramControl } from './socket.js';

/** Told once: the memory is yours again, also when it carries an error. */
export type DatagramSendCallback = (error: Error | null, bytes: number) => void;

/** One datagram, in one piece or several. */
export type DatagramMessage = Uint8Array | readonly Uint8Array[];

export interface DatagramSurface<Info> extends EventEmitter, AsyncIterable<Arrival<Info>> {
  /** What the socket does at present, and how its bytes travelled. */
  readonly zeroCopy: DatagramControl;
  /** 'close' comes when the kernel holds none of the socket's memory any more. */
  close(callback?: () => void): this;
  /** SO_RCVBUF in bytes: twice what was set, as the kernel counts. */
  getRecvBufferSize(): number;
  setRecvBufferSize(bytes: number): void;
  getSendBufferSize(): number;
  setSendBufferSize(bytes: number): void;
  /** Bytes, and sends, that wait for space in the socket. */
  getSendQueueSize(): number;
  getSendQueueCount(): number;
  ref(): this;
  unref(): this;
  /** Datagrams as they come; ends when the socket closes. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Arrival<Info>>;
  [Symbol.asyncDispose](): Promise<void>;
}
