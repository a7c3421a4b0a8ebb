// Serves the files of a folder over HTTP: reads them into pieces of a pool, sends from there without copying, and frees
// each piece when the kernel has released it.
// Usage: node dist/examples/pooled-files.js [folder] [port]
import { once } from 'node:events';
import { constants } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import path from 'node:path';
import { BufferPool, enableZeroCopy, type ZeroCopyOptions } from 'msg-zerocopy';

const PIECE_BYTES = 512 * 1024;

/** A server of the regular files below `folder`, with the memory of `pool`. */
export function createFileServer(folder: string, pool: BufferPool, options: ZeroCopyOptions = {}) {
  const server = http.createServer((request, response) => {
    answer(folder, pool, request, response).catch(() => response.destroy());
  });
  return enableZeroCopy(server, options);
}

async function answer(
  folder: string,
  pool: BufferPool,
  request: IncomingMessage,
  response: ServerResponse,
) {
  const refuse = (status: number) => response.writeHead(status, { 'Content-Length': 0 }).end();
  if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(405);
  const file = await openBelow(folder, request.url ?? '/').catch(() => undefined);
  if (file === undefined) return refuse(404);
  try {
    const stat = await file.stat();
    if (!stat.isFile()) return refuse(404);
    response.setHeader('Content-Type', 'application/octet-stream');
    response.setHeader('Content-Length', stat.size);
    if (request.method === 'GET') await send(file, stat.size, pool, request, response);
    response.end();
  } finally {
    await file.close();
  }
}

/** Opens the file that a URL names. Throws: when there is none, or it lies outside of `folder`. */
async function openBelow(folder: string, url: string): Promise<FileHandle> {
  const { pathname } = new URL(url, 'http://localhost');
  const root = await realpath(folder);
  // With every symbolic link resolved: neither `..` nor a link leads out.
  const file = await realpath(path.join(root, decodeURIComponent(pathname)));
  if (!file.startsWith(root + path.sep)) throw new Error(`${file} is outside of ${root}`);
  // O_NONBLOCK: opening a named pipe would wait for its writer.
  return open(file, constants.O_RDONLY | constants.O_NONBLOCK);
}

/** Throws: when the client goes away, or the file has become shorter. */
async function send(
  file: FileHandle,
  size: number,
  pool: BufferPool,
  { socket }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const held = new Set<Buffer>();
  const free = (piece: Buffer) => held.delete(piece) && pool.free(piece);
  const gone = new AbortController();
  // Callbacks of what was not sent may never come. What was, the pool keeps until it is released.
  const abandon = () => {
    gone.abort();
    held.forEach(free);
  };
  socket.once('close', abandon);
  response.once('close', () => {
    socket.off('close', abandon);
    if (!response.writableFinished) abandon();
  });
  if (socket.destroyed) abandon();
  for (let position = 0; position < size;) {
    const piece = pool.allocUnsafe(Math.min(PIECE_BYTES, size - position));
    const { bytesRead } = await file.read(piece, 0, piece.length, position).catch((error) => {
      pool.free(piece);
      throw error;
    });
    if (bytesRead === 0 || gone.signal.aborted) {
      pool.free(piece);
      throw new Error('the client is gone, or the end of the file');
    }
    held.add(piece);
    position += bytesRead;
    const flows = response.write(piece.subarray(0, bytesRead), () => free(piece));
    if (!flows && position < size) await once(response, 'drain', { signal: gone.signal });
  }
}

if (require.main === module) {
  const [folder = '.', port = '8080'] = process.argv.slice(2);
  const pool = new BufferPool({ bytes: 64 * 1024 * 1024 });
  createFileServer(folder, pool).listen(Number(port), () => {
    const registered = pool.registered ? 'registered with io_uring' : pool.reason;
    console.log(`${folder} at http://localhost:${port}/, pool: ${registered}`);
  });
}
