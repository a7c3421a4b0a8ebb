// Sends one file: by sendfile(2) as long as the socket takes more, then it waits for space or for the disk,
// and so on until the range is sent. When the socket is full, a few bytes go by libuv, which waits for space,
// keeps the loop alive, and reports errors as it does for every write.
import { AsyncResource } from 'node:async_hooks';
import { constants as osConstants } from 'node:os';
import type net from 'node:net';
import { fstatSync, read, readSync } from 'node:fs';
import type { Native } from '../native/binding.js';
import { fileShrunk, streamDestroyed, systemError } from '../errors.js';
import { descriptorOf, handleOf, isPlain, refreshTimeout } from '../node/internals.js';
import { CHUNK_BYTES, type FileWrite } from './file-write.js';
import { turnFor, useTurn, waitForTurn } from './turns.js';

const { EAGAIN, EBADF, EINVAL, EIO, ENOBUFS, ENOMEM, ENOSYS, EOPNOTSUPP, EPERM, ESPIPE } =
  osConstants.errno;

/** Errors for a file, a socket or a call that sendfile(2) does not support; a copying send may work. */
const REFUSALS: ReadonlySet<number> = new Set(
  [EBADF, EINVAL, EIO, ENOSYS, EOPNOTSUPP, EPERM, ESPIPE].map((errno) => -errno),
);
/** Errors of a full socket: libuv waits for space. */
const FULL: ReadonlySet<number> = new Set([EAGAIN, ENOBUFS, ENOMEM].map((errno) => -errno));

/** Bytes for one call: the rest of a range may be Infinity. */
const WINDOW_BYTES = 1024 * 1024 * 1024;
/** Bytes that go by libuv when the socket is full. */
const PIECE_BYTES = 4096;
/** Bytes that are copied at once: as many as streams read. */
const COPY_BYTES = 64 * 1024;
/** Bytes that are read ahead together. */
const WARM_BYTES = 2 * 1024 * 1024;

export interface StepHost {
  readonly socket: net.Socket;
  readonly native: Native | undefined;
  movedBytes(bytes: number, fromFile: number): void;
}

/** Filled in by each call of moveFile() and describeFile(). */
const moved = new Float64Array(3);
const facts = new Float64Array(2);
const NOTHING = Buffer.alloc(0);

export class FileSteps {
  readonly #host: StepHost;
  readonly #file: FileWrite;
  readonly #done: (error?: Error) => void;
  /** The async context of the sender; made when the first step has to wait. */
  #context: AsyncResource | undefined;
  /** sendfile(2) does not support this file, and its sender wants it copied. */
  #copies = false;

  constructor(host: StepHost, file: FileWrite, done: (error?: Error) => void) {
    this.#host = host;
    this.#file = file;
    this.#done = done;
  }

  readonly step = (): void => {
    while (this.#moves());
  };

  // The context of the first caller.
  #remember(): AsyncResource {
    return (this.#context ??= new AsyncResource('msg-zerocopy.file'));
  }

  // Takes one step. @returns whether the next one may follow at once
  #moves(): boolean {
    const file = this.#file;
    const { socket, native } = this.#host;
    if (socket.destroyed) return this.#fail(streamDestroyed());
    // An empty write waits for the connection, as every write does.
    if (socket.connecting) return this.#byNode(NOTHING);
    if (file.state === 'over' || file.sender.stops()) {
      if (file.chunkEnd === undefined) return this.#over('stopped', 0);
      return file.state === 'over' ? this.#broken() : this.#cutChunk();
    }
    if (file.chunkEnd === undefined && file.offset >= file.end) return this.#over('sent', 0);
    if (typeof file.owed !== 'string') return this.#owed();
    if (file.chunkEnd === undefined && file.sender.isChunked() && !this.#beginChunk()) {
      return this.#over('sent', 0);
    }
    if (this.#copies) return file.owed.length > 0 ? this.#owed() : this.#copy();
    const descriptor = plainDescriptor(socket);
    if (native === undefined || descriptor === undefined) return this.#refused(-ENOSYS);
    const most = file.chunkEnd ?? file.end;
    const count = Math.min(most - file.offset, WINDOW_BYTES);
    const time = turnFor(count);
    if (time <= 0) return this.#waitForTurn();
    const text = file.owed;
    // A header with the head of a chunk behind it may be longer than one call takes.
    if (text.length > native.constants.MOST_TEXT) return this.#owed();
    const stop = native.moveFile(descriptor, text, file.file, file.offset, count, time, moved);
    const textMoved = moved[0] as number;
    const fileMoved = moved[1] as number;
    useTurn(fileMoved, moved[2] as number);
    if (textMoved + fileMoved > 0) this.#book(textMoved, fileMoved, text);
    return this.#next(native, stop);
  }

  #book(textMoved: number, fileMoved: number, text: string): void {
    const file = this.#file;
    const { socket } = this.#host;
    refreshTimeout(socket);
    this.#host.movedBytes(textMoved + fileMoved, fileMoved);
    if (textMoved > 0) file.owed = textMoved === text.length ? '' : text.slice(textMoved);
    file.bytesByKernel += fileMoved;
    if (fileMoved > 0) file.advance(fileMoved);
    if (file.offset === file.chunkEnd) file.chunkEnd = undefined;
  }

  #next(native: Native, stop: number): boolean {
    const file = this.#file;
    const { FILE_DONE, FILE_END, FILE_COLD, FILE_TURN } = native.constants;
    if (stop === FILE_DONE || stop === FILE_TURN) return true;
    if (stop === FILE_END) return this.#ended();
    if (stop === FILE_COLD) return this.#warm(native);
    // The header goes by Node's own write, which waits for space.
    if (FULL.has(stop)) return file.owed.length > 0 ? this.#owed() : this.#waitForSpace(native);
    if (REFUSALS.has(stop)) return this.#refused(stop);
    return this.#fail(systemError(stop, 'write'));
  }

  // --- waiting ------------------------------------------------------------------------------------

  #waitForTurn(): boolean {
    this.#file.sender.waits();
    const context = this.#remember();
    waitForTurn(() => context.runInAsyncScope(this.step));
    return false;
  }

  #waitForSpace(native: Native): boolean {
    const file = this.#file;
    const most = (file.chunkEnd ?? file.end) - file.offset;
    const piece = Buffer.allocUnsafe(Math.min(most, PIECE_BYTES));
    const count = native.peekFile(file.file, file.offset, piece);
    if (count === -EAGAIN) return this.#warm(native);
    if (count < 0) return this.#refused(count);
    if (count === 0) return this.#ended();
    return this.#passOn(piece.subarray(0, count));
  }

  #copy(): boolean {
    const file = this.#file;
    const most = (file.chunkEnd ?? file.end) - file.offset;
    const bytes = Buffer.allocUnsafeSlow(Math.min(most, COPY_BYTES));
    file.sender.waits();
    read(file.file, bytes, 0, bytes.length, file.offset, (error, count) => {
      if (error) this.#fail(error);
      else if (file.state === 'over') this.step();
      else if (count === 0 ? this.#ended() : this.#passOn(bytes.subarray(0, count))) this.step();
    });
    return false;
  }

  #passOn(bytes: Uint8Array): boolean {
    const file = this.#file;
    file.advance(bytes.length);
    if (file.offset === file.chunkEnd) file.chunkEnd = undefined;
    return this.#byNode(bytes);
  }

  #warm(native: Native): boolean {
    const file = this.#file;
    const most = (file.chunkEnd ?? file.end) - file.offset;
    const count = Math.min(most, WARM_BYTES);
    file.sender.waits();
    // Since Node 24, Node-API does not keep the caller's AsyncLocalStorage.
    const context = this.#remember();
    const warmed = (result: number): void => {
      context.runInAsyncScope(() => {
        if (result >= 0 || this.#refused(result)) this.step();
      });
    };
    const warming = native.warmFile(file.file, file.offset, count, warmed);
    return warming < 0 ? this.#refused(warming) : false;
  }

  #byNode(bytes: Uint8Array | string): boolean {
    const { socket } = this.#host;
    let isNow = true;
    let again = false;
    const encoding = (typeof bytes === 'string' ? 'latin1' : 'buffer') as BufferEncoding;
    methodOf(socket).call(socket, bytes, encoding, (error) => {
      if (error) this.#fail(error);
      else if (isNow) again = true;
      else this.step();
    });
    isNow = false;
    if (!again && this.#file.state !== 'over') this.#file.sender.waits();
    return again;
  }

  #owed(): boolean {
    const { owed } = this.#file;
    this.#file.owed = '';
    return this.#byNode(owed);
  }

  // --- chunks of HTTP/1.1 -------------------------------------------------------------------------

  // @returns false if the file has no more bytes
  #beginChunk(): boolean {
    const file = this.#file;
    const end = Math.min(this.#size(), file.end);
    const bytes = Math.min(end - file.offset, CHUNK_BYTES);
    if (bytes <= 0) return false;
    const owed = file.owed as string;
    file.owed = `${owed}${file.chunks++ > 0 ? '\r\n' : ''}${bytes.toString(16)}\r\n`;
    file.chunkEnd = file.offset + bytes;
    return true;
  }

  #size(): number {
    const { native } = this.#host;
    const { file } = this.#file;
    if (native === undefined) return fstatSync(file).size;
    return native.describeFile(file, facts) < 0 ? 0 : (facts[0] as number);
  }

  #broken(): boolean {
    return this.#fail(fileShrunk());
  }

  // The head of a chunk is sent, so the chunk must be completed: reads the rest of it and sends that by Node.
  #cutChunk(): boolean {
    if (!finishChunk(this.#file)) return this.#broken();
    return this.#owed();
  }

  // --- the end ------------------------------------------------------------------------------------

  #ended(): boolean {
    return this.#file.chunkEnd === undefined ? this.#over('sent', 0) : this.#broken();
  }

  #refused(errno: number): boolean {
    const file = this.#file;
    if (file.sender.refused(errno) === 'copy') {
      this.#copies = true;
      return true;
    }
    return file.chunkEnd === undefined ? this.#over('refused', errno) : this.#cutChunk();
  }

  #over(how: 'sent' | 'stopped' | 'refused', errno: number): boolean {
    const file = this.#file;
    if (file.chunks > 0) {
      file.chunks = 0;
      file.owed = Buffer.concat([bytesOf(file.owed), CHUNK_END]);
    }
    if (file.owed.length > 0) return this.#owed();
    const wasOver = file.state === 'over';
    file.state = 'over';
    this.#done();
    if (!wasOver) file.sender.over(how, errno);
    return false;
  }

  #fail(error: Error): boolean {
    this.#done(error);
    return false;
  }
}

/**
 * Stops sending a file at once: its write ends by itself, after the rest of a chunk that was begun. The file must
 * still be open.
 * @returns where the rest of the file begins
 */
export function detachFile(file: FileWrite): number {
  const wasOver = file.state === 'over';
  file.state = 'over';
  if (!wasOver && file.chunkEnd !== undefined) finishChunk(file);
  return file.offset;
}

// Reads the rest of the present chunk. @returns false if the file no longer has it
function finishChunk(file: FileWrite): boolean {
  const rest = Buffer.allocUnsafe((file.chunkEnd as number) - file.offset);
  const head = bytesOf(file.owed);
  let read = 0;
  try {
    while (read < rest.length) {
      const more = readSync(file.file, rest, read, rest.length - read, file.offset + read);
      if (more === 0) break;
      read += more;
    }
  } catch {
    // Treated like a file that ends here.
  }
  if (read < rest.length) return false;
  file.chunkEnd = undefined;
  file.owed = Buffer.concat([head, rest]);
  file.advance(read);
  return true;
}

const CHUNK_END = Buffer.from('\r\n');

function bytesOf(owed: Uint8Array | string): Uint8Array {
  return typeof owed === 'string' ? Buffer.from(owed, 'latin1') : owed;
}

// Only libuv's own handles: bytes written past a TLS handle would go out unencrypted.
function plainDescriptor(socket: net.Socket): number | undefined {
  const handle = handleOf(socket);
  return handle !== undefined && isPlain(handle) ? descriptorOf(handle) : undefined;
}

// The method of the class: the upgrade and the lane override the socket's own.
function methodOf(socket: net.Socket): net.Socket['_write'] {
  return (Object.getPrototypeOf(socket) as net.Socket)._write;
}
