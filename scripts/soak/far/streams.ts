// The far end of the TCP actors: reads each connection in the manner that its first bytes ask for.
import net from 'node:net';
import { type Description, DESCRIPTION_BYTES, readDescription } from '../../selftest/message';
import { type Arrived, decodeManner, type Manner } from '../protocol';
import type { Judge } from './judge';

const KIB = 1024;
const KEEPALIVE_MS = 1000;
/** What a talking reader says now and then. */
const WORDS = Buffer.alloc(64, 'a word ');
const MOST_WORDS = 50;

class Stream {
  readonly #socket: net.Socket;
  readonly #judge: Judge;
  #head = Buffer.alloc(0);
  #message: Description | undefined;
  #manner: Manner | undefined;
  #bytes = 0;
  #words = 0;
  #timer: NodeJS.Timeout | undefined;
  #how: Arrived['how'] = 'reset';

  constructor(socket: net.Socket, judge: Judge, arrived: (arrived: Arrived) => void) {
    this.#socket = socket;
    this.#judge = judge;
    // A reset that is lost is not sent again; a probe is answered by another.
    socket.setKeepAlive(true, KEEPALIVE_MS);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.once('end', () => this.#onEnd());
    socket.on('error', () => undefined);
    socket.once('close', () => {
      clearTimeout(this.#timer);
      judge.add(`connections ${this.#how}`);
      if (this.#message === undefined) this.#checkHead();
      else arrived({ token: this.#message.token, bytes: this.#bytes, how: this.#how });
    });
  }

  #take(chunk: Buffer): void {
    if (this.#message === undefined) {
      this.#head = Buffer.concat([this.#head, chunk]);
      if (this.#head.length < DESCRIPTION_BYTES) return;
      const message = readDescription(this.#head);
      if (message === undefined) {
        this.#strange();
        return;
      }
      this.#message = message;
      this.#manner = decodeManner(message.sequence);
      this.#compare(this.#head, message);
      this.#begin(this.#manner);
    } else {
      this.#compare(chunk, this.#message);
    }
    if (this.#manner !== undefined) this.#behave(this.#manner);
  }

  #compare(data: Buffer, message: Description): void {
    this.#judge.compare('tcp', data, message, this.#bytes);
    this.#bytes += data.length;
  }

  // A connection that was cut within the description: what there is of it is known all the same.
  #checkHead(): void {
    const magic = this.#head.subarray(0, 4);
    if (!MAGIC.subarray(0, magic.length).equals(magic)) this.#strange();
  }

  #strange(): void {
    const sample = this.#head.toString('hex', 0, DESCRIPTION_BYTES);
    this.#judge.wrong({ channel: 'tcp', offset: 0, bytes: this.#head.length, sample });
    this.#socket.destroy();
  }

  #begin({ reader, amount }: Manner): void {
    const socket = this.#socket;
    if (reader === 'ends') socket.end();
    if (reader !== 'stalls' && reader !== 'stalls and resets') return;
    socket.pause();
    this.#timer = setTimeout(() => {
      if (reader === 'stalls') socket.resume();
      else this.#reset();
    }, amount);
  }

  #behave({ reader, amount }: Manner): void {
    const socket = this.#socket;
    if (reader === 'slow') {
      socket.pause();
      this.#timer = setTimeout(() => socket.resume(), amount);
    } else if (reader === 'resets' && this.#bytes >= amount * KIB) {
      this.#reset();
    } else if (reader === 'talks' && this.#words++ < MOST_WORDS) {
      socket.write(WORDS);
    }
  }

  #reset(): void {
    this.#judge.add('resets by the receiver');
    this.#socket.resetAndDestroy();
  }

  // libuv calls it an end, too, when a reset arrives behind unread data: a write tells the two apart.
  #onEnd(): void {
    const socket = this.#socket;
    if (!socket.writable) {
      this.#how = 'unsure';
      socket.destroy();
      return;
    }
    socket.write('?', (error) => {
      if (!error) this.#how = 'ended';
      socket.end();
      // Who was destroyed does not end its side any more.
      socket.once('finish', () => socket.destroySoon());
    });
  }
}

const MAGIC = Buffer.from('zcst');

/** Listens on `address`. @returns the server, with what ends it */
export async function listenForStreams(
  address: string,
  judge: Judge,
  arrived: (arrived: Arrived) => void,
): Promise<net.Server> {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    new Stream(socket, judge, arrived);
  });
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  return server;
}
