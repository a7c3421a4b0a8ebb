// sendFile(): sends a file as the body of a response, or as one write of a socket.
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { addAbortSignal, pipeline } from 'node:stream';
import { isNodesWrite } from '../memory/http-pieces.js';
import { lengthMismatch, streamDestroyed, writeAfterEnd } from '../errors.js';
import type { FileReason } from '../names.js';
import type { SendReport } from '../observe/report.js';
import { abortError } from '../send/arguments.js';
import { checkSendFile, type SendFileOptions, type Wanted } from './arguments.js';
import { openLater, openNow, type FileName, type FileSource } from './file-source.js';
import { fileHostOf } from './host.js';
import { laneFor } from './lane.js';
import { leave, readAll, reportOf, Sending } from './sending.js';
import { leaveAlone } from './take-over.js';

/**
 * Sends a file, or a part of it, by sendfile(2): from the page cache to the socket, without passing through
 * this process.
 *
 * To a response: its header goes in the same packets, with a Content-Length unless that or a Transfer-Encoding is set;
 * HEAD, 204 and 304 send no bytes; the response is ended. To a socket: the file is one more write, in order with those
 * before and after it; the socket stays open.
 * @param file a path, a file: URL, a FileHandle or a descriptor; the last two stay open, and their position is neither
 * used nor changed
 * @param options `start`, `end`: positions of the first and the last byte; beyond the end of the file there is nothing
 * to send. `signal`: if it aborts before the first byte, nothing is sent; later the connection is closed, as pipeline()
 * does; the promise rejects with an AbortError
 * @memory The kernel reads the bytes when they leave: if the file is rewritten meanwhile, its new content is sent.
 * @settles when the kernel took the last byte.
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE. Rejects, and nothing was sent: as fs.open() does, with EISDIR,
 * ERR_ZC_FILE_NOT_REGULAR, ERR_STREAM_WRITE_AFTER_END, ERR_STREAM_DESTROYED, ERR_HTTP_CONTENT_LENGTH_MISMATCH. Rejects
 * later, and the connection is closed: ERR_ZC_FILE_CHANGED when the file became shorter, and as writes do.
 * Where the kernel cannot (TLS, a file system without it, no addon) the bytes are copied, and `reason` says so.
 * @kernel sendfile(2); opening without the thread pool Linux 5.12.
 */
export function sendFile(
  target: net.Socket | http.ServerResponse,
  file: FileName,
  options?: SendFileOptions,
): Promise<SendReport> {
  return send(checkSendFile(target, file, options));
}

// --- sending --------------------------------------------------------------------------------------

async function send(wanted: Wanted): Promise<SendReport> {
  const { target, name, signal } = wanted;
  throwIfAborted(signal);
  const ended = whyNot(target);
  if (ended !== undefined) throw ended;
  if (target instanceof net.Socket) return sendToSocket(target, wanted);
  const source = openNow(name) ?? (await openLater(name as string | URL));
  try {
    throwIfAborted(signal);
    const late = whyNot(target);
    if (late !== undefined) throw late;
    return await sendToResponse(target, source, wanted);
  } finally {
    source.close();
  }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError(signal);
}

function whyNot(target: net.Socket | http.ServerResponse): Error | undefined {
  if (target.writableEnded) return writeAfterEnd();
  return target.destroyed || (target as net.Socket).closed ? streamDestroyed() : undefined;
}

function sendToSocket(socket: net.Socket, wanted: Wanted): Promise<SendReport> {
  const sending = new Sending(socket, socket, wanted);
  const { name } = wanted;
  const now = openNow(name);
  if (now !== undefined && now.bytes > 0) sending.opened(now);
  else {
    const opening = now === undefined ? openLater(name as string | URL) : Promise.resolve(now);
    sending.file.opening = opening
      .then((source) => sending.openedLate(source))
      .catch((error: unknown) => sending.cancel(error as Error));
  }
  laneFor(socket).expect(sending.file);
  // Node's own write(): the upgrade's would hold the callback until memory is released, and there is none.
  net.Socket.prototype.write.call(socket, sending.file.marker);
  return sending.promise;
}

async function sendToResponse(
  response: http.ServerResponse,
  source: FileSource,
  wanted: Wanted,
): Promise<SendReport> {
  const { start } = wanted;
  // Files of /proc and /sys do not know theirs.
  const body = source.bytes === 0 ? await readAll(source.file, wanted) : undefined;
  const end = body === undefined ? Math.min(wanted.end, source.bytes) : start + body.length;
  const bytes = Math.max(0, end - start);
  const hasBody = head(response, bytes);
  if (!hasBody || bytes === 0) {
    response.end();
    return reportOf(0, 0, undefined);
  }
  if (body !== undefined) return sendBody(response, body, wanted);
  const socket = response.req.socket ?? response.socket;
  const reason = whyByStream(response, socket);
  if (reason !== undefined) return sendByStream(response, source, wanted, end, reason);
  const sending = new Sending(socket, response, wanted);
  sending.opened(source, end);
  const lane = laneFor(socket);
  lane.expect(sending.file);
  try {
    response.write(sending.file.marker);
  } catch (error) {
    // http refused the header.
    lane.forget(sending.file);
    sending.cancel(error as Error);
  }
  return sending.promise;
}

/** Sets the Content-Length if absent. @returns whether a body follows. Throws: ERR_HTTP_CONTENT_LENGTH_MISMATCH */
function head(response: http.ServerResponse, bytes: number): boolean {
  const { statusCode, req, headersSent } = response;
  const isEmptyStatus = statusCode === 204 || statusCode === 304;
  const hasBody = req.method !== 'HEAD' && !isEmptyStatus;
  if (headersSent) return hasBody;
  const promised = response.getHeader('content-length');
  if (promised === undefined) {
    if (!isEmptyStatus && !response.hasHeader('transfer-encoding'))
      response.setHeader('Content-Length', bytes);
  } else if (hasBody && String(promised) !== String(bytes)) {
    throw lengthMismatch(bytes, String(promised));
  }
  return hasBody;
}

function whyByStream(
  response: http.ServerResponse,
  socket: net.Socket | null,
): FileReason | undefined {
  if (!(socket instanceof net.Socket) || !isNodesWrite(response.write)) return 'own-write';
  if (fileHostOf(socket)?.writesItself === false) return 'own-write';
  if (response.strictContentLength) return 'strict-length';
  return response.writableCorked > 0 ? 'corked' : undefined;
}

function sendByStream(
  response: http.ServerResponse,
  source: FileSource,
  { start, signal }: Wanted,
  end: number,
  reason: FileReason,
): Promise<SendReport> {
  const stream = fs.createReadStream('', {
    fd: source.file,
    start,
    end: end - 1,
    autoClose: false,
  });
  leaveAlone(stream);
  leave(response.req.socket, reason);
  return new Promise((resolve, reject) => {
    const done = (error?: Error | null): void => {
      if (error) reject(error);
      else resolve(reportOf(0, stream.bytesRead, reason));
    };
    if (signal !== undefined) addAbortSignal(signal, stream);
    pipeline(stream, response, done);
  });
}

function sendBody(
  response: http.ServerResponse,
  body: Buffer,
  { signal }: Wanted,
): Promise<SendReport> {
  leave(response.req.socket, 'no-size');
  return new Promise((resolve, reject) => {
    // The kernel may have everything by then; the callback of end() only waits for the release.
    const onClose = (): void => {
      if (!response.writableFinished) reject(response.errored ?? streamDestroyed());
    };
    const onAbort = (): void => {
      response.destroy(abortError(signal as AbortSignal));
    };
    response.once('close', onClose);
    signal?.addEventListener('abort', onAbort, { once: true });
    response.end(body, () => {
      response.off('close', onClose);
      signal?.removeEventListener('abort', onAbort);
      resolve(reportOf(0, body.length, 'no-size'));
    });
  });
}
