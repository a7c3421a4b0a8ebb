// The path of a write from the caller to the kernel: the check of its chunk, the callback that Node gets, the cleanup
// when it throws; and, after the stream, the choice between an engine and a copy.
import net from 'node:net';
import { isUint8Array } from 'node:util/types';
import { asked } from '../memory/allowed-memory.js';
import { heldCallbacks } from '../send/release-callbacks.js';
import { passedByHttp } from './http-end.js';
import { rememberCaller } from '../memory/mutation.js';
import { MOST_HEADER } from '../native/stream-words.js';
import { flushesKept, isHttpNothing } from '../node/internals.js';
import { isDetached, rejectDetached } from '../memory/detached.js';
import { bufferDetached } from '../errors.js';
import { isPoolMemory, pools } from '../memory/pool-pins.js';
import { unpinnable } from '../memory/unpinnable.js';
import { keptOf, type Kept } from '../send/write.js';
import type { Chunk } from './chunks.js';
import { copyAll, copyOne } from './copy-now.js';
import { mayShareAnswer, queueAnswer, settleQueued, sharing } from './shared-calls.js';
import { OwnWrites } from './own-writes.js';
import { upgradeOf, type TcpUpgrade, type Upgraded } from './upgrade.js';

export type WriteCallback = (error?: Error | null) => void;

const nodeWrite = net.Socket.prototype.write;

// --- overrides: shared functions, `this` is the socket ------------------------------------------

export function write(
  this: net.Socket,
  chunk: unknown,
  encoding?: unknown,
  callback?: unknown,
): boolean {
  const up = (this as Upgraded)[upgradeOf];
  if (up.queued !== undefined) settleQueued(up);
  // Only a view without bytes can be a detached one; a DataView has no length. http's last write is an empty text.
  if (chunk !== '' && !((chunk as Uint8Array | undefined)?.length as number) && isDetached(chunk)) {
    return refuse(this, bufferDetached());
  }
  // send() looks at all of its chunks before it passes the first one.
  if (up.options.looksAtChunks && up.trackers?.has(chunk) !== true) {
    try {
      chunk = lookedAt(up, chunk);
    } catch (error) {
      return refuse(this, error);
    }
  }
  if (typeof encoding === 'function') {
    callback = encoding;
    encoding = undefined;
  }
  const own = (up.own ??= new OwnWrites());
  const size =
    typeof chunk === 'string'
      ? chunk.length
      : ((chunk as Uint8Array | null | undefined)?.byteLength ?? 0);
  const waiting = this.writableLength;
  // An empty chunk changes nothing of what waits.
  if (size > 0) own.begin(chunk, size, waiting, size >= up.options.largeFrom);
  const given = typeof callback === 'function' ? (callback as WriteCallback) : undefined;
  const settled = given === undefined ? undefined : settling(up, size, given);
  const pins = pools.any && isUint8Array(chunk) ? keptOf(chunk) : undefined;
  const last = pins === undefined ? settled : behind(pins, settled);
  if (pins !== undefined) {
    own.pinned = chunk;
    own.pins = pins;
  }
  const { write: pass } = up.base;
  try {
    // Small writes pass here. A constant function can be inlined, one read from an object cannot.
    return pass === nodeWrite
      ? nodeWrite.call(this, chunk as string, encoding as BufferEncoding, last)
      : pass.call(this, chunk as string, encoding as BufferEncoding, last);
  } catch (thrown) {
    takeBack(up, pins, settled, given);
    throw thrown;
  } finally {
    if (pins !== undefined) own.pinned = own.pins = undefined;
    if (own.passing !== undefined) own.end(this.writableLength - waiting);
  }
}

// http passes on what it kept, of a pipelined response or until it is connected, in a turn of its own: nobody could catch
// an error that is thrown there.
function refuse(socket: net.Socket, error: unknown): boolean {
  if (!flushesKept(socket)) throw error;
  socket.destroy(error as Error);
  return false;
}

export function end(this: net.Socket, ...args: unknown[]): net.Socket {
  const up = (this as Upgraded)[upgradeOf];
  if (up.queued !== undefined) settleQueued(up);
  rejectDetached(args[0]);
  if (up.options.looksAtChunks) args[0] = lookedAt(up, args[0]);
  const { base, options } = up;
  const [chunk] = args;
  if (chunk === null || chunk === undefined || typeof chunk === 'function') {
    return base.end.apply(this, args as Parameters<net.Socket['end']>);
  }
  const callback = args.find((arg) => typeof arg === 'function') as WriteCallback | undefined;
  const encoding = typeof args[1] === 'function' ? undefined : args[1];
  const given = callback && options.holdCallbacks ? up.hold(callback) : callback;
  const pins = pools.any && isUint8Array(chunk) ? keptOf(chunk) : undefined;
  const last = pins === undefined ? given : behind(pins, given);
  const waiting = this.writableLength;
  const size =
    typeof chunk === 'string'
      ? chunk.length
      : ((chunk as Uint8Array | null | undefined)?.byteLength ?? 0);
  const own = (up.own ??= new OwnWrites());
  own.begin(chunk, size, waiting, size >= options.largeFrom);
  try {
    return base.end.call(this, chunk as string, encoding as BufferEncoding, last);
  } catch (thrown) {
    takeBack(up, pins, given, callback);
    throw thrown;
  } finally {
    if (own.passing !== undefined) own.end(this.writableLength - waiting);
  }
}

/** The `_write` of an upgraded socket. */
export function writeChunk(
  this: net.Socket,
  chunk: Uint8Array | string,
  encoding: BufferEncoding,
  callback: WriteCallback,
): void {
  const up = (this as Upgraded)[upgradeOf];
  const size = chunk.length;
  const isOwn = up.own?.arrives(chunk, size, this.writableLength) === true;
  // A buffer without bytes may be a detached one.
  if (size > 0 && size < up.options.floor && !up.trackers?.any) {
    copyOne(up, chunk, encoding, callback);
  } else if (
    typeof chunk === 'string' ||
    size === 0 ||
    !up.options.isUnwatched ||
    up.trackers?.any ||
    unpinnable.any ||
    this.connecting
  ) {
    up.write([{ chunk, encoding }], callback, isOwn);
  } else {
    // The shape of nearly every large write. It runs few functions in few files (test/socket/calls.test.ts).
    const port = (up.connection ?? up.ensureConnection()).choose(size, isOwn, 'own-call', chunk);
    if (typeof port === 'string') return copyOne(up, chunk, encoding, callback);
    up.dispatched += size;
    port.writeOne(undefined, chunk, callback, pools.any ? sharePins(up, chunk) : undefined);
  }
}

// Those of the call that passes it, or new ones. The call holds them until its callback, too: a write() that was wrapped
// may pass the chunk more than once.
function sharePins(up: TcpUpgrade, chunk: Uint8Array): Kept | undefined {
  const own = up.own;
  const pins = own?.pinned === chunk ? own.pins : undefined;
  if (pins === undefined || pins.isDropped) return keptOf(chunk);
  pins.holders++;
  return pins;
}

/** The `_writev` of an upgraded socket. */
export function writeChunks(
  this: net.Socket,
  chunks: readonly Chunk[],
  callback: WriteCallback,
): void {
  const up = (this as Upgraded)[upgradeOf];
  const { options } = up;
  const count = chunks.length;
  const text = chunks[0]?.chunk;
  const body = chunks[1]?.chunk;
  const last = chunks[count - 1]?.chunk;
  // What http writes for most responses: a header, a body, and on Node 20 and 22 nothing behind them.
  if (
    typeof text !== 'string' ||
    typeof body !== 'object' ||
    text.length >= options.minimumChunk ||
    body.length === 0 ||
    (count !== 2 && (count !== 3 || last !== ''))
  ) {
    return writeAny(this, chunks, callback);
  }
  const { length } = body;
  const bytes = text.length + length;
  const isOwn = up.own?.arrives(last, bytes, this.writableLength) === true;
  if ((length < options.minimumChunk || length < options.floor) && !up.trackers?.any) {
    copyAll(up, chunks, callback);
  } else if (
    chunks[0]?.encoding !== 'latin1' ||
    text.length > MOST_HEADER ||
    text.length > options.maxStagedBytes ||
    !up.options.isUnwatched ||
    up.trackers?.any ||
    unpinnable.any ||
    this.connecting ||
    // Its header goes into the pool, too.
    (pools.any && isPoolMemory(body))
  ) {
    up.write(chunks, callback, isOwn);
  } else {
    const shares = sharing.busy[0] === 1 && mayShareAnswer(up);
    const port = (up.connection ?? up.ensureConnection()).choose(
      length,
      isOwn,
      shares ? 'shared-call' : 'own-call',
      body,
    );
    if (typeof port === 'string') return copyAll(up, chunks, callback);
    up.dispatched += bytes;
    if (!shares || !queueAnswer(up, port, text, body, callback))
      port.writeOne(text, body, callback);
  }
}

function writeAny(socket: net.Socket, chunks: readonly Chunk[], callback: WriteCallback): void {
  const up = (socket as Upgraded)[upgradeOf];
  const { minimumChunk, floor } = up.options;
  let bytes = 0;
  let large = 0;
  let looksDetached = false;
  for (const { chunk } of chunks) {
    const { length } = chunk;
    bytes += length;
    if (length >= minimumChunk) large += length;
    else if (length === 0 && typeof chunk !== 'string') looksDetached = true;
  }
  const last = chunks[chunks.length - 1]?.chunk;
  const isOwn = up.own?.arrives(last, bytes, socket.writableLength) === true;
  if (large < floor && !looksDetached && !up.trackers?.any) copyAll(up, chunks, callback);
  else up.write(chunks, callback, isOwn);
}

// --- from the caller to the stream ----------------------------------------------------------------

/**
 * The chunk to pass on, behind what options say about its memory.
 * Throws: what options.source throws.
 */
export function lookedAt(up: TcpUpgrade, chunk: unknown): unknown {
  if (!isUint8Array(chunk)) return chunk;
  const { ask, minimumChunk, detectMutation } = up.options;
  // Streams make a Buffer of another view, which would not be recognised.
  const { buffer, byteOffset, byteLength } = chunk;
  let view: Buffer = Buffer.isBuffer(chunk) ? chunk : Buffer.from(buffer, byteOffset, byteLength);
  if (ask !== undefined && byteLength >= minimumChunk && byteLength > 0) view = asked(ask, view);
  // _write may be called in a later turn.
  if (detectMutation !== undefined) rememberCaller([view]);
  return view;
}

/**
 * The callback to give to Node for a write. It is held until release, unless nothing can be pending by then:
 * a small chunk is copied. One of an empty chunk fires when everything written before it is released: a barrier, or a
 * wrapper that passes the data first and its callback behind it.
 */
function settling(up: TcpUpgrade, size: number, callback: WriteCallback): WriteCallback {
  const { holdCallbacks, minimumChunk } = up.options;
  // Empty within end(): what http writes last, most often.
  if (!holdCallbacks || (size === 0 && up.ending !== undefined)) return callback;
  if (isHttpNothing(callback)) return callback;
  if (size > 0 && size < minimumChunk && up.quiet) return callback;
  if (heldCallbacks.has(callback)) return callback;
  const passed = passedByHttp(up, callback);
  // With it goes what the stream buffers in front of it: http may give it an empty chunk of its own.
  if (passed === 'unseen') up.own?.disown();
  const waits = passed === 'other' && (size > 0 || !up.quiet);
  return waits ? up.hold(callback) : callback;
}

// The stream has thrown: it keeps neither the memory nor the callback.
function takeBack(
  up: TcpUpgrade,
  pins: Kept | undefined,
  given: WriteCallback | undefined,
  callback: WriteCallback | undefined,
): void {
  pins?.drop();
  if (given !== undefined && given !== callback) up.unhold(given);
}

/**
 * Has `callback` called when all that was passed to the stream so far is released, or has failed.
 * Throws: as the stream does.
 */
export function passHeld(up: TcpUpgrade, callback: WriteCallback): void {
  const held = up.hold(callback);
  try {
    up.base.write.call(up.socket, '', 'latin1', held);
  } catch (thrown) {
    up.unhold(held);
    throw thrown;
  }
}

// Node calls it when the kernel took the bytes, or never will: an engine pins what it still references.
function behind(pins: Kept, callback: WriteCallback | undefined): WriteCallback {
  return (...args) => {
    pins.drop();
    callback?.(...args);
  };
}
