// One connection on which files go: by sendFile() and by pipes, whole and in parts, between ordinary writes, to a
// reader of any manner. Files are replaced, deleted, made longer or shorter, or forgotten by the page cache
// meanwhile; every byte that arrives is that of the file that was opened.
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { enableZeroCopy, sendFile, type SendReport } from '../../../lib/index';
import { fill } from '../../selftest/message';
import type { Chance } from '../chance';
import { anyKind } from '../memory';
import { cuts, encodeManner, type Manner } from '../protocol';
import { codeOf, type Episode, isWant, turn, type World } from '../world';
import { MARGIN, type Part, writePart } from './file-part';
import { chooseManner, KEEPALIVE, RESET_CODES } from './tcp';

const MIB = 1024 * 1024;
const CHANGED = 'ERR_ZC_FILE_CHANGED';
/** How a connection fails that the actor itself has end in the middle of a file. */
const ON_PURPOSE = new Set([CHANGED, 'ABORT_ERR', 'ERR_STREAM_WRITE_AFTER_END']);
/** A path that comes again is opened without the thread pool. More than are under way at a time. */
const NAMES = 8;
/** A file is truncated this far beyond what was sent of it, where nothing is being read. */
const AHEAD_BYTES = 68 * 1024;

class FileConnection {
  readonly #world: World;
  readonly #chance: Chance;
  readonly #token: number;
  readonly #manner: Manner;
  readonly #socket: net.Socket;
  readonly #closed: Promise<void>;
  readonly #promises: Promise<unknown>[] = [];
  #files = 0;
  #offset = 0;
  #least = 0;
  #failed: string | undefined;

  constructor(world: World, chance: Chance, token: number) {
    this.#world = world;
    this.#chance = chance;
    this.#token = token;
    this.#manner = chooseManner(chance);
    const { target } = world.order;
    const family = chance.pick([4, 6] as const);
    const to = { host: target.address[family], port: target.tcp[family], allowHalfOpen: true };
    this.#socket = net.connect({ ...to, ...KEEPALIVE });
    if (chance.odds(0.8)) {
      const engine = chance.pick(['auto', 'msg_zerocopy', 'io_uring', 'copy'] as const);
      enableZeroCopy(this.#socket, { engine, files: 'auto', threshold: 4096 });
    }
    this.#closed = new Promise((resolve) => this.#socket.once('close', () => resolve()));
    this.#socket.on('error', (error) => this.#onError(error));
    this.#socket.resume();
  }

  async run(): Promise<void> {
    const { ledger } = this.#world;
    let clean = false;
    try {
      const rounds = this.#chance.between(1, 12);
      for (let i = 0; i < rounds && this.#usable; i++) await this.#round();
      // Under way when the connection ends.
      if (this.#chance.odds(0.3) && this.#usable && !this.#isTroubled) await this.#send();
      clean = this.#end();
    } finally {
      if (!this.#socket.writableEnded) this.#socket.destroy();
      await this.#closed;
      await Promise.all(this.#promises);
    }
    ledger.add('file connections');
    ledger.add('file bytes', this.#offset);
    this.#world.sent({
      token: this.#token,
      least: this.#least,
      most: this.#offset,
      clean: clean && this.#failed === undefined && !cuts(this.#manner),
    });
  }

  get #usable(): boolean {
    return this.#socket.writable && !this.#world.stopping;
  }

  /** A file may be refused at any time: what stands behind it in the stream is not known before. */
  get #isTroubled(): boolean {
    const { callsFail, descriptorHog } = this.#world.order;
    return callsFail === true || descriptorHog !== undefined;
  }

  #fail(what: string): void {
    this.#world.ledger.fail(`files, token ${this.#token}, reader ${this.#manner.reader}: ${what}`);
  }

  #onError(error: Error): void {
    this.#failed = codeOf(error);
    this.#world.ledger.add(`file connection error ${this.#failed}`);
    if (!this.#isExpected(error)) {
      this.#fail(`a connection failed without a cause: ${error.stack}`);
    }
  }

  #isExpected(error: Error): boolean {
    const code = codeOf(error);
    if (ON_PURPOSE.has(code) || isWant(this.#world, error)) return true;
    if (code === 'ERR_SOCKET_CLOSED_BEFORE_CONNECTION') return this.#socket.destroyed;
    return RESET_CODES.has(code) && (cuts(this.#manner) || this.#socket.destroyed);
  }

  /** @returns whether all that was sent arrives, unless the peer cuts the connection */
  #end(): boolean {
    const ending = this.#chance.pick(['end', 'end', 'end', 'destroy', 'reset'] as const);
    this.#world.ledger.add(`file connections: ${ending}`);
    if (ending === 'end') this.#socket.end();
    else if (ending === 'destroy') this.#socket.destroy();
    else this.#socket.resetAndDestroy();
    return ending === 'end';
  }

  async #round(): Promise<void> {
    switch (this.#chance.pick(['several', 'several', 'pipe', 'pipe', 'shorter', 'abort'])) {
      case 'several':
        return this.#sendSeveral();
      case 'pipe':
        return this.#pipe();
      case 'shorter':
        return this.#sendShorter();
      case 'abort':
        return this.#abort();
    }
  }

  // --- files -----------------------------------------------------------------------------------------

  /** A file of the stream's next bytes. */
  async #make(): Promise<Part> {
    const data = Buffer.allocUnsafeSlow(this.#chance.size(1, 4 * MIB));
    this.#fillNext(data);
    const name = `files-${process.pid}-${this.#token}-${this.#files++ % NAMES}`;
    const part = writePart(path.join(this.#world.order.folder, name), data, this.#chance);
    if (!this.#isTroubled && this.#chance.odds(0.03)) await this.#forget(part.path);
    return part;
  }

  async #forget(name: string): Promise<void> {
    const nothing = ['if=/dev/null', 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'];
    try {
      await promisify(execFile)('dd', [`of=${name}`, ...nothing]);
      this.#world.ledger.add('files that the page cache forgot');
    } catch (error) {
      if (!isWant(this.#world, error)) this.#fail(`dd: ${(error as Error).message}`);
    }
  }

  #fillNext(data: Buffer): void {
    const sequence = encodeManner(this.#manner);
    fill(data, { token: this.#token, sequence, length: 0 }, this.#offset);
    this.#offset += data.length;
  }

  /** To a file that is open. */
  #change({ path: name }: Part): void {
    // There may be no descriptor for more.
    if (this.#isTroubled) return;
    switch (this.#chance.pick(['nothing', 'delete', 'replace', 'grow'])) {
      case 'delete':
        fs.rmSync(name);
        break;
      case 'replace':
        fs.writeFileSync(`${name}-other`, MARGIN);
        fs.renameSync(`${name}-other`, name);
        break;
      case 'grow':
        fs.appendFileSync(name, MARGIN);
        break;
    }
  }

  /** Cuts off what is not sent yet, if there is enough. @param sent bytes of the part */
  #shorten({ path: name, start, end }: Part, sent: number): boolean {
    const at = start + sent + AHEAD_BYTES + this.#chance.size(1, MIB);
    if (at > end || this.#isTroubled) return false;
    fs.truncateSync(name, at);
    this.#world.ledger.add('files made shorter');
    return true;
  }

  // --- sendFile() ------------------------------------------------------------------------------------

  async #sendSeveral(): Promise<void> {
    const count = this.#isTroubled ? 1 : this.#chance.between(1, 4);
    const before = this.#offset;
    const all: Promise<unknown>[] = [];
    for (let i = 0; i < count && this.#socket.writable; i++) {
      all.push((await this.#send()).over);
      if (!this.#isTroubled && this.#chance.odds(0.4)) this.#write();
    }
    const [only] = await Promise.all(all);
    if (this.#isTroubled && only instanceof Error) await this.#rewind(before);
  }

  /** Settles when it is under way; `over` with what it was refused with. */
  async #send(): Promise<{ readonly over: Promise<Error | undefined> }> {
    const part = await this.#make();
    const { path: name, start, end } = part;
    const upTo = this.#offset;
    const file = await this.#open(name);
    const sent = sendFile(this.#socket, file, { start, end });
    const over = this.#follow(sent, end - start + 1, upTo);
    // It has a descriptor of its own.
    if (typeof file === 'number') fs.closeSync(file);
    else if (isHandle(file)) this.#promises.push(file.close());
    if (typeof file === 'number' || isHandle(file)) this.#change(part);
    return { over };
  }

  async #open(name: string): Promise<string | URL | number | FileHandle> {
    const way = this.#chance.pick(['path', 'path', 'URL', 'descriptor', 'FileHandle']);
    this.#world.ledger.add(`sendFile() of a ${way}`);
    if (way === 'path') return name;
    if (way === 'URL') return pathToFileURL(name);
    return way === 'descriptor' ? fs.openSync(name, 'r') : open(name);
  }

  #follow(sent: Promise<SendReport>, bytes: number, upTo: number): Promise<Error | undefined> {
    const happened = this.#world.ledger.awaits(`sendFile() of token ${this.#token}`);
    const over = sent.then(
      (report) => {
        happened();
        this.#took(upTo);
        const { zeroCopyBytes, copiedBytes, kernelCopiedBytes, unknownBytes } = report;
        const sum = zeroCopyBytes + copiedBytes + kernelCopiedBytes + unknownBytes;
        if (sum === bytes && report.bytes === bytes) return undefined;
        this.#fail(`${bytes} bytes were sent, the report has ${JSON.stringify(report)}`);
        return undefined;
      },
      (error: Error) => {
        happened();
        this.#world.ledger.add(`sendFile() error ${codeOf(error)}`);
        if (!this.#isExpected(error)) this.#fail(`sendFile(): ${error.stack}`);
        return error;
      },
    );
    this.#promises.push(over);
    return over;
  }

  /** Nothing was sent of a file, if the connection still stands: the stream goes on where it was. */
  async #rewind(before: number): Promise<void> {
    // It may be about to fail.
    await turn();
    if (!this.#socket.destroyed) this.#offset = before;
  }

  #took(upTo: number): void {
    if (!this.#socket.destroyed) this.#least = Math.max(this.#least, upTo);
  }

  #write(): void {
    const piece = this.#world.memory.take(this.#chance.size(1, 100_000), anyKind(this.#chance));
    this.#fillNext(piece.data);
    const upTo = this.#offset;
    const happened = this.#world.ledger.awaits(`a write between files of token ${this.#token}`);
    const back = new Promise<void>((resolve) => {
      this.#socket.write(piece.data, (error) => {
        piece.release();
        happened();
        if (!error) this.#took(upTo);
        resolve();
      });
    });
    this.#promises.push(back);
  }

  async #sendShorter(): Promise<void> {
    const before = this.#offset;
    const part = await this.#make();
    const { path: name, start, end } = part;
    const written = this.#socket.bytesWritten;
    let isOver = false;
    const over = this.#follow(
      sendFile(this.#socket, name, { start, end }),
      end - start + 1,
      this.#offset,
    ).finally(() => (isOver = true));
    const sent = (): number => this.#socket.bytesWritten - written;
    while (!isOver && sent() === 0) await turn();
    const isShorter = !isOver && this.#shorten(part, sent());
    const error = await over;
    if (isShorter && error === undefined) this.#fail('all was sent of a file that became shorter');
    if (error !== undefined) await this.#rewind(before);
  }

  async #abort(): Promise<void> {
    const before = this.#offset;
    const { path: name, start, end } = await this.#make();
    const controller = new AbortController();
    const { signal } = controller;
    const sent = sendFile(this.#socket, name, { start, end, signal });
    const over = this.#follow(sent, end - start + 1, this.#offset);
    for (let turns = this.#chance.between(0, 3); turns > 0; turns--) await turn();
    controller.abort();
    const error = await over;
    if (error !== undefined) await this.#rewind(before);
  }

  // --- pipes -----------------------------------------------------------------------------------------

  async #pipe(): Promise<void> {
    const before = this.#offset;
    const part = await this.#make();
    const { path: name, start, end } = part;
    this.#world.ledger.add('files piped into a socket');
    const stream = fs.createReadStream(name, { start, end });
    const happened = this.#world.ledger.awaits(`the close of ${name}`);
    const closed = new Promise<void>((resolve) => stream.once('close', resolve)).then(happened);
    stream.on('error', (error) => {
      if (!isWant(this.#world, error)) this.#fail(`${name}: ${error.stack}`);
    });
    stream.once('open', () => void this.#meddle(part, stream));
    stream.pipe(this.#socket, { end: false });
    void this.#closed.then(() => stream.destroy());
    await closed;
    if (!this.#socket.destroyed) this.#offset = before + stream.bytesRead;
  }

  /** Node reads the rest of a stream that the program interferes with. */
  async #meddle(part: Part, stream: fs.ReadStream): Promise<void> {
    for (let turns = this.#chance.between(0, 10); turns > 0; turns--) await turn();
    if (stream.destroyed) return;
    switch (this.#chance.pick(['change', 'change', 'shorten', 'pause', 'listen', 'unpipe'])) {
      case 'change':
        this.#change(part);
        break;
      case 'shorten':
        this.#shorten(part, stream.bytesRead);
        break;
      case 'pause':
        stream.pause();
        await turn();
        stream.resume();
        break;
      case 'listen':
        stream.on('data', () => undefined);
        break;
      case 'unpipe':
        stream.unpipe(this.#socket);
        await turn();
        if (!stream.destroyed) stream.pipe(this.#socket, { end: false });
        break;
    }
  }
}

function isHandle(file: unknown): file is FileHandle {
  return typeof file === 'object' && file !== null && 'fd' in file;
}

export const filesEpisode: Episode = (world, chance, token) =>
  new FileConnection(world, chance, token).run();
