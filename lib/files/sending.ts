// One running sendFile(): its file, promise, signal and report.
import fs from 'node:fs';
import http from 'node:http';
import type net from 'node:net';
import { fileShrunk } from '../errors.js';
import type { FileReason } from '../names.js';
import { loadNative } from '../native/binding.js';
import { nextTick } from '../node/clock.js';
import { handleOf, isPlain } from '../node/internals.js';
import type { SendReport } from '../observe/report.js';
import { abortError } from '../send/arguments.js';
import type { Wanted } from './arguments.js';
import type { FileSource } from './file-source.js';
import { leftFile, sentFile as countSent } from './file-totals.js';
import { FileWrite, type FileSender } from './file-write.js';
import { fileHostOf } from './host.js';

/** The most that is read of a file that does not report its size. */
const MOST_UNSIZED_BYTES = 64 * 1024 * 1024;

/** Reads the whole range. */
export async function readAll(file: number, { start, end }: Wanted): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for (;;) {
    const wanted = Math.min(64 * 1024, end - start - bytes, MOST_UNSIZED_BYTES - bytes);
    if (wanted <= 0) break;
    const part = Buffer.allocUnsafe(wanted);
    const count = await new Promise<number>((resolve, reject) =>
      fs.read(file, part, 0, wanted, start + bytes, (error, read) =>
        error ? reject(error) : resolve(read),
      ),
    );
    if (count === 0) break;
    parts.push(part.subarray(0, count));
    bytes += count;
  }
  return Buffer.concat(parts);
}

/** The report of a file. @param copied bytes that this package or Node copied */
export function reportOf(
  byKernel: number,
  copied: number,
  reason: FileReason | undefined,
): SendReport {
  return {
    bytes: byKernel + copied,
    zeroCopyBytes: byKernel,
    copiedBytes: copied,
    kernelCopiedBytes: 0,
    unknownBytes: 0,
    engine: byKernel > 0 ? 'sendfile' : 'copy',
    ...(reason === undefined ? {} : { reason }),
  };
}

/** Counts a file that sendfile(2) does not send. */
export function leave(socket: net.Socket | null, reason: FileReason): void {
  const host = socket === null ? undefined : fileHostOf(socket);
  if (host === undefined) leftFile(socket, reason);
  else host.leftFile(reason);
}

/** One running sendFile(). */
export class Sending implements FileSender {
  readonly file: FileWrite;
  readonly promise: Promise<SendReport>;
  readonly #socket: net.Socket;
  readonly #target: net.Socket | http.ServerResponse;
  readonly #wanted: Wanted;
  readonly #onAbort = (): void => this.#aborted();
  #source: FileSource | undefined;
  #resolve!: (report: SendReport) => void;
  #reject!: (error: Error) => void;
  #reason: FileReason | undefined;
  #body = 0;
  /** Whether the file is open, so that some of it may be on its way. */
  #isOpen = false;

  constructor(socket: net.Socket, target: net.Socket | http.ServerResponse, wanted: Wanted) {
    this.#socket = socket;
    this.#target = target;
    this.#wanted = wanted;
    this.file = new FileWrite(this, -1, wanted.start, wanted.start);
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    wanted.signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  opened(source: FileSource, end = Math.min(this.#wanted.end, source.bytes)): void {
    // For a response, sendFile() itself closes it.
    if (this.#target === this.#socket) this.#source = source;
    // The socket was closed, or the signal came, while the file was being opened.
    if (this.file.state === 'over') return this.#settle();
    this.#isOpen = true;
    this.file.file = source.file;
    this.file.end = end;
  }

  /** For a socket: the file is open now, and its place in the stream was kept. */
  async openedLate(source: FileSource): Promise<void> {
    if (source.bytes > 0) return this.opened(source);
    // Whatever happens meanwhile, the thread pool needs the descriptor until it has read.
    const body = await readAll(source.file, this.#wanted).finally(() => source.close());
    if (this.file.state === 'over') return;
    this.#isOpen = true;
    this.#body = body.length;
    this.file.body = body;
    this.#reason = 'no-size';
    leave(this.#socket, 'no-size');
  }

  /** Cancels before anything is sent: later writes of the socket go on. */
  cancel(error: Error): void {
    this.file.state = 'over';
    this.#settle();
    this.#reject(error);
  }

  #settle(): void {
    this.#wanted.signal?.removeEventListener('abort', this.#onAbort);
    this.#source?.close();
    this.#source = undefined;
  }

  #aborted(): void {
    const error = abortError(this.#wanted.signal as AbortSignal);
    const isUntouched = !this.#isOpen || this.file.state === 'waiting';
    if (isUntouched && this.#target === this.#socket) return this.cancel(error);
    this.#target.destroy(error);
    this.failed(error);
  }

  // --- FileSender -------------------------------------------------------------------------------

  isChunked(): boolean {
    return (this.#target as { chunkedEncoding?: boolean }).chunkedEncoding === true;
  }

  stops(): boolean {
    return false;
  }

  moved(): void {
    // The report counts them at the end.
  }

  waits(): void {
    // Nothing else uses the file.
  }

  refused(): 'copy' {
    this.#reason = loadNative().native === undefined ? 'addon-unavailable' : 'kernel-refused';
    const handle = handleOf(this.#socket);
    if (handle !== undefined && !isPlain(handle)) this.#reason = 'tls';
    leave(this.#socket, this.#reason);
    return 'copy';
  }

  over(): void {
    const { file } = this;
    if (file.offset < file.end) {
      const error = fileShrunk();
      this.#target.destroy(error);
      return this.failed(error);
    }
    this.#settle();
    // http may be in the middle of writing what the response kept while it waited, which end() would write, too.
    if (this.#target instanceof http.ServerResponse) nextTick(() => this.#sent());
    else this.#sent();
  }

  #sent(): void {
    const { file } = this;
    if (this.#target instanceof http.ServerResponse) this.#target.end();
    const { bytesByKernel, bytesMoved } = file;
    if (this.#reason === undefined) sentFile(this.#socket, bytesByKernel);
    this.#resolve(reportOf(bytesByKernel, bytesMoved - bytesByKernel + this.#body, this.#reason));
  }

  failed(error: Error): void {
    this.file.state = 'over';
    this.#settle();
    this.#reject(error);
  }
}

function sentFile(socket: net.Socket, bytes: number): void {
  const host = fileHostOf(socket);
  if (host === undefined) countSent(socket, bytes);
  else host.sentFile(bytes);
}
