// An fs.ReadStream that is piped into an upgraded socket, or into a response on one, is not read: the kernel
// moves its bytes. The stream stays piped and has the same events and counters as if it had been read.
// Anything else done to it (a listener, pause, unpipe, destroy) ends this, and the stream reads on from the
// right place.
import { AsyncResource } from 'node:async_hooks';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { Readable } from 'node:stream';
import { isNodesWrite } from '../memory/http-pieces.js';
import { loadNative } from '../native/binding.js';
import type { FileReason } from '../names.js';
import { setImmediate } from '../node/clock.js';
import { closeNow, isHot, learn, openHot } from './file-source.js';
import { detachFile } from './file-steps.js';
import { FileWrite, type FileSender } from './file-write.js';
import { fileHostOf, type FileHost } from './host.js';
import { laneFor, type Lane } from './lane.js';

/** Node's own functions, to notice replacements. */
const { open: fsOpen, read: fsRead, close: fsClose } = fs;
const { _read: streamRead, _construct: streamConstruct } = fs.ReadStream.prototype;
const streamOpen = methodsOf(fs.ReadStream.prototype).open;

type Target = net.Socket | http.ServerResponse;

/** A stream that has one of these as its own property was changed. */
const OWN_METHODS = [
  ...(['_read', '_destroy', 'read', 'push', 'unshift', 'emit', 'pipe'] as const),
  ...(['open', '_construct'] as const),
];

let watches = false;

/** Watches streams of files that are piped from now on. */
export function watchFilePipes(): void {
  if (watches) return;
  watches = true;
  const { prototype } = fs.ReadStream;
  const pipe = function pipe(this: fs.ReadStream, target: unknown, options?: unknown): unknown {
    const result = Readable.prototype.pipe.call(
      this,
      target as NodeJS.WritableStream,
      options as { end?: boolean },
    );
    consider(this, target);
    return result;
  };
  Object.defineProperty(prototype, 'pipe', { value: pipe, writable: true, configurable: true });
}

/** Streams of this package's own, which are read as usual. */
const leftAlone = new WeakSet<object>();

/** Streams whose first read is still to come. */
const considered = new WeakSet<object>();

/** Streams whose file the event loop opened, and may close. */
const openedHere = new WeakSet<object>();

/** Lets a stream be read as usual. */
export function leaveAlone(stream: fs.ReadStream): void {
  leftAlone.add(stream);
}

function hostOf(target: unknown): FileHost | undefined {
  if (target instanceof net.Socket) return fileHostOf(target);
  if (!(target instanceof http.ServerResponse)) return undefined;
  // A response has no socket of its own while it waits for the one before it.
  const socket = (target.req as http.IncomingMessage | undefined)?.socket ?? target.socket;
  return socket ? fileHostOf(socket) : undefined;
}

function consider(stream: fs.ReadStream, target: unknown): void {
  const host = hostOf(target);
  if (host?.takesFiles !== true || leftAlone.has(stream)) return;
  if (considered.has(stream)) return;
  if (isOwnKind(stream)) return host.leftFile('own-stream');
  considered.add(stream);
  hide(stream, '_read', function firstRead(this: fs.ReadStream, wanted: number): void {
    restore(this, '_construct');
    restore(this, '_read');
    considered.delete(this);
    const left = new TakeOver(this, target as Target, host).begin();
    if (left === undefined) return;
    host.leftFile(left);
    this._read(wanted);
  });
  // The last one to be added is the first one to be removed: otherwise V8 would turn the stream into a dictionary.
  if (privateOf(stream).fd === null) hide(stream, '_construct', openHere);
}

interface PrivateStream {
  readonly _readableState: { readonly pipes?: readonly unknown[]; dataEmitted: boolean };
  pos?: number;
  bytesRead: number;
  fd: number | null;
  readonly path?: unknown;
  readonly flags?: unknown;
  readonly end: number;
}

function privateOf(stream: fs.ReadStream): PrivateStream {
  return stream as unknown as PrivateStream;
}

// A subclass, a stream with its own fs, or a patched one: its bytes may not be those of the file.
function isOwnKind(stream: fs.ReadStream): boolean {
  if (Object.getPrototypeOf(stream) !== fs.ReadStream.prototype) return true;
  if (fs.read !== fsRead || fs.close !== fsClose) return true;
  if (fs.ReadStream.prototype._read !== streamRead) return true;
  for (const name of OWN_METHODS) if (Object.hasOwn(stream, name)) return true;
  // One symbol for all streams.
  kFs ??= Object.getOwnPropertySymbols(stream).find(({ description }) => description === 'kFs');
  return kFs === undefined || (stream as unknown as Record<symbol, unknown>)[kFs] !== fs;
}

let kFs: symbol | undefined;

/** Of the file that describeFile() was last asked about. */
const facts = new Float64Array(2);

class TakeOver implements FileSender {
  readonly #stream: fs.ReadStream;
  readonly #target: Target;
  readonly #host: FileHost;
  #file: FileWrite | undefined;
  #lane: Lane | undefined;
  #guarded = false;

  constructor(stream: fs.ReadStream, target: Target, host: FileHost) {
    this.#stream = stream;
    this.#target = target;
    this.#host = host;
  }

  /** Begins, in the stream's first read. @returns why not, if it cannot */
  begin(): FileReason | undefined {
    const stream = privateOf(this.#stream);
    const offset = stream.pos ?? stream.bytesRead;
    // A stream that opened its file begins at 0; a descriptor from elsewhere may have any position.
    if (
      stream.pos === undefined &&
      typeof stream.path !== 'string' &&
      !Buffer.isBuffer(stream.path)
    ) {
      return 'no-position';
    }
    const left = this.#leftFor() ?? this.#unfit(offset);
    if (left !== undefined) return left;
    const file = (this.#file = new FileWrite(this, stream.fd as number, offset, stream.end + 1));
    const lane = (this.#lane = laneFor(this.#host.socket));
    const waits =
      !lane.isIdle ||
      this.#host.socket.writableLength > 0 ||
      (this.#target as http.ServerResponse).socket === null;
    // Its turn comes in the callback of another write.
    if (waits) file.context = new AsyncResource('msg-zerocopy.file');
    lane.expect(file);
    try {
      this.#target.write(file.marker);
    } catch {
      // http may refuse the header of a response: writing the stream's own chunk reports it.
      lane.forget(file);
      return 'own-write';
    }
    // Sets readableDidRead and Readable.isDisturbed().
    stream._readableState.dataEmitted = true;
    if (waits && file.state === 'waiting') this.#guard();
    return undefined;
  }

  // Why the stream has to be read, or read on.
  #leftFor(): FileReason | undefined {
    const stream = this.#stream;
    if (stream.readableFlowing !== true) return 'paused';
    if (stream.listenerCount('data') !== 1 || stream.listenerCount('readable') > 0)
      return 'other-readers';
    const { pipes } = privateOf(stream)._readableState;
    if (pipes?.length !== 1 || pipes[0] !== this.#target) return 'other-readers';
    if (stream.readableEncoding !== null || stream.readableLength > 0) return 'other-readers';
    if (!this.#host.writesItself) return 'own-write';
    if (this.#target instanceof http.ServerResponse && !isNodesWrite(this.#target.write))
      return 'own-write';
    return undefined;
  }

  // Reasons that cannot change: checked once.
  #unfit(offset: number): FileReason | undefined {
    const { native } = loadNative();
    const { fd, path, flags } = privateOf(this.#stream);
    if (native === undefined) return 'addon-unavailable';
    if (fd === null || native.describeFile(fd, facts) !== 1) return 'not-regular';
    const [size, device] = facts as unknown as [number, number];
    // Files of /proc and /sys do not know theirs.
    if (size === 0 || offset >= size) return 'no-size';
    if (typeof path === 'string' && flags === 'r' && !openedHere.has(this.#stream))
      learn(path, device);
    return this.#target instanceof http.ServerResponse ? unfitResponse(this.#target) : undefined;
  }

  // --- FileSender -------------------------------------------------------------------------------

  isChunked(): boolean {
    return (this.#target as { chunkedEncoding?: boolean }).chunkedEncoding === true;
  }

  stops(): boolean {
    // After the socket's end(), Node treats writes in its own way.
    const { writableEnded } = this.#host.socket;
    return writableEnded || this.#stream.destroyed || this.#leftFor() !== undefined;
  }

  moved(bytes: number): void {
    const stream = privateOf(this.#stream);
    stream.bytesRead += bytes;
    if (stream.pos !== undefined) stream.pos += bytes;
  }

  waits(): void {
    this.#guard();
  }

  refused(): 'leave' {
    return 'leave';
  }

  over(how: 'sent' | 'stopped' | 'refused'): void {
    this.#unguard();
    const stream = this.#stream;
    if (how === 'sent') {
      this.#host.sentFile((this.#file as FileWrite).bytesByKernel);
      if (openedHere.has(stream)) hide(stream, '_destroy', closeHere);
      stream.push(null);
    } else if (!stream.destroyed) {
      this.#goOn(
        (this.#file as FileWrite).offset,
        how === 'refused' ? 'kernel-refused' : 'interrupted',
      );
    }
  }

  failed(): void {
    // The target's 'close' unpipes the stream, as without this package; a program that reads on gets the rest.
    if (!this.#stream.destroyed) this.#guard();
  }

  // --- others in the middle -----------------------------------------------------------------------

  // Other code may run between two steps: from now on, everything that it does to the stream is noticed at once.
  #guard(): void {
    if (this.#guarded) return;
    this.#guarded = true;
    guarded.set(this.#stream, this);
    Object.defineProperties(this.#stream, guards);
  }

  #unguard(): void {
    if (!this.#guarded) return;
    this.#guarded = false;
    guarded.delete(this.#stream);
    for (const name of guardNames) restore(this.#stream, name);
  }

  /** The program did something to the stream. */
  disturbed(): void {
    if (this.#stream.destroyed || this.#leftFor() !== undefined) this.interrupt();
  }

  /** The stream reads on from here. */
  interrupt(): void {
    const file = this.#file as FileWrite;
    if (!this.#guarded) return;
    this.#unguard();
    if (file.state === 'waiting') (this.#lane as Lane).forget(file);
    const offset = detachFile(file);
    if (!this.#stream.destroyed) this.#goOn(offset, 'interrupted');
    else this.#host.leftFile('interrupted');
  }

  #goOn(offset: number, reason: FileReason): void {
    const stream = this.#stream;
    this.#host.leftFile(reason);
    privateOf(stream).pos = offset;
    stream._read(stream.readableHighWaterMark);
  }
}

function unfitResponse(response: http.ServerResponse): FileReason | undefined {
  const { statusCode, req } = response;
  if (req.method === 'HEAD' || statusCode < 200 || statusCode === 204 || statusCode === 304)
    return 'no-body';
  if (response.strictContentLength) return 'strict-length';
  return response.writableCorked > 0 || response.writableEnded ? 'corked' : undefined;
}

// --- methods of a stream that may be interrupted: shared functions, `this` is the stream --------

const guarded = new WeakMap<object, TakeOver>();

type Method = (this: fs.ReadStream, ...args: never[]) => unknown;

function disturbing(
  name: 'pause' | 'unpipe' | 'on' | 'addListener' | 'setEncoding' | 'unshift',
): PropertyDescriptor {
  const value: Method = function (...args) {
    const method = fs.ReadStream.prototype[name] as Method;
    const result = method.apply(this, args);
    guarded.get(this)?.disturbed();
    return result;
  };
  Object.defineProperty(value, 'name', { value: name });
  return { value, writable: true, configurable: true, enumerable: false };
}

function _destroy(
  this: fs.ReadStream,
  error: Error | null,
  callback: (error?: Error | null) => void,
): void {
  // While the file is still open.
  guarded.get(this)?.interrupt();
  fs.ReadStream.prototype._destroy.call(this, error, callback);
}

const guards: PropertyDescriptorMap = {
  pause: disturbing('pause'),
  unpipe: disturbing('unpipe'),
  on: disturbing('on'),
  addListener: disturbing('addListener'),
  setEncoding: disturbing('setEncoding'),
  unshift: disturbing('unshift'),
  _destroy: { value: _destroy, writable: true, configurable: true, enumerable: false },
};

// --- methods of a stream whose file is known to open without waiting: `this` is the stream -----

type Callback = (error?: Error | null) => void;

// In a later phase of the loop, as if by the thread pool: whoever has the stream may still listen to 'open'.
function openHere(this: fs.ReadStream, callback: Callback): void {
  restore(this, '_construct');
  const stream = privateOf(this);
  const { path, flags } = stream;
  const isPlain = typeof path === 'string' && flags === 'r';
  if (!isPlain || wasOpenReplaced(this) || !isHot(path)) return this._construct?.(callback);
  setImmediate(() => {
    const file = openHot(path);
    if (file === undefined) return this._construct?.(callback);
    openedHere.add(this);
    stream.fd = file;
    callback();
    this.emit('open', file);
    this.emit('ready');
  });
}

function wasOpenReplaced(stream: fs.ReadStream): boolean {
  if (fs.open !== fsOpen || methodsOf(stream).open !== streamOpen) return true;
  return stream._construct !== streamConstruct;
}

/** A method that types no longer have. */
function methodsOf(stream: fs.ReadStream): { readonly open?: unknown } {
  return stream as { readonly open?: unknown };
}

function closeHere(this: fs.ReadStream, error: Error | null, callback: Callback): void {
  restore(this, '_destroy');
  const stream = privateOf(this);
  if (stream.fd === null || fs.close !== fsClose) return this._destroy(error, callback);
  closeNow(stream.fd);
  stream.fd = null;
  callback(error);
}

/** The last one first: otherwise V8 would turn the stream into a dictionary. */
const guardNames = Object.keys(guards).reverse();

function hide(stream: object, name: string, value: unknown): void {
  Object.defineProperty(stream, name, {
    value,
    writable: true,
    configurable: true,
    enumerable: false,
  });
}

function restore(stream: object, name: string): void {
  Reflect.deleteProperty(stream, name);
}
