// Copies a write by one system call on the socket's own descriptor, within the write. libuv's uv_try_write() does the
// same, but Node allocates a request, a list and memory for text around it (src/stream_base.cc:StreamBase::Writev).
// Node sends what the socket does not take at once. Where many connections are answered in each turn, responses share a
// call (tcp/shared-calls.ts).
import { constants as osConstants } from 'node:os';
import type net from 'node:net';
import { loadNative, type Head, type Native, type TextEncoding } from '../native/binding.js';
import { bufferDetached, systemError } from '../errors.js';
import { descriptorOf, handleOf, refreshTimeout } from '../node/internals.js';
import type { Chunk } from './chunks.js';
import { mayQueue, queueCopy, type SharingHost } from './shared-calls.js';

const { EAGAIN, EBADF, EINVAL, ENOBUFS, ENOMEM, ENOTSOCK, EOPNOTSUPP } = osConstants.errno;

/** Errors that are left to Node's own write, which waits or reports them, as if nothing had been tried. */
const NODES_BUSINESS: ReadonlySet<number> = new Set(
  [EAGAIN, EBADF, EINVAL, ENOBUFS, ENOMEM, ENOTSOCK, EOPNOTSUPP].map((errno) => -errno),
);

type WriteCallback = (error?: Error | null) => void;

const [LATIN1, UTF8] = [0, 1] as const;

/** The socket whose writes are copied. */
export interface CopyHost extends SharingHost {
  readonly base: {
    readonly _write: net.Socket['_write'];
    readonly _writev: NonNullable<net.Socket['_writev']>;
  };
  /** Node's write is used for everything: the program asked for it, or this is no TCP socket. */
  readonly leavesCopiesToNode: boolean;
  /** The kernel took, or gave back, bytes that Node does not count. */
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
  const rest = (accepted: number): Chunk[] => [restOf({ chunk, encoding }, accepted)];
  if (typeof chunk !== 'string') return copy(host, '', chunk, LATIN1, chunk.length, rest, callback);
  const { length } = chunk;
  if (encoding === 'latin1') return copy(host, chunk, undefined, LATIN1, length, rest, callback);
  if (encoding !== 'utf8') return writeByNode(host, rest(0), callback);
  copy(host, chunk, undefined, UTF8, Buffer.byteLength(chunk), rest, callback);
}

/** Copies the chunks of one write to the kernel, or has Node do so. */
export function copyAll(host: CopyHost, chunks: readonly Chunk[], callback: WriteCallback): void {
  if (chunks.length > 3) return writeByNode(host, chunks, callback);
  const first = chunks[0];
  const second = chunks[1];
  if (first === undefined) return callback();
  // The empty text is what send() learns of the release by, or what http ends a text with.
  if (second === undefined || (chunks.length === 2 && second.chunk === '')) {
    return copyOne(host, first.chunk, first.encoding, callback);
  }
  if (!isHeadAndBody(first, second, chunks[2])) return writeByNode(host, chunks, callback);
  const body = second.chunk as Uint8Array;
  const total = first.chunk.length + body.length;
  const rest = (accepted: number): Chunk[] => restOfBoth(first, second, accepted);
  copy(host, first.chunk, body, LATIN1, total, rest, callback);
}

// What http writes for most responses: a header, a body, and on Node 20 and 22 an empty chunk; and ws, whose
// headers are bytes, for most messages.
function isHeadAndBody(head: Chunk, body: Chunk, end: Chunk | undefined): boolean {
  if (typeof head.chunk === 'string' && head.encoding !== 'latin1') return false;
  return typeof body.chunk !== 'string' && (end === undefined || end.chunk.length === 0);
}

function restOfBoth(head: Chunk, body: Chunk, accepted: number): Chunk[] {
  const { length } = head.chunk;
  if (accepted < length) return [restOf(head, accepted), body];
  return [restOf(body, accepted - length)];
}

function restOf(whole: Chunk, accepted: number): Chunk {
  const { chunk, encoding } = whole;
  if (accepted === 0) return whole;
  if (typeof chunk !== 'string') return { chunk: chunk.subarray(accepted), encoding };
  if (encoding === 'latin1') return { chunk: chunk.slice(accepted), encoding };
  // Part of a character may have gone out, and Node aborts the process if such bytes are declared to be text.
  const bytes = Buffer.from(chunk, encoding);
  return { chunk: bytes.subarray(accepted), encoding: 'buffer' as BufferEncoding };
}

function writeByNode(host: CopyHost, chunks: readonly Chunk[], callback: WriteCallback): void {
  const { socket, base } = host;
  const single = chunks.length === 1 ? chunks[0] : undefined;
  if (single !== undefined) base._write.call(socket, single.chunk, single.encoding, callback);
  else
    base._writev.call(socket, chunks as { chunk: unknown; encoding: BufferEncoding }[], callback);
}

/** What is left of a write of which the kernel took `accepted` bytes. */
type Rest = (accepted: number) => Chunk[];

// Has Node write what the kernel did not take, which is everything where it was not asked. An empty write waits for
// the connection, too.
function copy(
  host: CopyHost,
  head: Head,
  body: Uint8Array | undefined,
  encoding: TextEncoding,
  bytes: number,
  rest: Rest,
  callback: WriteCallback,
): void {
  const { socket } = host;
  const handle = host.leavesCopiesToNode || socket.connecting ? undefined : handleOf(socket);
  // Asked for each time: the number of a closed handle may be another connection's by now.
  const descriptor = handle && descriptorOf(handle);
  const calls = addon();
  if (descriptor === undefined || calls === undefined || bytes === 0 || head.length > mostText) {
    return writeByNode(host, rest(0), callback);
  }
  refreshTimeout(socket);
  if (mayQueue(host, descriptor, body, bytes)) {
    const done = (result: number): void => {
      const accepted = NODES_BUSINESS.has(result) ? 0 : result;
      if (accepted === bytes) return callback();
      host.copiedNow(Math.max(accepted, 0) - bytes);
      if (accepted >= 0 && wasResized(head, body, encoding, bytes)) callback(bufferDetached());
      else finish(host, accepted, bytes, rest, callback);
    };
    if (queueCopy(host, descriptor, head, body, encoding, done)) return host.copiedNow(bytes);
  }
  const accepted = calls.sendNow(descriptor, head, body, encoding);
  if (accepted > 0) host.copiedNow(accepted);
  finish(host, NODES_BUSINESS.has(accepted) ? 0 : accepted, bytes, rest, callback);
}

function finish(
  host: CopyHost,
  accepted: number,
  bytes: number,
  rest: Rest,
  callback: WriteCallback,
): void {
  if (accepted === bytes) callback();
  else if (accepted < 0) callback(systemError(accepted, 'write'));
  else writeByNode(host, rest(accepted), callback);
}

// The program detached or resized its buffer before the callback, and the addon no longer has its copy: Node would
// silently leave out bytes of the rest.
function wasResized(
  head: Head,
  body: Uint8Array | undefined,
  encoding: TextEncoding,
  bytes: number,
): boolean {
  return encoding === LATIN1 && head.length + (body?.length ?? 0) !== bytes;
}
