// One connection: written to in every way there is, to a reader of any manner, and ended in any way.
import net from 'node:net';
import {
  connect,
  enableZeroCopy,
  type ZeroCopyMembers,
  type ZeroCopyOptions,
} from '../../../lib/index';
import { fill } from '../../selftest/message';
import type { Chance } from '../chance';
import { anyKind, KEPT_BYTES, type Piece } from '../memory';
import { cuts, encodeManner, type Manner } from '../protocol';
import { codeOf, type Episode, isWant, turn, type World } from '../world';

type Upgraded = net.Socket & ZeroCopyMembers;

const MIB = 1024 * 1024;
const MOST_STALL_MS = 2500;
/** A peer's reset may be lost, where the device's ring is full: then a probe is answered by another. */
export const KEEPALIVE = { keepAlive: true, keepAliveInitialDelay: 1000 };
const MOST_QUEUED_BYTES = 8 * MIB;
export const RESET_CODES = new Set(['ECONNRESET', 'EPIPE', 'ERR_STREAM_DESTROYED', 'ECANCELED']);
const ON_PURPOSE = 'ERR_SOAK_ON_PURPOSE';

type Ending =
  'end' | 'end with data' | 'destroy' | 'destroy with an error' | 'reset' | 'destroySoon';

/** How the reader of a connection is to behave. */
export function chooseManner(chance: Chance): Manner {
  const reader = chance.pick([
    'fast',
    'fast',
    'fast',
    'slow',
    'stalls',
    'resets',
    'stalls and resets',
    'talks',
    'ends',
  ] as const);
  if (reader === 'resets') return { reader, amount: chance.size(1, 8192) };
  if (reader === 'slow') return { reader, amount: chance.between(1, 5) };
  return { reader, amount: chance.size(10, MOST_STALL_MS) };
}

function chooseOptions(world: World, chance: Chance, { reader }: Manner): ZeroCopyOptions {
  const lingerTimeoutMs = chance.size(100, 3000);
  return {
    engine: chance.pick(['auto', 'msg_zerocopy', 'msg_zerocopy', 'io_uring', 'io_uring', 'copy']),
    threshold: chance.pick([0, 1, 4096, 32_768, 'auto'] as const),
    // Who ended its side first is not waited for: a lost packet may take longer than a short time.
    ...(reader === 'ends' ? {} : { lingerTimeoutMs }),
    ...(chance.odds(0.2) ? { source: 'pool' as const } : {}),
    ...(chance.odds(0.2) ? { pool: world.memory.pool } : {}),
    ...(chance.odds(0.05) ? { detectMutation: 'throw' as const } : {}),
    ...(chance.odds(0.1) ? { maxPendingBytes: chance.size(4096, MIB) } : {}),
    ...(chance.odds(0.1) ? { maxStagedBytes: chance.between(0, 16_384) } : {}),
  };
}

function chooseEnding(chance: Chance): Ending {
  return chance.pick([
    'end',
    'end',
    'end',
    'end with data',
    'end with data',
    'destroy',
    'destroy with an error',
    'reset',
    'destroySoon',
  ]);
}

class Connection {
  readonly #world: World;
  readonly #chance: Chance;
  readonly #token: number;
  readonly #manner: Manner;
  readonly #ending: Ending;
  readonly #socket: Upgraded;
  readonly #closed: Promise<void>;
  readonly #releaseCallbacks: Promise<void>[] = [];
  /** Sent without a callback: flush() reports their release. */
  readonly #silent: Piece[] = [];
  /** Not known to be taken by the kernel. */
  #underWay: Piece[] = [];
  #offset = 0;
  #least = 0;
  #writes = 0;
  #lastRelease = -1;
  /** What came back last, for a complaint. */
  #trail: string[] = [];
  #failed: string | undefined;

  constructor(world: World, chance: Chance, token: number) {
    this.#world = world;
    this.#chance = chance;
    this.#token = token;
    this.#manner = chooseManner(chance);
    this.#ending = chooseEnding(chance);
    this.#socket = this.#connect();
    this.#closed = new Promise((resolve) => this.#socket.once('close', () => resolve()));
    this.#socket.on('error', (error) => this.#onError(error));
    this.#socket.resume();
  }

  #connect(): Upgraded {
    const { target } = this.#world.order;
    const family = this.#chance.pick([4, 6] as const);
    const host = target.address[family];
    const to = { host, port: target.tcp[family], allowHalfOpen: true, ...KEEPALIVE };
    const zeroCopy = chooseOptions(this.#world, this.#chance, this.#manner);
    if (this.#chance.odds(0.5)) return connect({ ...to, zeroCopy });
    return enableZeroCopy(net.connect({ ...to, noDelay: this.#chance.odds(0.5) }), zeroCopy);
  }

  async run(): Promise<void> {
    const { ledger } = this.#world;
    const socket = this.#socket;
    ledger.add(`tcp reader ${this.#manner.reader}`);
    const rounds = this.#chance.between(1, 24);
    for (let i = 0; i < rounds && this.#usable; i++) await this.#round();
    this.#end();
    await this.#closed;
    await socket.zeroCopy.flush();
    for (const piece of this.#silent) piece.release();
    await Promise.all(this.#releaseCallbacks);
    const { pendingBytes, pendingSends } = socket.zeroCopy;
    if (pendingBytes !== 0 || pendingSends !== 0) {
      this.#fail(`flushed, and ${pendingBytes} bytes in ${pendingSends} sends are pending`);
    }
    this.#tell();
  }

  get #usable(): boolean {
    return this.#socket.writable && !this.#world.stopping;
  }

  #fail(what: string): void {
    const { reader } = this.#manner;
    this.#world.ledger.fail(
      `tcp, token ${this.#token}, reader ${reader}, ${this.#ending}: ${what}`,
    );
  }

  #onError(error: Error): void {
    const code = codeOf(error);
    this.#failed = code;
    this.#world.ledger.add(`tcp error ${code}`);
    if (code === ON_PURPOSE || isWant(this.#world, error)) return;
    if (RESET_CODES.has(code) && cuts(this.#manner)) return;
    this.#fail(`a connection failed without a cause: ${error.stack}`);
  }

  #tell(): void {
    const ended = this.#ending === 'end' || this.#ending === 'end with data';
    const clean = ended && this.#failed === undefined && !cuts(this.#manner);
    this.#world.ledger.add('tcp connections');
    this.#world.ledger.add('tcp bytes', this.#offset);
    this.#world.sent({ token: this.#token, least: this.#least, most: this.#offset, clean });
  }

  // --- writes --------------------------------------------------------------------------------------

  async #round(): Promise<void> {
    const chance = this.#chance;
    switch (chance.pick(['write', 'write', 'cork', 'silent', 'send', 'abort', 'text', 'turn'])) {
      case 'write':
        this.#write();
        break;
      case 'cork':
        this.#socket.cork();
        for (let left = chance.between(2, 8); left > 0; left--) this.#write();
        this.#socket.uncork();
        break;
      case 'silent':
        this.#writeSilently();
        break;
      case 'send':
        this.#send();
        break;
      case 'abort':
        await this.#sendAndAbort();
        break;
      case 'text':
        this.#writeText();
        break;
      case 'turn':
        await turn();
        break;
    }
    if (this.#socket.writableLength > chance.size(1, MOST_QUEUED_BYTES)) await this.#drained();
  }

  async #drained(): Promise<void> {
    const socket = this.#socket;
    if (!socket.writable) return;
    if (!socket.writableNeedDrain) return;
    await new Promise<void>((resolve) => {
      socket.once('drain', resolve);
      void this.#closed.then(resolve);
    });
    if (socket.writableLength > 0 || !socket.writable) return;
    const early = this.#chance.odds(0.5);
    if (early) for (const piece of this.#underWay) piece.accepted();
    this.#underWay = [];
  }

  #nextSize(): number {
    return this.#chance.odds(0.02) ? this.#chance.size(MIB, 4 * MIB) : this.#chance.size(1, MIB);
  }

  #fillNext(data: Buffer): void {
    const sequence = encodeManner(this.#manner);
    fill(data, { token: this.#token, sequence, length: 0 }, this.#offset);
    this.#offset += data.length;
  }

  #nextPiece(): Piece {
    // A reader that does not read holds what others would send again.
    const kept = this.#chance.odds(this.#manner.reader === 'fast' ? 0.4 : 0.02);
    const piece = kept
      ? this.#world.memory.take(KEPT_BYTES, 'kept')
      : this.#world.memory.take(this.#nextSize(), anyKind(this.#chance));
    this.#fillNext(piece.data);
    return piece;
  }

  /** A callback that must fire once, in the order of the writes. */
  #releaseCallback(what: string, release: () => void): (error?: Error | null) => void {
    const happened = this.#world.ledger.awaits(`tcp ${what} of token ${this.#token}`);
    const end = this.#offset;
    const number = this.#writes++;
    let settle: () => void = () => undefined;
    this.#releaseCallbacks.push(new Promise((resolve) => (settle = resolve)));
    return (error) => {
      release();
      happened();
      settle();
      this.#trail = [...this.#trail.slice(-7), `${number} ${what} ${error ? codeOf(error) : 'ok'}`];
      if (number < this.#lastRelease) {
        const { engine, reason } = this.#socket.zeroCopy;
        const how = `engine ${engine}, reason ${reason}, failed ${this.#failed}`;
        this.#fail(`release callback ${number} came late (${how}): ${this.#trail.join(', ')}`);
      }
      this.#lastRelease = number;
      // Node calls back without an error for a write that destroy() cancelled
      // (lib/internal/stream_base_commons.js: onWriteComplete).
      if (!error && !this.#socket.destroyed) this.#least = Math.max(this.#least, end);
    };
  }

  #write(): void {
    const piece = this.#nextPiece();
    this.#underWay.push(piece);
    this.#world.ledger.add('tcp writes');
    this.#socket.write(
      piece.data,
      this.#releaseCallback('write', () => piece.release()),
    );
  }

  #writeSilently(): void {
    // Of a pool, the piece would be freed only at the end of the connection.
    const piece = this.#world.memory.take(this.#nextSize(), 'plain');
    this.#fillNext(piece.data);
    this.#silent.push(piece);
    this.#world.ledger.add('tcp writes without a callback');
    this.#socket.write(piece.data);
  }

  #writeText(): void {
    const data = Buffer.allocUnsafe(this.#chance.size(1, 65_536));
    this.#fillNext(data);
    this.#world.ledger.add('tcp strings');
    this.#socket.write(
      data.toString('latin1'),
      'latin1',
      this.#releaseCallback('string', () => undefined),
    );
  }

  #send(): void {
    const pieces = Array.from({ length: this.#chance.between(1, 4) }, () => this.#nextPiece());
    this.#underWay.push(...pieces);
    const { ledger } = this.#world;
    ledger.add('tcp sends');
    const bytes = pieces.reduce((sum, { data }) => sum + data.length, 0);
    const happened = ledger.awaits(`tcp send of token ${this.#token}`);
    const end = this.#offset;
    const back = (): void => {
      for (const piece of pieces) piece.release();
      happened();
    };
    const sent = this.#socket.send(pieces.map(({ data }) => data)).then(
      (report) => {
        back();
        if (!this.#socket.destroyed) this.#least = Math.max(this.#least, end);
        const { zeroCopyBytes, copiedBytes, kernelCopiedBytes, unknownBytes } = report;
        const sum = zeroCopyBytes + copiedBytes + kernelCopiedBytes + unknownBytes;
        if (sum !== bytes || report.bytes !== bytes) {
          this.#fail(`${bytes} bytes were sent, the report has ${JSON.stringify(report)}`);
        }
      },
      () => back(),
    );
    this.#releaseCallbacks.push(sent);
  }

  /** What a signal cancelled was not sent: the stream goes on where it was. */
  async #sendAndAbort(): Promise<void> {
    const before = this.#offset;
    const piece = this.#nextPiece();
    const controller = new AbortController();
    const happened = this.#world.ledger.awaits(`tcp send with a signal of token ${this.#token}`);
    // Listened to at once: the connection may fail before the signal.
    const settled = this.#socket.send(piece.data, { signal: controller.signal }).then(
      () => {
        this.#world.ledger.add('tcp sends that a signal came too late for');
        if (!this.#socket.destroyed) this.#least = this.#offset;
      },
      (error: Error) => {
        if (error.name !== 'AbortError') return;
        this.#world.ledger.add('tcp sends aborted');
        this.#offset = before;
      },
    );
    if (this.#chance.odds(0.3)) await turn();
    controller.abort();
    await settled;
    piece.release();
    happened();
  }

  // --- ends ----------------------------------------------------------------------------------------

  #end(): void {
    const socket = this.#socket;
    this.#world.ledger.add(`tcp ending: ${this.#ending}`);
    if (socket.destroyed) return;
    switch (this.#ending) {
      case 'end':
        socket.end();
        break;
      case 'end with data':
        this.#endWithData();
        break;
      case 'destroy':
        socket.destroy();
        break;
      case 'destroy with an error':
        socket.destroy(Object.assign(new Error('on purpose'), { code: ON_PURPOSE }));
        break;
      case 'reset':
        socket.resetAndDestroy();
        break;
      case 'destroySoon':
        socket.destroySoon();
        break;
    }
  }

  #endWithData(): void {
    if (!this.#socket.writable) {
      this.#socket.end();
      return;
    }
    const piece = this.#nextPiece();
    this.#socket.end(
      piece.data,
      this.#releaseCallback('end', () => piece.release()),
    );
  }
}

export const tcpEpisode: Episode = (world, chance, token) =>
  new Connection(world, chance, token).run();
