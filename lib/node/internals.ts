// Every use of Node's undocumented internals, each with a guard: if an internal is gone, the caller gets
// `undefined` or a weaker public substitute, never an exception.
import { ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import http from 'node:http';
import type net from 'node:net';
import { Writable } from 'node:stream';

/** libuv's handle of a socket, as far as this file uses it. */
export interface Handle {
  readonly fd?: number;
  hasRef?(): boolean;
  /** Whether core has called readStart(). */
  readonly reading?: boolean;
  readStart?(): number;
  readStop?(): number;
  /** Fill `out` in; 0 or -errno. */
  getsockname?(out: object): number;
  getpeername?(out: object): number;
}

interface PrivateSocket {
  readonly _handle?: Handle | null;
  _unrefTimer?(): void;
  _pendingData?: unknown;
  _pendingEncoding?: string;
  readonly _bytesDispatched?: number;
}

function privateOf(socket: net.Socket): PrivateSocket {
  return socket as unknown as PrivateSocket;
}

/** The handle of a connected socket. It identifies a connection: a reconnect brings another one. */
export function handleOf(socket: net.Socket): Handle | undefined {
  return (socket as unknown as PrivateSocket)._handle ?? undefined;
}

/** The descriptor number of a handle; undefined if Node or the platform does not expose it. */
export function descriptorOf(handle: Handle): number | undefined {
  return typeof handle.fd === 'number' && handle.fd >= 0 ? handle.fd : undefined;
}

interface Addresses {
  readonly local: string;
  readonly remote: string;
}

/**
 * The addresses of a connection. Past the socket's own properties, which keep what they were asked for as
 * enumerable ones; empty where it is not connected.
 */
export function addressesOf(socket: net.Socket): Addresses {
  const handle = handleOf(socket);
  if (handle?.getsockname === undefined || handle.getpeername === undefined) {
    return { local: socket.localAddress ?? '', remote: socket.remoteAddress ?? '' };
  }
  const local: { address?: string } = {};
  const remote: { address?: string } = {};
  handle.getsockname(local);
  handle.getpeername(remote);
  return { local: local.address ?? '', remote: remote.address ?? '' };
}

/** Whether the handle is a pipe or Unix-domain socket (class Pipe of lib/net.js). */
export function isPipe(handle: Handle): boolean {
  return handle.constructor.name === 'Pipe';
}

/** Whether bytes go from the handle to its descriptor as they are (classes TCP and Pipe of lib/net.js). */
export function isPlain(handle: Handle): boolean {
  return handle.constructor.name === 'TCP' || isPipe(handle);
}

/** Whether the socket keeps the event loop alive. */
export function isReferenced(handle: Handle): boolean {
  return handle.hasRef?.() ?? true;
}

/**
 * Stops reading, even if other code starts it meanwhile.
 * @returns ends that; reading goes on where `present`, the socket's handle by then, is still the same
 */
export function holdReads(handle: Handle): (present: Handle | undefined) => void {
  const { readStart, readStop } = handle;
  if (readStart === undefined || readStop === undefined) return () => undefined;
  let wanted = handle.reading === true;
  readStop.call(handle);
  handle.readStart = () => {
    wanted = true;
    return 0;
  };
  handle.readStop = () => {
    wanted = false;
    return 0;
  };
  return (present) => {
    handle.readStart = readStart;
    handle.readStop = readStop;
    if (wanted && present === handle) readStart.call(handle);
  };
}

/** Bytes that libuv took from the socket. If Node does not expose the queue, bytes that wait are included. */
export function bytesDispatched(socket: net.Socket): number {
  return privateOf(socket)._bytesDispatched ?? socket.bytesWritten ?? 0;
}

/** Child processes that run, but for those that are unref'ed (src/node_process_methods.cc:GetActiveHandles). */
export function runningChildren(): ChildProcess[] {
  const { _getActiveHandles } = process as unknown as { _getActiveHandles?(): readonly unknown[] };
  const handles = _getActiveHandles?.call(process) ?? [];
  return handles.filter((handle) => handle instanceof ChildProcess);
}

/** Starts the socket's timeout anew, as core does on every write (lib/net.js:_writeGeneric). */
export function refreshTimeout(socket: net.Socket): void {
  const internal = socket as unknown as PrivateSocket;
  if (typeof internal._unrefTimer === 'function') internal._unrefTimer();
  else if (socket.timeout !== undefined && socket.timeout > 0) socket.setTimeout(socket.timeout);
}

/** Lets `bytesWritten` count what waits for the connection (lib/net.js:_writeGeneric). */
export function setPendingData(socket: net.Socket, data: unknown, encoding: string): void {
  const internal = privateOf(socket);
  internal._pendingData = data;
  internal._pendingEncoding = encoding;
}

/**
 * Calls the callback of a write as if it were called within the socket's `_write`: what follows from it runs in the
 * next tick (lib/internal/streams/writable.js:onwrite).
 */
export function calledWithinWrite(socket: net.Socket, call: () => void): void {
  const state = (socket as unknown as { readonly _writableState?: { sync: boolean } })
    ._writableState;
  if (state === undefined) return call();
  const { sync } = state;
  state.sync = true;
  call();
  // What is left of the write is Node's, and ends in a later turn.
  state.sync = sync;
}

/** The http message that a socket sends at present (lib/_http_outgoing.js). */
export function httpMessageOf(socket: net.Socket): object | undefined {
  return (socket as unknown as { _httpMessage?: object | null })._httpMessage ?? undefined;
}

/** Whether http passes on what a message kept while it had no connection (lib/_http_outgoing.js:_flushOutput). */
export function flushesKept(socket: net.Socket): boolean {
  const message = httpMessageOf(socket) as { outputData?: readonly unknown[] } | undefined;
  return message?.outputData !== undefined && message.outputData.length > 0;
}

/**
 * Whether a socket's bytes are http's: no longer once it was upgraded, though a response in front of that may still be
 * its message (lib/_http_server.js:onParserExecuteCommon).
 */
export function speaksHttp(socket: net.Socket): boolean {
  return Boolean((socket as unknown as { parser?: object | null }).parser);
}

/** Whether another protocol may follow an http message on its connection: of CONNECT, or an interim response. */
export function endsHttp(message: object): boolean {
  const { statusCode, method, req } = message as {
    readonly statusCode?: number;
    readonly method?: string;
    readonly req?: { readonly method?: string };
  };
  return (statusCode ?? 200) < 200 || method === 'CONNECT' || req?.method === 'CONNECT';
}

interface OutgoingMessage {
  readonly socket?: net.Socket | null;
  /** How often it is corked. */
  readonly writableCorked?: number;
}

/**
 * Whether http keeps what is written to `message` to itself for now (lib/_http_outgoing.js: _writeRaw, and
 * kChunkedBuffer of write_): until its turn comes, it has a socket, or is no longer corked.
 */
export function isKeptByHttp(message: object): boolean {
  const { socket, writableCorked } = message as OutgoingMessage;
  if (!socket || (writableCorked ?? 0) > 0) return true;
  return httpMessageOf(socket) !== message;
}

// The name of the function that http passes to socket.write() for its own bookkeeping of the end of
// a message. It releases no memory and must fire when the kernel accepted the bytes: fired later,
// every following keep-alive request looks pipelined (test/socket/http.test.ts). Found out by asking
// http itself. A name proves nothing by itself: a user's function may have it, too (tcp/http-end.ts says
// whose).
let finishName: string | undefined;
// The function that http passes with data for which its user gave no callback: `nop`, one for all.
let nothing: unknown;
let learned = false;

interface PrivateMessage {
  socket: unknown;
  _implicitHeader(): void;
  _storeHeader(firstLine: string, headers: object): void;
  write(chunk: Uint8Array): boolean;
  end(): void;
}

function learnHttpCallbacks(): void {
  learned = true;
  const callbacks: Function[] = []; // eslint-disable-line @typescript-eslint/no-unsafe-function-type
  const sink = new Writable({
    write(_chunk, _encoding, callback) {
      callback();
    },
  });
  const write = sink.write.bind(sink) as (...args: unknown[]) => boolean;
  (sink as unknown as { write: unknown }).write = (...args: unknown[]): boolean => {
    for (const arg of args) if (typeof arg === 'function') callbacks.push(arg);
    return write(...args);
  };
  // The class that responses are derived from: a response itself would be announced, on the channel
  // 'http.server.response.created' and to observers of performance (lib/_http_server.js:ServerResponse).
  const respond = (): void => {
    const message = new http.OutgoingMessage() as unknown as PrivateMessage;
    message._implicitHeader = () =>
      message._storeHeader('HTTP/1.1 200 OK\r\n', { 'Content-Length': 1 });
    Object.assign(sink, { _httpMessage: message });
    message.socket = sink;
    message.write(Buffer.from('x'));
    message.end();
  };
  try {
    respond();
    respond();
  } catch {
    return;
  }
  // What appears on both responses belongs to neither.
  nothing = callbacks.find((callback, at) => callbacks.indexOf(callback, at + 1) > 0);
  finishName = callbacks.find((callback) => callback !== nothing && callback.name !== '')?.name;
}

/** Functions of this package that stand for http's empty callback. */
const nothings = new WeakSet<object>();

/** Has `callback`, which is passed to http with data, stand for no callback of a user. */
export function markHttpNothing(callback: () => void): void {
  nothings.add(callback);
}

/** Whether `callback`, passed to http or by it to socket.write(), stands for no callback of a user. */
export function isHttpNothing(callback: unknown): boolean {
  if (!learned) learnHttpCallbacks();
  return callback === nothing || nothings.has(callback as object);
}

/** Whether `callback`, passed to socket.write(), has the name of http's own. */
export function isHttpFinish(callback: { readonly name: string }): boolean {
  if (!learned) learnHttpCallbacks();
  return finishName !== undefined && callback.name === finishName;
}

/**
 * What node:dgram's bind(…, callback) listens to in order to forget its callback. Node 20 and 22 take
 * 'error', so that an error without another listener ends there; Node 24 watches it only.
 * Pinned by test/socket/udp-parity.test.ts.
 */
export const bindErrorEvent: string | symbol =
  Number.parseInt(process.versions.node, 10) >= 24 ? EventEmitter.errorMonitor : 'error';
