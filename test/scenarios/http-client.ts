// A client that leaves the response unread until it is told to go, then reads it slowly.
// Writes {response} when the head is there, and {body} at the end.
import http from 'node:http';
import { createInterface } from 'node:readline';
import { countWrong } from '../../scripts/pattern';
import { argument, print } from '../helpers/program-side';

export interface ClientArgument {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly stream: number;
  readonly expect: 'nothing' | '100-continue';
}

export interface Body {
  readonly body: { readonly bytes: number; readonly wrong: number };
}

const PIECE_BYTES = 64 * 1024;
const PAUSE_MS = 2;

const { host, port, path, stream, expect } = argument<ClientArgument>();

function read(response: http.IncomingMessage): void {
  let bytes = 0;
  let wrong = 0;
  const timer = setInterval(() => {
    const piece = response.read(Math.min(PIECE_BYTES, response.readableLength)) as Buffer | null;
    if (piece === null) return;
    wrong += countWrong(piece, stream, bytes);
    bytes += piece.length;
  }, PAUSE_MS);
  response.once('end', () => {
    clearInterval(timer);
    print({ body: { bytes, wrong } } satisfies Body);
    process.exit();
  });
}

const headers = {
  'x-stream': String(stream),
  ...(expect === 'nothing' ? {} : { expect, 'content-length': '4' }),
};
const method = expect === 'nothing' ? 'GET' : 'POST';
const request = http.request({ host, port, path, method, headers });
request.once('response', (response) => {
  const commands = createInterface({ input: process.stdin });
  commands.once('line', () => read(response));
  print({ response: response.statusCode });
});
if (expect === 'nothing') request.end();
else request.once('continue', () => request.end('body'));
