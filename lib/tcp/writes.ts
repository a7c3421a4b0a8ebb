// A write on its way from the caller to the stream: what is asked about its chunk, which callback Node is
// given, and what is undone when it throws.
import net from 'node:net';
import { isUint8Array } from 'node:util/types';
import { asked } from '../memory/allowed-memory.js';
import { heldCallbacks } from '../send/handbacks.js';
import { passedByHttp } from './http-end.js';
import { rememberCaller } from '../memory/mutation.js';
import { isHttpNothing } from '../node/internals.js';
import { streamSizeOf } from './own-writes.js';
import { pinUntil } from '../memory/pool-pins.js';
import type { TcpUpgrade } from './upgrade.js';

export type WriteCallback = (error?: Error | null) => void;

const nodeWrite = net.Socket.prototype.write;

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
 * a small chunk is copied. One of an empty chunk hands back what was written before it: a barrier, or a
 * wrapper that passes the data first and its callback behind it.
 */
function settling(up: TcpUpgrade, size: number, callback: WriteCallback): WriteCallback {
  const { holdCallbacks, minimumChunk } = up.options;
  if (!holdCallbacks || isHttpNothing(callback)) return callback;
  // What http writes last from within end(), most often.
  if (size === 0 && up.ending !== undefined) return callback;
  if (size > 0 && size < minimumChunk && up.quiet) return callback;
  if (heldCallbacks.has(callback)) return callback;
  const passed = passedByHttp(up, callback);
  // With it goes what the stream buffers in front of it: http may give it an empty chunk of its own.
  if (passed === 'unseen') up.own.disown();
  const waits = passed === 'other' && (size > 0 || !up.quiet);
  return waits ? up.hold(callback) : callback;
}

/**
 * Passes a write on to the stream.
 * Throws: as the stream does; nothing of the write is left then.
 */
export function passWrite(
  up: TcpUpgrade,
  chunk: unknown,
  encoding: unknown,
  callback: WriteCallback | undefined,
): boolean {
  const { socket, base, own } = up;
  const size = streamSizeOf(chunk);
  const waiting = socket.writableLength;
  own.begin(chunk, waiting, sizeName(up, size));
  const given = callback === undefined ? undefined : settling(up, size, callback);
  const unpin = pinUntil(chunk);
  const last = unpin === undefined ? given : behind(unpin, given);
  try {
    // Small writes pass here. A constant function can be inlined, one read from an object cannot.
    return base.write === nodeWrite
      ? nodeWrite.call(socket, chunk as string, encoding as BufferEncoding, last)
      : base.write.call(socket, chunk as string, encoding as BufferEncoding, last);
  } catch (thrown) {
    unpin?.();
    if (given !== undefined && given !== callback) up.unhold(given);
    throw thrown;
  } finally {
    if (own.isPassing) own.end(socket.writableLength - waiting);
  }
}

/** The same for end() with these arguments. */
export function passEnd(up: TcpUpgrade, args: unknown[]): net.Socket {
  const { socket, base, own, options } = up;
  const [chunk] = args;
  if (chunk === null || chunk === undefined || typeof chunk === 'function') {
    return base.end.apply(socket, args as Parameters<net.Socket['end']>);
  }
  const callback = args.find((arg) => typeof arg === 'function') as WriteCallback | undefined;
  const encoding = typeof args[1] === 'function' ? undefined : args[1];
  const given = callback && options.holdCallbacks ? up.hold(callback) : callback;
  const unpin = pinUntil(chunk);
  const last = unpin === undefined ? given : behind(unpin, given);
  const waiting = socket.writableLength;
  own.begin(chunk, waiting, sizeName(up, streamSizeOf(chunk)));
  try {
    return base.end.call(socket, chunk as string, encoding as BufferEncoding, last);
  } catch (thrown) {
    unpin?.();
    if (given !== undefined && given !== callback) up.unhold(given);
    throw thrown;
  } finally {
    if (own.isPassing) own.end(socket.writableLength - waiting);
  }
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

/** Settles when the kernel took all that was passed to the stream so far, or never will. */
export function allAccepted({ socket, base }: TcpUpgrade): Promise<void> {
  return new Promise((resolve) => {
    // The callback of an empty write comes behind everything written before it.
    if (socket.writable) base.write.call(socket, '', 'latin1', () => resolve());
    else socket.once('finish', resolve).once('close', () => resolve());
  });
}

function sizeName({ options }: TcpUpgrade, size: number): 'large' | 'small' {
  return size >= options.minimumChunk && options.engine !== 'copy' ? 'large' : 'small';
}

// Node calls it when the kernel took the bytes, or never will: an engine pins what it still references.
function behind(unpin: () => void, callback: WriteCallback | undefined): WriteCallback {
  return (...args) => {
    unpin();
    callback?.(...args);
  };
}
