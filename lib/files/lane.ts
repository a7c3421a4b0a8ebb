// The files of one socket. A file is one more write of its stream: an empty chunk, its marker, represents it, and
// _write() and _writev(), which are replaced with the first file, recognise the marker. By then the kernel has
// everything that was written before, and later writes wait: the stream itself keeps the order.
import type net from 'node:net';
import { loadNative, type Native } from '../native/binding.js';
import { streamDestroyed } from '../errors.js';
import { FileSteps, type StepHost } from './file-steps.js';
import type { FileWrite } from './file-write.js';
import { fileHostOf, type FileHost } from './host.js';

type WriteCallback = (error?: Error | null) => void;

interface Chunk {
  readonly chunk: Uint8Array | string;
  readonly encoding: BufferEncoding;
}

const laneOf = Symbol('msg-zerocopy.files');

type WithLane = net.Socket & { [laneOf]?: Lane };

/** The lane of a socket, created on first use. */
export function laneFor(socket: net.Socket): Lane {
  const known = (socket as WithLane)[laneOf];
  return known ?? new Lane(socket);
}

/** Call it before an upgrade replaces methods of a socket; see Lane.lift(). */
export function liftLane(socket: net.Socket): (() => void) | undefined {
  return (socket as WithLane)[laneOf]?.lift();
}

export class Lane implements StepHost {
  readonly socket: net.Socket;
  readonly native: Native | undefined;
  readonly #waiting = new Map<unknown, FileWrite>();
  #present: FileWrite | undefined;
  #write!: net.Socket['_write'];
  #writev!: NonNullable<net.Socket['_writev']>;
  /** Bytes that Node does not count, for a socket that is not upgraded. */
  #uncounted = 0;

  constructor(socket: net.Socket) {
    this.socket = socket;
    this.native = loadNative().native;
    Object.defineProperty(socket, laneOf, { value: this });
    this.#install();
    if (this.host === undefined) countBytes(socket, () => this.#uncounted);
    socket.on('close', () => this.#closed());
  }

  #install(): void {
    const { socket } = this;
    this.#write = socket._write;
    this.#writev = socket._writev as NonNullable<net.Socket['_writev']>;
    Object.defineProperties(socket, overrides);
  }

  /** Removes the lane's methods from a socket that is being upgraded. @returns a function that puts them back on top */
  lift(): () => void {
    const own = this.socket as unknown as Record<string, unknown>;
    for (const name of ['_write', '_writev', 'bytesWritten']) delete own[name];
    return () => {
      this.#install();
      this.host?.movedBytes(this.#uncounted, 0);
      this.#uncounted = 0;
    };
  }

  get host(): FileHost | undefined {
    return fileHostOf(this.socket);
  }

  /** The file's marker is about to be written. */
  expect(file: FileWrite): void {
    this.#waiting.set(file.marker, file);
  }

  /** Its marker will not be written, or means nothing from now on. */
  forget(file: FileWrite): void {
    this.#waiting.delete(file.marker);
  }

  /** Whether no file is being sent: a marker written now is handled before this turn's callbacks. */
  get isIdle(): boolean {
    return this.#present === undefined && this.#waiting.size === 0;
  }

  movedBytes(bytes: number, fromFile: number): void {
    const { host } = this;
    if (host === undefined) this.#uncounted += bytes;
    else host.movedBytes(bytes, fromFile);
  }

  // --- the stream's writes ------------------------------------------------------------------------

  write(chunk: Uint8Array | string, encoding: BufferEncoding, callback: WriteCallback): void {
    const file = chunk.length === 0 ? this.#waiting.get(chunk) : undefined;
    if (file === undefined) this.#write.call(this.socket, chunk, encoding, callback);
    else this.#begin(file, '', callback);
  }

  writev(chunks: readonly Chunk[], callback: WriteCallback): void {
    const at =
      this.#waiting.size === 0 ? -1 : chunks.findIndex(({ chunk }) => this.#waiting.has(chunk));
    if (at < 0) return this.#writeAll(chunks, callback);
    const file = this.#waiting.get(chunks[at]?.chunk) as FileWrite;
    const rest = chunks.slice(at + 1);
    const next: WriteCallback =
      rest.length === 0
        ? callback
        : (error) => (error ? callback(error) : this.writev(rest, callback));
    const before = chunks.slice(0, at);
    const text = this.#textOf(before);
    if (text !== undefined) return this.#begin(file, text, next);
    this.#writeAll(before, (error) => (error ? next(error) : this.#begin(file, '', next)));
  }

  #writeAll(chunks: readonly Chunk[], callback: WriteCallback): void {
    const only = chunks.length === 1 ? chunks[0] : undefined;
    if (only !== undefined) this.#write.call(this.socket, only.chunk, only.encoding, callback);
    else
      this.#writev.call(
        this.socket,
        chunks as { chunk: unknown; encoding: BufferEncoding }[],
        callback,
      );
  }

  // The header of a response, which is sent in the file's first packets.
  #textOf(chunks: readonly Chunk[]): string | undefined {
    let text = '';
    for (const { chunk, encoding } of chunks) {
      if (typeof chunk !== 'string' || encoding !== 'latin1') return undefined;
      text += chunk;
    }
    const most = this.native?.constants.MOST_TEXT ?? 0;
    return text.length <= most ? text : undefined;
  }

  #begin(file: FileWrite, text: string, callback: WriteCallback): void {
    this.forget(file);
    this.#present = file;
    // If it was cancelled while it waited, its descriptor may belong to another file by now.
    if (file.state === 'waiting') file.state = 'begun';
    const start = (): void => {
      const { body } = file;
      file.owed = body === undefined ? text : Buffer.concat([Buffer.from(text, 'latin1'), body]);
      new FileSteps(this, file, (error) => this.#over(file, callback, error)).step();
    };
    if (file.opening !== undefined) void file.opening.then(start);
    else if (file.context !== undefined) file.context.runInAsyncScope(start);
    else start();
  }

  #over(file: FileWrite, callback: WriteCallback, error: Error | undefined): void {
    this.#present = undefined;
    const wasOver = file.state === 'over';
    file.state = 'over';
    if (error !== undefined && !wasOver) file.sender.failed(error);
    callback(error);
  }

  #closed(): void {
    const files = [...this.#waiting.values()];
    if (this.#present !== undefined) files.unshift(this.#present);
    this.#waiting.clear();
    for (const file of files) {
      if (file.state === 'over') continue;
      file.state = 'over';
      file.sender.failed(this.socket.errored ?? streamDestroyed());
    }
  }
}

// --- overrides: shared functions, `this` is the socket ------------------------------------------

function _write(
  this: WithLane,
  chunk: Uint8Array | string,
  encoding: BufferEncoding,
  callback: WriteCallback,
): void {
  (this[laneOf] as Lane).write(chunk, encoding, callback);
}

function _writev(this: WithLane, chunks: Chunk[], callback: WriteCallback): void {
  (this[laneOf] as Lane).writev(chunks, callback);
}

function hidden(value: unknown): PropertyDescriptor {
  return { value, writable: true, configurable: true, enumerable: false };
}

const overrides: PropertyDescriptorMap = { _write: hidden(_write), _writev: hidden(_writev) };

function countBytes(socket: net.Socket, uncounted: () => number): void {
  let from: object | null = socket;
  let known: PropertyDescriptor | undefined;
  while (from !== null && known === undefined) {
    known = Object.getOwnPropertyDescriptor(from, 'bytesWritten');
    from = Object.getPrototypeOf(from) as object | null;
  }
  const get = known?.get;
  if (get === undefined) return;
  Object.defineProperty(socket, 'bytesWritten', {
    get(this: net.Socket): number | undefined {
      const bytes = get.call(this) as number | undefined;
      return bytes === undefined ? undefined : bytes + uncounted();
    },
    configurable: true,
    enumerable: false,
  });
}
