// Which writes share a system call with those of other connections, at the end of the event loop's turn
// (send/send-batch.ts), and what hands them over before.
import { executionAsyncId } from 'node:async_hooks';
import { loadNative, type Head, type Native, type TextEncoding } from '../native/binding.js';
import { endsHttp, httpMessageOf, speaksHttp } from '../node/internals.js';
import { shared } from '../observe/aggregate.js';
import type { StreamPort } from '../send/port.js';
import { SendBatch, type QueueHost } from '../send/send-batch.js';
import type { WriteCallback } from '../send/write.js';

/** A socket whose writes may share calls. */
export interface SharingHost extends QueueHost {
  /** Its options allow it. */
  readonly mayQueue: boolean;
}

let native: Native | undefined;
let batch: SendBatch | undefined;

/** Its only word is 1 while responses follow each other closely enough for a shared call to pay. */
export const sharing: { busy: Int32Array } = { busy: Int32Array.of(1) };

// The word is 1 until the addon counts.
function isBusy(): boolean {
  if (native === undefined) look();
  return sharing.busy[0] === 1;
}

function look(): void {
  native = loadNative().native;
  if (native !== undefined) batch = new SendBatch(native);
  sharing.busy = batch?.busy ?? new Int32Array(1);
}

/**
 * A larger message to many connections takes a call for each: comparing it with the one before costs more than the
 * shared call saves.
 */
const MOST_TO_MANY_BYTES = 20 * 1024;

/** The body that was copied last, its connection, and the callback that sent it. */
let lastBody: Uint8Array | undefined;
let lastDescriptor = -1;
let lastCallback = -1;

/** Whether a write that is copied may share a call. */
export function mayQueue(
  host: SharingHost,
  descriptor: number,
  body: Uint8Array | undefined,
  bytes: number,
): boolean {
  if (!isBusy() || batch === undefined || bytes > batch.mostBytes || !host.mayQueue) return false;
  const isShared = (isForMany(descriptor, body) && bytes <= MOST_TO_MANY_BYTES) || isResponse(host);
  return isShared && batch.open();
}

// Only messages of http, and one message that a program sends to many connections: other writes may be followed by
// somebody who takes the connection over from below, as TLS and HTTP/2 do.
function isResponse(host: SharingHost): boolean {
  const message = httpMessageOf(host.socket);
  return message !== undefined && speaksHttp(host.socket) && !endsHttp(message);
}

// The same callback gives another connection the same memory, as who sends one message to many. A proxy that answers
// CONNECT most often does so in a callback for each connection; who takes one over all the same has it settled: TLS
// writes an empty text, HTTP/2 calls setNoDelay() (tcp/overrides.ts).
function isForMany(descriptor: number, body: Uint8Array | undefined): boolean {
  const callback = executionAsyncId();
  const isSame = body !== undefined && body === lastBody && callback === lastCallback;
  const isOther = descriptor !== lastDescriptor;
  lastBody = body;
  lastDescriptor = descriptor;
  lastCallback = callback;
  return isSame && isOther;
}

/**
 * Queues a copy of a write that mayQueue(). False: there is no room; it is to be sent at once.
 * @param done called with the bytes that the socket took, or -errno
 */
export function queueCopy(
  host: SharingHost,
  descriptor: number,
  head: Head,
  body: Uint8Array | undefined,
  encoding: TextEncoding,
  done: (accepted: number) => void,
): boolean {
  const number = native?.queueSend(descriptor, head, body, encoding) ?? -1;
  if (number < 0) return false;
  shared.copies++;
  batch?.keep(host, number, done);
  return true;
}

/** Whether a response may share a call if it goes without copying. Ask only while `sharing.busy` says so. */
export function mayShareAnswer(host: SharingHost): boolean {
  return isBusy() && host.mayQueue && isResponse(host) && batch?.open() === true;
}

/** Queues a response that mayShareAnswer(). False: it is to be sent at once. */
export function queueAnswer(
  host: SharingHost,
  port: StreamPort,
  text: string,
  body: Uint8Array,
  callback: WriteCallback,
): boolean {
  if (batch === undefined || !port.queueOne(host, batch, text, body, callback)) return false;
  shared.sends++;
  return true;
}

/** Submits a queued write of the socket, because something else is about to happen to it. */
export function settleQueued(host: SharingHost): void {
  // What the stream buffered behind it, past our own methods, may be queued in its place.
  while (host.queued !== undefined) batch?.settle(host.queued);
}

/** Submits what is queued of all sockets, without reporting results yet. */
export function submitQueued(): void {
  batch?.submit();
}
