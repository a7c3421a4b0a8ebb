// The ways in which a handler can pass a callback together with data, each with a body of the same
// length. Every buffer is overwritten the moment its callback fires: a callback that fires while the
// kernel still references the buffer shows at the receiver.
import type http from 'node:http';
import { fillFrom, OVERWRITTEN } from '../../scripts/pattern';

export const BODY_BYTES = 1024 * 1024;

/** Called with the name of each callback that fires, and with 'finish'. */
export type Note = (what: string) => void;

type Answering = (response: http.ServerResponse, piece: Pieces, note: Note) => void;

/** Consecutive pieces of a keystream. */
class Pieces {
  #offset = 0;

  constructor(readonly stream: number) {}

  take(bytes: number): Buffer {
    const piece = Buffer.allocUnsafeSlow(bytes);
    fillFrom(piece, this.stream, this.#offset);
    this.#offset += bytes;
    return piece;
  }

  rest(): Buffer {
    return this.take(BODY_BYTES - this.#offset);
  }
}

// `note` when the buffer is released, which is overwritten at once.
function releaseCallback(buffer: Buffer, note: Note, what: string): () => void {
  return () => {
    buffer.fill(OVERWRITTEN);
    note(what);
  };
}

export const answers: Record<string, Answering> = {
  'end(chunk, callback)': (response, pieces, note) => {
    const body = pieces.rest();
    response.end(body, releaseCallback(body, note, 'end'));
  },
  'end(chunk, encoding, callback)': (response, pieces, note) => {
    const body = pieces.rest();
    response.end(body, 'binary', releaseCallback(body, note, 'end'));
  },
  'write(chunk, callback) and end(chunk, callback)': (response, pieces, note) => {
    const first = pieces.take(400_000);
    response.write(first, releaseCallback(first, note, 'write'));
    const last = pieces.rest();
    response.end(last, releaseCallback(last, note, 'end'));
  },
  'write(chunk, callback) of a known length, and end()': (response, pieces, note) => {
    response.writeHead(200, { 'content-length': BODY_BYTES });
    const first = pieces.take(BODY_BYTES / 2);
    response.write(first, releaseCallback(first, note, 'write'));
    const last = pieces.rest();
    response.write(last, 'binary', releaseCallback(last, note, 'second write'));
    response.end();
  },
  // Small ones between large ones are copied, and still wait for their turn.
  'write(chunk, callback) of mixed sizes, and end(chunk, callback)': (response, pieces, note) => {
    for (const [i, bytes] of [100, 300_000, 10, 5000, 200_000, 1].entries()) {
      const piece = pieces.take(bytes);
      response.write(piece, releaseCallback(piece, note, `write ${i}`));
    }
    const last = pieces.rest();
    response.end(last, releaseCallback(last, note, 'end'));
  },
  // As http's own function for the end of a message is called (lib/_http_outgoing.js).
  'callbacks that are called like one of Node’s own': (response, pieces, note) => {
    const bound = (name: string, callback: () => void): (() => void) =>
      Object.defineProperty(callback, 'name', { value: name }).bind(undefined);
    const first = pieces.take(500_000);
    response.write(first, bound('onFinish', releaseCallback(first, note, 'write')));
    const last = pieces.rest();
    response.end(last, bound('onFinish', releaseCallback(last, note, 'end')));
  },
};

/** The callbacks that `name` notes, in order. */
export const expectedNotes: Record<keyof typeof answers, readonly string[]> = {
  'end(chunk, callback)': ['end'],
  'end(chunk, encoding, callback)': ['end'],
  'write(chunk, callback) and end(chunk, callback)': ['write', 'end'],
  'write(chunk, callback) of a known length, and end()': ['write', 'second write'],
  'write(chunk, callback) of mixed sizes, and end(chunk, callback)': [
    'write 0',
    'write 1',
    'write 2',
    'write 3',
    'write 4',
    'write 5',
    'end',
  ],
  'callbacks that are called like one of Node’s own': ['write', 'end'],
};

/** Answers with the first BODY_BYTES bytes of keystream `stream`. */
export function answer(
  name: string,
  response: http.ServerResponse,
  stream: number,
  note: Note,
): void {
  response.once('finish', () => note('finish'));
  answers[name]?.(response, new Pieces(stream), note);
}
