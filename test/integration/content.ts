// What the servers of these tests serve and the clients upload: keystreams, so that both ends know every
// byte. Needs no test runner: the programs share it.
import { createHash } from 'node:crypto';
import { fillFrom } from '../../scripts/pattern';

export const BODY_BYTES = 5 * 1024 * 1024;
/** How many uploads a client makes; the body of number `i` is the keystream `i`, or the file. */
export const UPLOADS = 3;
/** Of a WebSocket message. */
export const MESSAGE_BYTES = 1024 * 1024;
/** The stream of the file that servers send. */
export const FILE_STREAM = 77;

/** Memory of its own with the beginning of a keystream. */
export function content(stream: number, bytes = BODY_BYTES): Buffer {
  const buffer = Buffer.allocUnsafeSlow(bytes);
  fillFrom(buffer, stream, 0);
  return buffer;
}

/** An object whose JSON is about as large as a body: text with many escapes. */
export function jsonContent(stream: number): object {
  return { stream, text: content(stream, (BODY_BYTES * 2) / 3).toString('latin1') };
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** What a server answers to GET /<route>/<stream>. */
export const ROUTES = {
  /** The framework's way to send a buffer, whose memory is not used again. */
  buffer: (stream: number) => content(stream),
  /** end(chunk, callback): the memory is overwritten at the callback. */
  callback: (stream: number) => content(stream),
  json: (stream: number) => Buffer.from(JSON.stringify(jsonContent(stream))),
  /** The framework's way to send a file. */
  file: () => content(FILE_STREAM),
} as const;
export type Route = keyof typeof ROUTES;
