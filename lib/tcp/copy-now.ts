// A write that is copied, by one system call of ours on the socket's own descriptor, within the write: what
// libuv's uv_try_write() does, without the request, the list and the memory for text that Node makes for
// it (src/stream_base.cc:StreamBase::Writev). What the socket does not take at once is Node's to send.
import { constants as osConstants } from 'node:os';
import type net from 'node:net';
import { loadNative, type Native } from '../native/binding.js';
import { systemError } from '../errors.js';
import { descriptorOf, handleOf, refreshTimeout } from '../node/internals.js';
import type { Chunk } from './chunks.js';

const { EAGAIN, EBADF, EINVAL, ENOBUFS, ENOMEM, ENOTSOCK, EOPNOTSUPP } = osConstants.errno;

/** Node's own write waits, or says what is wrong, as if nothing had been tried. */
const NODES_BUSINESS: ReadonlySet<number> = new Set(
  [EAGAIN, EBADF, EINVAL, ENOBUFS, ENOMEM, ENOTSOCK, EOPNOTSUPP].map((errno) => -errno),
);

type WriteCallback = (error?: Error | null) => void;

/** Whose writes are copied. */
export interface CopyHost {
  readonly socket: net.Socket;
  readonly base: {
    readonly _write: net.Socket['_write'];
    readonly _writev: NonNullable<net.Socket['_writev']>;
  };
  /** Node's write is to be used for all: the program wants it, or this is no TCP socket. */
  readonly leavesCopiesToNode: boolean;
  /** The kernel took bytes that Node does not count. */
  copiedNow(bytes: number): void;
}

let native: Native | undefined;
let mostText = 0;
let looked = false;

function addon(): Native | undefined {
  if (looked) return native;
  looked = true;
  native = loadNative().native;
  mostText = native?.constants.MOST_TEXT ?? 0;
  return native;
}

/** Copies one chunk to the kernel, or has Node do so. */
export function copyOne(
  host: CopyHost,
  chunk: Uint8Array | string,
  encoding: BufferEncoding,
  callback: WriteCallback,
): void {
  let accepted = 0;
  if (typeof chunk !== 'string') accepted = send(host, '', chunk);
  else if (encoding === 'latin1') accepted = send(host, chunk, undefined);
  if (accepted > 0 && accepted === chunk.length) callback();
  else if (accepted < 0) callback(systemError(accepted, 'write'));
  else host.base._write.call(host.socket, restOf(chunk, accepted), encoding, callback);
}

/** Copies the chunks of one write to the kernel, or has Node do so. */
export function copyAll(host: CopyHost, chunks: readonly Chunk[], callback: WriteCallback): void {
  if (chunks.length > 3) return writeByNode(host, chunks, callback);
  const first = chunks[0];
  const second = chunks[1];
  if (first === undefined) return callback();
  // The empty text is what send() learns of the release by.
  if (second === undefined || (chunks.length === 2 && second.chunk === ''))
    return copyOne(host, first.chunk, first.encoding, callback);
  if (!isAnswer(first, second, chunks[2])) return writeByNode(host, chunks, callback);
  const text = first.chunk as string;
  const body = second.chunk as Uint8Array;
  const accepted = send(host, text, body);
  if (accepted > 0 && accepted === text.length + body.length) callback();
  else if (accepted < 0) callback(systemError(accepted, 'write'));
  else writeByNode(host, restOfAnswer(first, second, accepted), callback);
}

// What http writes for most responses: a header, a body, and on Node 20 and 22 an empty chunk.
function isAnswer(head: Chunk, body: Chunk, end: Chunk | undefined): boolean {
  if (typeof head.chunk !== 'string' || head.encoding !== 'latin1') return false;
  return typeof body.chunk !== 'string' && (end === undefined || end.chunk.length === 0);
}

function restOfAnswer(head: Chunk, body: Chunk, accepted: number): Chunk[] {
  const { length } = head.chunk;
  if (accepted < length) return [{ ...head, chunk: restOf(head.chunk, accepted) }, body];
  return [{ ...body, chunk: restOf(body.chunk, accepted - length) }];
}

function restOf<T extends Uint8Array | string>(chunk: T, accepted: number): T {
  if (accepted === 0) return chunk;
  return (typeof chunk === 'string' ? chunk.slice(accepted) : chunk.subarray(accepted)) as T;
}

function writeByNode(host: CopyHost, chunks: readonly Chunk[], callback: WriteCallback): void {
  const { socket, base } = host;
  const single = chunks.length === 1 ? chunks[0] : undefined;
  if (single !== undefined) base._write.call(socket, single.chunk, single.encoding, callback);
  else
    base._writev.call(socket, chunks as { chunk: unknown; encoding: BufferEncoding }[], callback);
}

// The bytes that the kernel took, 0 where Node is to send all of them, which may be none: an empty write waits
// for the connection, too; or the error of the connection.
function send(host: CopyHost, text: string, body: Uint8Array | undefined): number {
  if (host.leavesCopiesToNode) return 0;
  const { socket } = host;
  const handle = handleOf(socket);
  if (handle === undefined || socket.connecting) return 0;
  // Asked for each time: the number of a closed handle may be another connection's by now.
  const descriptor = descriptorOf(handle);
  const calls = addon();
  if (descriptor === undefined || calls === undefined || text.length > mostText) return 0;
  refreshTimeout(socket);
  const accepted = calls.sendNow(descriptor, text, body);
  if (accepted > 0) host.copiedNow(accepted);
  return NODES_BUSINESS.has(accepted) ? 0 : accepted;
}
