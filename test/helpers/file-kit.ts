// What tests of files share: files that are gone afterwards, exchanges over http byte by byte, and what a
// stream, its response and its connection show of themselves.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type fs from 'node:fs';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fillFrom } from '../../scripts/pattern';

/** A directory of files that are gone after `body`. */
export async function withFiles(body: (folder: Folder) => Promise<void>): Promise<void> {
  const root = mkdtempSync(path.join(os.tmpdir(), 'zc-files-'));
  try {
    await body(new Folder(root));
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

export class Folder {
  #files = 0;
  constructor(readonly root: string) {}

  path(name: string): string {
    return path.join(this.root, name);
  }

  /** A file of so many bytes that no other has. */
  file(bytes: number): { readonly path: string; readonly data: Buffer } {
    const data = Buffer.allocUnsafeSlow(bytes);
    fillFrom(data, 1000 + this.#files, 0);
    const name = this.path(`${this.#files++}.bin`);
    writeFileSync(name, data);
    return { path: name, data };
  }
}

export interface Answer {
  readonly status: string;
  /** And trailers. Without Date, which differs from second to second. */
  readonly headers: readonly string[];
  readonly bytes: number;
  readonly sha256: string;
  readonly body: Buffer;
}

/** Sends `request` as it is and reads until the connection ends. */
export async function exchange(port: number, request: string): Promise<Buffer> {
  const socket = net.connect(port, '127.0.0.1');
  const parts: Buffer[] = [];
  socket.on('data', (part: Buffer) => parts.push(part));
  socket.on('error', () => undefined);
  socket.write(request);
  await once(socket, 'close');
  return Buffer.concat(parts);
}

/** Takes the answers apart that arrived one behind the other. @param methods of the requests, in order */
export function answersOf(arrived: Buffer, methods: readonly string[] = ['GET']): Answer[] {
  const answers: Answer[] = [];
  let rest = arrived;
  for (const method of methods) {
    const headEnd = rest.indexOf('\r\n\r\n');
    if (headEnd < 0) break;
    const [status = '', ...all] = rest.toString('latin1', 0, headEnd).split('\r\n');
    const headers = all.filter((line) => !line.toLowerCase().startsWith('date:'));
    const { body, used, trailers } = bodyOf(rest.subarray(headEnd + 4), headers, status, method);
    rest = rest.subarray(headEnd + 4 + used);
    headers.push(...trailers);
    answers.push({ status, headers, bytes: body.length, sha256: sha256(body), body });
  }
  if (rest.length > 0) throw new Error(`${rest.length} bytes behind the last answer`);
  return answers;
}

interface Body {
  readonly body: Buffer;
  readonly used: number;
  readonly trailers: readonly string[];
}

function bodyOf(rest: Buffer, headers: readonly string[], status: string, method: string): Body {
  const headerOf = (name: string): string | undefined =>
    headers.find((line) => line.toLowerCase().startsWith(`${name}: `))?.slice(name.length + 2);
  if (method === 'HEAD' || / (204|304) /.test(status))
    return { body: Buffer.alloc(0), used: 0, trailers: [] };
  if (headerOf('transfer-encoding') === 'chunked') return unchunk(rest);
  const length = headerOf('content-length');
  const used = length === undefined ? rest.length : Math.min(Number(length), rest.length);
  return { body: rest.subarray(0, used), used, trailers: [] };
}

function unchunk(rest: Buffer): Body {
  const parts: Buffer[] = [];
  let at = 0;
  for (;;) {
    const lineEnd = rest.indexOf('\r\n', at);
    if (lineEnd < 0) break;
    const line = rest.toString('latin1', at, lineEnd);
    if (!/^[0-9a-f]+$/i.test(line)) throw new Error(`no size of a chunk: ${line.slice(0, 20)}`);
    const size = Number.parseInt(line, 16);
    at = lineEnd + 2;
    if (size === 0) {
      const end = rest.indexOf('\r\n\r\n', lineEnd);
      const trailers = rest.toString('latin1', at, Math.max(at, end));
      const used = end < 0 ? rest.length : end + 4;
      return { body: Buffer.concat(parts), used, trailers: trailers.split('\r\n').filter(Boolean) };
    }
    parts.push(rest.subarray(at, at + size));
    if (
      rest.length >= at + size + 2 &&
      rest.toString('latin1', at + size, at + size + 2) !== '\r\n'
    )
      throw new Error('a chunk that does not end where it says');
    at += size + 2;
  }
  return { body: Buffer.concat(parts), used: rest.length, trailers: [] };
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** What happened, one list for each emitter: between them the thread pool decides. */
export class Story {
  readonly stream: string[] = [];
  readonly response: string[] = [];
  bytesRead = -1;
  bytesWritten: number | undefined;
  readonly #ends: Promise<unknown>[] = [];

  /** All that was given to it is closed. */
  async closed(): Promise<void> {
    await Promise.all(this.#ends);
  }

  ofStream(stream: fs.ReadStream): fs.ReadStream {
    // Not 'pause' and 'resume': how often a target is full is its peer's business.
    for (const name of ['open', 'ready', 'end', 'close'] as const) {
      stream.on(name, () => this.stream.push(name));
    }
    stream.on('error', (error: NodeJS.ErrnoException) => this.stream.push(`error ${error.code}`));
    this.#ends.push(
      new Promise<void>((resolve) => {
        stream.on('close', () => {
          this.bytesRead = stream.bytesRead;
          resolve();
        });
      }),
    );
    return stream;
  }

  ofResponse(response: http.ServerResponse): void {
    const { socket } = response.req;
    for (const name of ['pipe', 'unpipe', 'finish', 'close'] as const) {
      response.on(name, () => this.response.push(name));
    }
    this.#ends.push(
      new Promise<void>((resolve) => {
        socket.on('close', () => {
          this.bytesWritten = socket.bytesWritten;
          resolve();
        });
      }),
    );
  }
}
