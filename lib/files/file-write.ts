// One file that is being sent, as one write of its stream: its range, its progress, its callbacks.
import type { AsyncResource } from 'node:async_hooks';

/** Whoever has a file sent. None of these may throw. */
export interface FileSender {
  /** Whether each part is framed as a chunk of HTTP/1.1. Asked once, when the first byte is due. */
  isChunked(): boolean;
  /** Asked before each step; true: the rest is not to be sent, or not by us. */
  stops(): boolean;
  /** The kernel took bytes of the file, or libuv did. */
  moved(bytes: number): void;
  /** The rest comes in a later turn, and code of others runs before. */
  waits(): void;
  /** The kernel does not send this file to this socket. 'leave': the write is over, for somebody else to go on. */
  refused(errno: number): 'copy' | 'leave';
  /**
   * The write is over, and the stream's next one may follow. 'sent': the range, or up to the file's end;
   * 'stopped': as stops() asked; 'refused': as refused() answered.
   */
  over(how: 'sent' | 'stopped' | 'refused', errno: number): void;
  /** The socket failed, or was destroyed. */
  failed(error: Error): void;
}

/** Bytes of a chunk of HTTP/1.1. What remains of one is read into memory where a stream is cut off in it. */
export const CHUNK_BYTES = 256 * 1024;

export class FileWrite {
  /** What stands for the file in the stream. No bytes: nothing that counts bytes is disturbed. */
  readonly marker = Buffer.alloc(0);
  /** What kernel and libuv took. */
  bytesMoved = 0;
  /** Of these: without a copy. */
  bytesByKernel = 0;
  state: 'waiting' | 'begun' | 'over' = 'waiting';
  /** What goes instead of a range: the file did not say how large it is. */
  body: Uint8Array | undefined;
  /** Of the present chunk; undefined: not chunked. */
  chunkEnd: number | undefined;
  /** Whose context it is sent in; undefined: that of the stream's write before it will do. */
  context: AsyncResource | undefined;
  /** Bytes that go before anything else of the file. */
  owed: Uint8Array | string = '';
  /** Whether a chunk was begun, so that its end is due. */
  chunks = 0;

  /**
   * @param file a descriptor, open until the write is over; -1 while `opening` is pending
   * @param offset of the next byte to be sent
   * @param end of the range, exclusive; Infinity: the end of the file, where it is then
   */
  constructor(
    readonly sender: FileSender,
    public file: number,
    public offset: number,
    public end: number,
    /** Settles when file, offset and end are known; never rejects. */
    public opening?: Promise<void>,
  ) {}

  advance(bytes: number): void {
    this.offset += bytes;
    this.bytesMoved += bytes;
    this.sender.moved(bytes);
  }
}
