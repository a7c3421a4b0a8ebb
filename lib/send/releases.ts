// What the kernel still references of one port's writes, and what waits for the release: chunks, callbacks, reports.
// Checks when a callback waits, with the next write, or in the sweep over all connections.
import type { AsyncResource } from 'node:async_hooks';
import type net from 'node:net';
import { warnDetachedInFlight } from '../memory/detached.js';
import type { Reactor } from '../native/reactor.js';
import * as word from '../native/stream-words.js';
import { nextTick, nowMs } from '../node/clock.js';
import type { Counters } from '../observe/counters.js';
import type { StreamEngineName } from './decide.js';
import type { Health } from './health.js';
import type { ResolvedOptions } from './options.js';
import { ReleaseCallbacks } from './release-callbacks.js';
import { isWatched, Reports, type Followed } from './reports.js';
import type { Chunks, Kept, Write, WriteCallback } from './write.js';

const FEWEST_PLACES = 8;

/** What a port belongs to. */
export interface PortHost {
  readonly socket: net.Socket;
  readonly health: Health;
  readonly options: ResolvedOptions;
  readonly counting: Counters;
  /** False: the choice of an engine is to be made anew. */
  steady: boolean;
  /** Nothing is pending and the descriptor is closed. */
  ended(port: unknown): void;
}

export class Releases {
  readonly callbacks = new ReleaseCallbacks();
  /** Somebody waits for a release. */
  awaited = false;
  /** Sends, and copies among them, that were reported to `health`. */
  #knownSends = 0;
  knownCopies = 0;
  // The chunks of writes, in the order of their ids: a ring, `count` entries from `head` on.
  count = 0;
  /** Those among them whose memory detectMutation is to compare. */
  watches = 0;
  #head = 0;
  #ids: number[] = new Array<number>(FEWEST_PLACES).fill(0);
  #chunks: (Chunks | undefined)[] = new Array<Chunks | undefined>(FEWEST_PLACES).fill(undefined);
  #kept: (Kept | undefined)[] = new Array<Kept | undefined>(FEWEST_PLACES).fill(undefined);
  readonly #reports: Reports;
  /** The addon reports each id. */
  #reporting = false;
  #eager = false;
  #looks = false;
  #acceptedMs = NaN;

  constructor(
    readonly reactor: Reactor,
    readonly index: number,
    readonly words: Float64Array,
    readonly at: number,
    engine: StreamEngineName,
    readonly host: PortHost,
  ) {
    this.#reports = new Reports(host.socket, engine);
  }

  #word(which: number): number {
    return this.words[this.at + which] as number;
  }

  // --- what is sent -----------------------------------------------------------------------------

  /**
   * Keeps the chunks of a write until its last id is released.
   * @param kept what goes with them
   */
  hold(lastId: number, chunks: Chunks, kept: Kept | undefined): void {
    if (this.count === this.#ids.length) this.#grow();
    const place = (this.#head + this.count++) & (this.#ids.length - 1);
    this.#ids[place] = lastId;
    this.#chunks[place] = chunks;
    if (kept === undefined) return;
    this.#kept[place] = kept;
    if (kept.watch !== undefined) this.watches++;
  }

  /** The flag of a write that is to say what became of its parts. */
  logs(): number {
    if (!this.#reporting) this.reactor.native.setReporting(this.index, true);
    this.#reporting = true;
    return this.reactor.constants.WRITE_LOGS;
  }

  /** Takes in what was logged of a write. @param from bytes of it that went before */
  book(followed: Followed | undefined, from: number, write: Write): void {
    const { log } = this.reactor;
    if (!this.#reporting || log[0] === 0) return;
    this.#reports.book(log, followed, from, write.refused ?? 'kernel-unsupported');
    log[0] = 0;
  }

  // --- what is released -------------------------------------------------------------------------

  /** Calls `callback` when everything accepted so far is released. */
  callAtRelease(
    callback: WriteCallback,
    receiver: unknown,
    error?: Error | null,
    resource?: AsyncResource,
  ): void {
    this.#acceptedMs = nowMs();
    this.awaited = true;
    this.callbacks.add(this.#word(word.NEXT_ID), callback, receiver, error, resource);
    if (this.#word(word.PENDING_SENDS) > 0) this.setEager(true);
    this.settle();
  }

  /** Drops what is released. */
  drop(): void {
    this.dropBelow(this.#word(word.RELEASED_BELOW));
  }

  /** The same where the caller has the word. */
  dropBelow(releasedBelow: number): void {
    const mask = this.#ids.length - 1;
    let detached = 0;
    while (this.count > 0 && (this.#ids[this.#head] as number) < releasedBelow) {
      const place = this.#head;
      const chunks = this.#chunks[place] as Chunks;
      const kept = this.#kept[place];
      this.#chunks[place] = undefined;
      this.#head = (place + 1) & mask;
      this.count--;
      if (chunks.length === 0 || (Array.isArray(chunks) && isDetached(chunks))) detached++;
      if (kept === undefined) continue;
      this.#kept[place] = undefined;
      if (kept.watch !== undefined) this.watches--;
      kept.release();
    }
    if (detached === 0) return;
    this.host.counting.detachedBuffers += detached;
    warnDetachedInFlight();
  }

  #grow(): void {
    const places = this.#ids.length;
    const order = Array.from({ length: places }, (_, at) => (this.#head + at) & (places - 1));
    const bigger = <T>(old: readonly T[], empty: T): T[] => [
      ...order.map((place) => old[place] as T),
      ...new Array<T>(places).fill(empty),
    ];
    this.#ids = bigger(this.#ids, 0);
    this.#chunks = bigger(this.#chunks, undefined);
    this.#kept = bigger(this.#kept, undefined);
    this.#head = 0;
  }

  /** Runs the callbacks that are due. */
  settle(): void {
    // What callbacks report is complete before they run.
    if (this.#reporting && this.#reports.any) this.reactor.reap(this.index);
    this.drop();
    this.callbacks.settle(this.#word(word.RELEASED_BELOW));
    this.awaited = this.callbacks.size > 0;
  }

  /** A write may have read releases that callbacks wait for. Callbacks are user code and must not run inside it. */
  lookSoon(look: () => void): void {
    if (this.#looks || !this.callbacks.isDue(this.#word(word.RELEASED_BELOW))) return;
    this.#looks = true;
    nextTick(() => {
      this.#looks = false;
      look();
    });
  }

  /** Callbacks are about to learn of releases, and no write waits. */
  tellWriter(): void {
    if (this.callbacks.size === 0) return;
    const { health, options } = this.host;
    const waitMs = this.reactor.nowMs - this.#acceptedMs;
    health.handingBack(options, waitMs, this.#word(word.PENDING_SENDS));
  }

  /** An id was released. @param copiedFlagIsReliable whether `copied` says anything about it */
  released(id: number, copied: boolean, copiedFlagIsReliable: boolean): void {
    this.#reports.released(id, copied, copiedFlagIsReliable);
    if (this.#reports.any || !this.#reporting || isWatched()) return;
    // Nothing follows single ids any more: the addon need not report them.
    this.#reporting = false;
    this.reactor.native.setReporting(this.index, false);
  }

  /** Whether each release is reported at once. */
  setEager(eager: boolean): void {
    if (this.#eager === eager) return;
    this.#eager = eager;
    this.reactor.native.setEager(this.index, eager);
  }

  /** The kernel reported how sends went: updates the route. */
  feedHealth(): void {
    const sends = this.words[this.at + word.KNOWN_SENDS] as number;
    const probe = this.words[this.at + word.PROBE] as number;
    if (sends === this.#knownSends && probe === 0) return;
    const copies = this.words[this.at + word.KNOWN_COPIES] as number;
    const answer = probe === 0 ? undefined : probe === 2 ? 'copied' : 'sent';
    const newSends = sends - this.#knownSends;
    const newCopies = copies - this.knownCopies;
    this.#knownSends = sends;
    this.knownCopies = copies;
    this.words[this.at + word.PROBE] = 0;
    this.host.health.record(newSends, newCopies, answer, this.host.options.insists);
  }

  /** Nothing is pending any more. */
  end(): void {
    this.feedHealth();
    if (this.#reporting && this.#reports.any) this.reactor.reap(this.index);
    this.dropBelow(Infinity);
  }
}

function isDetached(chunks: readonly Uint8Array[]): boolean {
  return chunks.some(({ length }) => length === 0);
}
