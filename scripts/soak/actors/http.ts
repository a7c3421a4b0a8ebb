// A server that answers the receiver's requests with bodies of any size, in any number of pieces, over
// connections that are kept and that clients cut. A request's path says what is asked for:
// /token/sequence/bytes/manner
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { enableZeroCopy, type ZeroCopyMembers } from '../../../lib/index';
import { type Description, fill } from '../../selftest/message';
import type { Chance } from '../chance';
import { anyKind, type Piece } from '../memory';
import { codeOf, isWant, type World } from '../world';
import { FILE_WAYS, FileAnswers } from './file-answers';

/** Manners of answering from memory; those from files come behind them. */
const MEMORY_MANNERS = 4;
/** How many manners of answering there are. */
export const HTTP_MANNERS = MEMORY_MANNERS + FILE_WAYS;

const OPTIONS_EVERY_MS = 500;
const MOST_PIECES = 12;

interface Asked {
  readonly message: Description;
  readonly manner: number;
}

function parsePath(path: string): Asked {
  const [token = 0, sequence = 0, length = 0, manner = 0] = path.slice(1).split('/').map(Number);
  return { message: { token, sequence, length }, manner };
}

class Answer {
  readonly #world: World;
  readonly #chance: Chance;
  readonly #response: http.ServerResponse;
  readonly #message: Description;
  #offset = 0;

  constructor(world: World, chance: Chance, response: http.ServerResponse, message: Description) {
    this.#world = world;
    this.#chance = chance;
    this.#response = response;
    this.#message = message;
  }

  #next(bytes: number, kind = anyKind(this.#chance)): Piece {
    const piece = this.#world.memory.take(bytes, kind);
    fill(piece.data, this.#message, this.#offset);
    this.#offset += bytes;
    return piece;
  }

  whole(): void {
    this.#response.setHeader('content-length', this.#message.length);
    this.#last();
  }

  /** The memory is never used again. */
  wholeWithoutCallback(): void {
    this.#response.setHeader('content-length', this.#message.length);
    this.#response.end(this.#next(this.#message.length, 'plain').data);
  }

  /** @param length of the whole, when it is announced; otherwise the body is chunked */
  async inPieces(length: number | undefined): Promise<void> {
    const response = this.#response;
    if (length !== undefined) response.setHeader('content-length', length);
    for (let i = 0; i < MOST_PIECES; i++) {
      const left = this.#message.length - this.#offset;
      if (left <= 1 || response.destroyed) break;
      if (!this.#write(this.#chance.size(1, left - 1))) await drainedOrClosed(response);
    }
    if (response.destroyed) return;
    this.#last();
  }

  #write(bytes: number): boolean {
    const piece = this.#next(bytes);
    const happened = this.#world.ledger.awaits(`http write of token ${this.#message.token}`);
    return this.#response.write(piece.data, () => {
      piece.release();
      happened();
    });
  }

  // The callback of end() hangs on 'finish', which a response that was cut does not emit
  // (lib/_http_outgoing.js): the socket's flush() tells then.
  #last(): void {
    const response = this.#response;
    const socket = response.socket as (http.ServerResponse['socket'] & ZeroCopyMembers) | null;
    const piece = this.#next(this.#message.length - this.#offset);
    let isBack = false;
    const back = (): void => {
      if (isBack) this.#world.ledger.fail('http: end() called back twice');
      isBack = true;
      piece.release();
    };
    const happened = this.#world.ledger.awaits(`http end of token ${this.#message.token}`);
    response.end(piece.data, () => {
      back();
      happened();
    });
    response.once('close', () => {
      if (isBack || response.writableFinished) return;
      const flushed = socket?.zeroCopy.flush() ?? Promise.resolve();
      void flushed.then(() => {
        if (isBack) return;
        this.#world.ledger.add('http responses cut');
        back();
        happened();
      });
    });
  }
}

function drainedOrClosed(response: http.ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.once('drain', done).once('close', done);
  });
}

export class HttpActor {
  readonly #world: World;
  readonly #chance: Chance;
  readonly #server: http.Server;
  readonly #timer: NodeJS.Timeout;
  readonly #files: FileAnswers;

  constructor(world: World, chance: Chance) {
    this.#world = world;
    this.#chance = chance;
    this.#files = new FileAnswers(world, chance);
    this.#server = http.createServer((request, response) => this.#answer(request, response));
    this.#server.on('clientError', (_error, socket) => socket.destroy());
    this.#enable();
    this.#timer = setInterval(() => this.#enable(), OPTIONS_EVERY_MS);
  }

  /** Listens. @returns the port */
  async listen(): Promise<number> {
    this.#server.listen(0, this.#world.order.address[4]);
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeIdleConnections();
    await closed;
  }

  /** Later connections get other options. */
  #enable(): void {
    const chance = this.#chance;
    enableZeroCopy(this.#server, {
      engine: chance.pick(['auto', 'msg_zerocopy', 'io_uring', 'io_uring', 'copy']),
      threshold: chance.pick([0, 16_384, 'auto'] as const),
      lingerTimeoutMs: chance.size(100, 3000),
      ...(chance.odds(0.3) ? { pool: this.#world.memory.pool } : {}),
    });
  }

  #answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    const { ledger } = this.#world;
    const { message, manner } = parsePath(request.url ?? '');
    ledger.add('http responses');
    ledger.add('http bytes', message.length);
    response.on('error', (error) => {
      ledger.add(`http error ${codeOf(error)}`);
      if (!isWant(this.#world, error)) ledger.fail(`http: ${error.stack}`);
    });
    if (manner >= MEMORY_MANNERS) {
      void this.#files.answer(response, message, manner - MEMORY_MANNERS);
      return;
    }
    const answer = new Answer(this.#world, this.#chance, response, message);
    if (manner === 0) answer.whole();
    else if (manner === 1) answer.wholeWithoutCallback();
    else void answer.inPieces(manner === 2 ? message.length : undefined);
  }
}
