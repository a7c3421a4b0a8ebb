// The public methods that UDP, raw and packet sockets share: as types, and as a class.
import { EventEmitter } from 'node:events';
import type { ZeroCopyControl } from '../observe/control.js';
import type { DatagramCore, DatagramStats } from './core.js';
import type { Arrival, DatagramOwner } from './receive.js';

/** `socket.zeroCopy` of a datagram socket. */
export interface DatagramControl extends ZeroCopyControl {
  /** The counters, at this moment. */
  readonly stats: DatagramStats;
}

/** Called once, when the memory is yours again, also with an error. @param bytes of the datagram, without an error */
export type DatagramSendCallback = (error: Error | null, bytes: number) => void;

/** One datagram, in one piece or several, which must not change until its callback or promise settles. */
export type DatagramMessage = Uint8Array | readonly Uint8Array[];

/** What raw and packet sockets have in common. A method of a closed socket throws ERR_SOCKET_DGRAM_NOT_RUNNING. */
export interface DatagramSurface<Info> extends EventEmitter, AsyncIterable<Arrival<Info>> {
  /** What the socket does at present, and how its bytes travelled. */
  readonly zeroCopy: DatagramControl;
  /**
   * Closes the socket. Queued sends still go out if the send buffer takes them at once; the rest fails with
   * ECANCELED. 'close' comes when the kernel holds none of the socket's memory any more.
   */
  close(callback?: () => void): this;
  /** SO_RCVBUF in bytes: twice what was set, as the kernel counts. Throws: ERR_SOCKET_BUFFER_SIZE. */
  getRecvBufferSize(): number;
  /** @param bytes an integer, 0 to 2^32 - 1. Throws: ERR_SOCKET_BAD_BUFFER_SIZE, ERR_SOCKET_BUFFER_SIZE. */
  setRecvBufferSize(bytes: number): void;
  /** SO_SNDBUF in bytes: twice what was set, as the kernel counts. Throws: ERR_SOCKET_BUFFER_SIZE. */
  getSendBufferSize(): number;
  /** @param bytes an integer, 0 to 2^32 - 1. Throws: ERR_SOCKET_BAD_BUFFER_SIZE, ERR_SOCKET_BUFFER_SIZE. */
  setSendBufferSize(bytes: number): void;
  /** Bytes that wait for space in the send buffer. */
  getSendQueueSize(): number;
  /** Sends that wait for space in the send buffer. */
  getSendQueueCount(): number;
  /** The open socket keeps the event loop alive: the default. */
  ref(): this;
  /** Lets the event loop end although the socket is open. */
  unref(): this;
  /**
   * Datagrams as they arrive. Ends when the socket closes, and rejects with its 'error', which then needs no other
   * listener. If the loop is slow, the kernel drops datagrams and counts them (`stats.receiveDrops`).
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Arrival<Info>>;
  /** close(); settles with 'close'. Does nothing on a closed socket. */
  [Symbol.asyncDispose](): Promise<void>;
}

export abstract class DatagramSocket<Info> extends EventEmitter implements DatagramOwner<Info> {
  protected abstract readonly core: DatagramCore<Info>;

  /** @internal */
  abstract describe(slot: number, add: (arrival: Arrival<Info>) => void): void;

  /** What the socket does at present, and how its bytes travelled. */
  get zeroCopy(): DatagramControl {
    return this.core.control as unknown as DatagramControl;
  }

  /**
   * Closes the socket. Queued sends still go out if the send buffer takes them at once; the rest fails with
   * ECANCELED. 'close' comes when the kernel holds none of the socket's memory.
   * @throws ERR_SOCKET_DGRAM_NOT_RUNNING when it is closed.
   */
  close(callback?: () => void): this {
    if (typeof callback === 'function') this.on('close', callback);
    this.core.checkRunning();
    this.core.close();
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.core.isClosed) return;
    await new Promise<void>((resolve) => this.close(resolve));
  }

  ref(): this {
    this.core.setReferenced(true);
    return this;
  }

  /** Lets the event loop end although the socket is open. */
  unref(): this {
    this.core.setReferenced(false);
    return this;
  }

  /** SO_RCVBUF in bytes: twice what was set, as the kernel counts. Throws: ERR_SOCKET_BUFFER_SIZE. */
  getRecvBufferSize(): number {
    return this.core.bufferSize('recv', 0);
  }
  getSendBufferSize(): number {
    return this.core.bufferSize('send', 0);
  }
  setRecvBufferSize(size: number): void {
    this.core.bufferSize('recv', checkBufferSize(size));
  }
  setSendBufferSize(size: number): void {
    this.core.bufferSize('send', checkBufferSize(size));
  }

  /** Bytes that wait for space in the send buffer. */
  getSendQueueSize(): number {
    return this.core.queuedBytes;
  }
  /** Sends that wait for space in the send buffer. */
  getSendQueueCount(): number {
    return this.core.queuedSends;
  }

  /**
   * Datagrams as they arrive. Ends when the socket closes, and rejects with its 'error', which then needs no other
   * listener. If the loop is slow, the kernel drops datagrams and counts them.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Arrival<Info>> {
    return this.core.receiver.iterate();
  }
}

function checkBufferSize(size: unknown): number {
  if (typeof size !== 'number' || size >>> 0 !== size) {
    throw Object.assign(new TypeError('Buffer size must be a positive integer'), {
      code: 'ERR_SOCKET_BAD_BUFFER_SIZE',
    });
  }
  return size;
}
