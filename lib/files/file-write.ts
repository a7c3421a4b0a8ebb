// The state of one file that is being sent: its range, its progress, and the sender that it reports to.
import type { AsyncResource } from 'node:async_hooks';

/** The caller for which a file is sent. None of these may throw. */
export interface FileSender {
  /** Whether each part is framed as a chunk of HTTP/1.1. Asked once, when the first byte is due. */
  isChunked(): boolean;
  /** Called before each step; true: do not send the rest. */
  stops(): boolean;
  /** The kernel or libuv took bytes of the file. */
  moved(bytes: number): void;
  /** The rest follows in a later turn, and other code runs before. */
  waits(): void;
  /** sendfile(2) does not support this file or socket. 'leave': the write ends, and the sender goes on by itself. */
  refused(errno: number): 'copy' | 'leave';
  /**
   * The write is over, and the stream's next one may follow. 'sent': the range, or everything up to the file's end, is
   * sent; 'stopped': stops() returned true; 'refused': refused() returned 'leave'.
   */
  over(how: 'sent' | 'stopped' | 'refused', errno: number): void;
  /** The socket failed, or was destroyed. */
  failed(error: Error): void;
}

/** Bytes of a chunk of HTTP/1.1. When a stream is interrupted within a chunk, the rest of it is read into memory. */
export const CHUNK_BYTES = 256 * 1024;

export class FileWrite {
  /** The chunk that represents the file in the stream. It is empty, so that the stream's byte counts stay right. */
  readonly marker = Buffer.alloc(0);
  /** Bytes that the kernel and libuv took. */
  bytesMoved = 0;
  /** How many of these went without a copy. */
  bytesByKernel = 0;
  state: 'waiting' | 'begun' | 'over' = 'waiting';
  /** The whole content, sent instead of a range, of a file that does not report its size. */
  body: Uint8Array | undefined;
  /** Where the present chunk ends; undefined between chunks, or if the body is not chunked. */
  chunkEnd: number | undefined;
  /** The async context to send it in; undefined: the context of the stream's previous write is right. */
  context: AsyncResource | undefined;
  /** Bytes to send before the next bytes of the file. */
  owed: Uint8Array | string = '';
  /** Chunks that were begun; if there are any, the last one still needs its end. */
  chunks = 0;

  /**
   * @param file a descriptor, open until the write is over; -1 while `opening` is pending
   * @param offset of the next byte to send
   * @param end of the range, exclusive; Infinity: wherever the file ends when it is sent
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
