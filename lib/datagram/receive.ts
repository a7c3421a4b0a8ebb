// Receives the datagrams of one socket in batches (recvmmsg), and delivers them a few at a time to listeners and
// loops, so that a flood does not starve timers and other sockets.
import { AsyncResource } from 'node:async_hooks';
import type { EventEmitter } from 'node:events';
import { constants } from 'node:os';
import { systemError } from '../errors.js';
import { formatAddress } from '../native/sockaddr.js';
import { rethrowLater, runInContext } from '../node/callbacks.js';
import { nextTick, nowMs, setImmediate } from '../node/clock.js';
import type { DatagramCounters } from '../observe/counters.js';
import { Fifo } from '../send/fifo.js';
import type { DatagramWords } from './metadata.js';

const { EAGAIN } = constants.errno;

/** Messages delivered in one turn of the event loop: as many as libuv reads (src/unix/udp.c:uv__udp_recvmsg). */
const MESSAGES_PER_TURN = 32;

/** How long the listeners of one turn may take together, and after how many messages to check: timers and other
 * sockets wait meanwhile. */
const DELIVERY_MS = 10;
const LOOK_AT_CLOCK = 4;

/** A received datagram. */
export interface Arrival<Info> {
  /** Yours: nothing else uses its bytes. */
  readonly data: Buffer;
  readonly rinfo: Info;
}

/** What the receiver needs of its socket. */
export interface DatagramOwner<Info> extends EventEmitter {
  /** Reads datagram `slot` from the shared words; calls `add` for each datagram it stands for. */
  describe(slot: number, add: (arrival: Arrival<Info>) => void): void;
  close(): unknown;
}

export class DatagramReceiver<Info> {
  readonly #socket: DatagramOwner<Info>;
  readonly #words: DatagramWords;
  readonly #counters: DatagramCounters;
  readonly #resource = new AsyncResource('MSG_ZEROCOPY_DATAGRAM');
  readonly #iterators = new Set<DatagramIterator<Arrival<Info>>>();
  #port: number | undefined;
  #limit = 0;
  #isWanted = false;
  #isClosed = false;
  #arrivals: Arrival<Info>[] = [];
  /** The next of the arrivals. */
  #next = 0;
  /** The error of the last receive, behind the arrivals; 0: none. */
  #failed = 0;
  /** The kernel may have more, without another event. */
  #more = false;
  #continues = false;
  readonly #add = (arrival: Arrival<Info>): void => void this.#arrivals.push(arrival);
  readonly #continue = (): void => {
    this.#continues = !this.#handOver();
    if (this.#continues) setImmediate(this.#continue);
  };

  constructor(socket: DatagramOwner<Info>, words: DatagramWords, counters: DatagramCounters) {
    this.#socket = socket;
    this.#words = words;
    this.#counters = counters;
  }

  /** The socket has a descriptor. @param limit datagrams for one system call */
  open(port: number, limit: number): void {
    this.#port = port;
    this.#limit = limit;
  }

  /** Stops receiving and delivering. */
  close(): void {
    if (this.#port !== undefined) this.#words.native.setReading(this.#port, false);
    this.#isClosed = true;
  }

  /** The socket has ended: ends its loops, too. */
  end(): void {
    for (const iterator of this.#iterators) iterator.end();
  }

  /** Starts receiving, for 'message' listeners. */
  start(): void {
    this.#isWanted = true;
    this.#updateReading();
  }

  iterate(): DatagramIterator<Arrival<Info>> {
    const iterator: DatagramIterator<Arrival<Info>> = new DatagramIterator(
      this.#socket,
      () => this.#updateReading(),
      (left) => {
        this.#iterators.delete(left);
        this.#updateReading();
      },
    );
    if (this.#isClosed) iterator.end();
    else this.#iterators.add(iterator);
    return iterator;
  }

  emitError(error: Error): void {
    runInContext(this.#resource, () => this.#socket.emit('error', error), undefined);
  }

  get #isReceiving(): boolean {
    if (!this.#isWanted || this.#isClosed) return false;
    for (const iterator of this.#iterators) if (iterator.isFull) return false;
    return true;
  }

  #updateReading(): void {
    if (this.#port === undefined || this.#isClosed) return;
    const set = this.#words.native.setReading(this.#port, this.#isReceiving);
    if (set >= 0) return;
    // Without an epoll entry nothing would ever arrive (ENOSPC at fs.epoll.max_user_watches, ENOMEM).
    nextTick(() => {
      if (!this.#isClosed) this.emitError(systemError(set, 'epoll_ctl'));
    });
  }

  /** Receives, and delivers one turn's share; the rest follows in the next turns. */
  receive(): void {
    if (this.#continues) {
      // Earlier arrivals go first.
      this.#more = true;
      return;
    }
    if (!this.#isReceiving) return;
    this.#fill();
    if (this.#handOver()) return;
    this.#continues = true;
    // An immediate set now would still run in this turn.
    setImmediate(() => setImmediate(this.#continue));
  }

  #fill(): void {
    let count: number;
    do {
      count = this.#words.receive(this.#port as number, this.#limit);
      if (count < 0) break;
      for (let slot = 0; slot < count; slot++) this.#socket.describe(slot, this.#add);
    } while (count === this.#limit && this.#arrivals.length < MESSAGES_PER_TURN);
    // A short batch emptied the queue; behind an error there may be another, or datagrams.
    this.#more = count === this.#limit || (count < 0 && count !== -EAGAIN);
    if (count < 0 && count !== -EAGAIN) this.#failed = count;
  }

  // Whether everything is delivered.
  #handOver(): boolean {
    if (this.#arrivals.length > 0) {
      this.#next = this.#resource.runInAsyncScope(this.#deliver, this);
      for (const iterator of this.#iterators) if (iterator.isFull) this.#updateReading();
    }
    if (this.#next < this.#arrivals.length) return false;
    this.#arrivals = [];
    this.#next = 0;
    const failed = this.#failed;
    this.#failed = 0;
    if (failed < 0 && !this.#isClosed) this.emitError(systemError(failed, 'recvmsg'));
    if (this.#more) this.#updateReading();
    return true;
  }

  // Runs user code. @returns the index of the arrival where it stopped
  #deliver(): number {
    const arrivals = this.#arrivals;
    const from = this.#next;
    const end = Math.min(arrivals.length, from + MESSAGES_PER_TURN);
    const startedMs = nowMs();
    for (let next = from; next < end; next++) {
      if (this.#isClosed) return arrivals.length;
      const arrival = arrivals[next] as Arrival<Info>;
      this.#counters.receivedDatagrams++;
      for (const iterator of this.#iterators) iterator.push(arrival);
      try {
        this.#socket.emit('message', arrival.data, arrival.rinfo);
      } catch (thrown) {
        rethrowLater(thrown);
      }
      const looks = (next - from) % LOOK_AT_CLOCK === LOOK_AT_CLOCK - 1;
      if (looks && nowMs() - startedMs > DELIVERY_MS) return next + 1;
    }
    return end;
  }
}

/** Datagrams that may wait for the loop before the socket stops receiving: about four batches. Later ones wait in
 * the kernel's buffer, which drops and counts what does not fit. */
const MOST_WAITING = 256;

interface Taker<Item> {
  readonly resolve: (result: IteratorResult<Item>) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Datagrams for `for await`: a bounded queue between the socket and the loop. As with events.on(), the loop rejects
 * with the socket's 'error'.
 */
export class DatagramIterator<Item> implements AsyncIterableIterator<Item> {
  readonly #items = new Fifo<Item>();
  #takers: Taker<Item>[] = [];
  #ended = false;
  /** The error that the loop rejects with once the queue is empty. */
  #error: Error | undefined;
  readonly #socket: EventEmitter;
  readonly #changed: () => void;
  readonly #left: (iterator: DatagramIterator<Item>) => void;

  /**
   * @param socket whose 'error' the loop rejects with
   * @param changed called when isFull may have changed
   * @param left called when the loop ends
   */
  constructor(
    socket: EventEmitter,
    changed: () => void,
    left: (iterator: DatagramIterator<Item>) => void,
  ) {
    this.#socket = socket;
    this.#changed = changed;
    this.#left = left;
    socket.on('error', this.#fail);
  }

  get isFull(): boolean {
    return this.#items.size >= MOST_WAITING;
  }

  push(item: Item): void {
    const taker = this.#takers.shift();
    if (taker === undefined) this.#items.push(item);
    else taker.resolve({ done: false, value: item });
  }

  /** The socket is closed. Delivers what waits. */
  end(): void {
    this.#ended = true;
    this.#socket.off('error', this.#fail);
    for (const taker of this.#takers.splice(0)) taker.resolve({ done: true, value: undefined });
  }

  readonly #fail = (error: Error): void => {
    const taker = this.#takers.shift();
    if (taker === undefined) this.#error = error;
    else taker.reject(error);
    this.end();
    this.#left(this);
  };

  next(): Promise<IteratorResult<Item>> {
    if (this.#items.size > 0) {
      const wasFull = this.isFull;
      const value = this.#items.shift();
      if (wasFull && !this.isFull) this.#changed();
      return Promise.resolve({ done: false, value });
    }
    const error = this.#error;
    if (error !== undefined) {
      this.#error = undefined;
      return Promise.reject(error);
    }
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.#takers.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<Item>> {
    this.#items.clear();
    this.#error = undefined;
    this.end();
    this.#left(this);
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** Decodes the peers of received datagrams, once for as long as they repeat. */
export class PeerNames<Name> {
  readonly #words: DatagramWords;
  readonly #decode: (name: Buffer) => Name | undefined;
  #lastWords: Uint32Array | undefined;
  #last: Name | undefined;

  constructor(words: DatagramWords, decode: (name: Buffer) => Name | undefined) {
    this.#words = words;
    this.#decode = decode;
  }

  /** The sender of datagram `slot`; undefined if the kernel did not say. */
  of(slot: number): Name | undefined {
    if (this.#lastWords !== undefined && this.#words.sameName(slot, this.#lastWords)) {
      return this.#last;
    }
    this.#lastWords = this.#words.copyName(slot);
    this.#last = this.#decode(this.#words.name(slot));
    return this.#last;
  }
}

/** What to report of a received IP datagram, besides its sender. */
/** Which details of received datagrams are reported. */
export interface PacketInfoOptions {
  /** Fills `rinfo.destination` and `rinfo.interfaceIndex` (IP_PKTINFO). Default false. */
  packetInfo?: boolean;
  /** Fills `rinfo.tos` (IP_RECVTOS, IPV6_RECVTCLASS). Default false. */
  receiveTos?: boolean;
}

/** Details of a received datagram that PacketInfoOptions ask for. */
export interface PacketInfo {
  /** The local address that it was sent to. */
  destination?: string;
  /** Index of the interface that received it. */
  interfaceIndex?: number;
  /** DSCP << 2 | ECN. */
  tos?: number;
}

/** Adds to `rinfo` what the options ask for. */
export function addPacketInfo(
  rinfo: PacketInfo,
  words: DatagramWords,
  slot: number,
  options: PacketInfoOptions,
): void {
  if (options.receiveTos) {
    const tos = words.tos(slot);
    if (tos !== undefined) rinfo.tos = tos;
  }
  if (!options.packetInfo) return;
  const destination = words.destination(slot);
  if (destination !== undefined) rinfo.destination = formatAddress(destination);
  rinfo.interfaceIndex = words.interfaceIndex(slot);
}
