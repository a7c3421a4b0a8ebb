// The io_uring engine: a job waits for the end of the turn, when the ring asks for one request at a
// time and submits those of all sockets together. There is no error queue: libuv never wakes for a
// notification.
import { constants as osConstants } from 'node:os';
import type { Reason, Segment } from '../engine.js';
import { bufferDetached, systemError } from '../errors.js';
import { cadenceBytes } from '../policy/cadence.js';
import { NO_SLOT } from '../registered-memory.js';
import type { Prepared, RingSender, SubmitRing } from '../submit-ring.js';
import { alikeBytes, foundUnpinnable, whyCopied } from '../unpinnable.js';
import type { EngineHost } from './engine-host.js';
import type { JobCursor } from './job-cursor.js';
import { StreamEngine } from './stream-engine.js';

const { EAGAIN, EBUSY, EFAULT, EINTR, EINVAL, ENOBUFS, ENOMEM, EOPNOTSUPP } = osConstants.errno;
/** UIO_MAXIOV: one message takes no more pieces. */
const MAX_PIECES = 1024;

/** A request that has no result yet. */
interface Asked {
  readonly wanted: number;
  /** Why the bytes are copied; undefined when they are not. */
  readonly copying: Reason | undefined;
  /** No earlier send shares a packet with it. */
  readonly isHead: boolean;
  readonly endsRecord: boolean;
  /** Of the registered memory that it goes from; NO_SLOT: of none, or a pool's. */
  readonly slot: number;
}

/** Engines with bytes in flight: what one may leave unmarked shrinks with their number. */
let busyEngines = 0;

export class IoUringEngine extends StreamEngine implements RingSender {
  readonly name = 'io_uring';
  readonly #ring: SubmitRing;
  #asked: Asked | undefined;
  /** What the last request accepted, or -errno. */
  #accepted = 0;
  /** The last request has its result. */
  #answered = false;
  #failure: Error | undefined;
  /** The ring asked for a request, and nobody drew the consequences yet. */
  #unsettled = false;
  /** Zero-copy bytes since the last send marked with MSG_EOR. */
  #sinceMark = 0;
  #marked = true;
  #busy = false;
  /** Why the next request copies, whatever its segment says: the last one could not go without. */
  #fallback: Reason | undefined;
  /** What the last request may have failed for with EFAULT: the next one goes through it and no further. */
  #suspect: Uint8Array | undefined;

  constructor(ring: SubmitRing, port: number, host: EngineHost) {
    super(ring.reactor, port, host, 0);
    this.#ring = ring;
  }

  // --- RingSender -----------------------------------------------------------------------------

  prepare(): Prepared {
    this.#unsettled = true;
    const { cursor } = this;
    const segment = cursor?.segment;
    if (cursor === undefined || segment === undefined || this.waiting) return 'nothing';
    // Since the write a buffer may have been detached, or resized.
    if (cursor.changedLength) {
      this.#failure = bufferDetached();
      return 'nothing';
    }
    const asked = this.#ask(cursor, segment);
    if (asked === undefined) return 'nothing';
    const { SEND_ZEROCOPY, SEND_MORE, SEND_EOR } = this.reactor.constants;
    const isLast = !cursor.hasMoreSegments && asked.wanted === cursor.left;
    const flags =
      (asked.copying === undefined ? SEND_ZEROCOPY : 0) |
      (isLast ? 0 : SEND_MORE) |
      (asked.endsRecord ? SEND_EOR : 0);
    const { native } = this.reactor;
    const { piece, offset } = cursor;
    const { pieces } = segment;
    const { wanted, slot } = asked;
    const error = native.prepareSend(this.port, pieces, piece, offset, wanted, flags, slot);
    if (error === -EBUSY) {
      this.#unsettled = false;
      return 'full';
    }
    if (error < 0) {
      this.#failure = error === -EFAULT ? bufferDetached() : systemError(error, 'write');
      return 'nothing';
    }
    this.#asked = asked;
    this.#answered = false;
    if (asked.copying === undefined) this.#ring.askedBytes += asked.wanted;
    return 'prepared';
  }

  onResult(accepted: number, more: boolean): void {
    const asked = this.#asked;
    if (asked === undefined) return;
    this.#accepted = accepted;
    this.#answered = true;
    if (asked.copying === undefined) this.#ring.askedBytes -= asked.wanted;
    if (asked.copying !== undefined) {
      if (accepted > 0) this.bookCopied(accepted, asked.copying);
      return;
    }
    // Without a notification to come the kernel has let go of the bytes already.
    if (more) this.#bookSent(Math.max(0, accepted), asked);
    else if (accepted > 0) this.bookCopied(accepted, 'send-failed');
  }

  onResultsDone(): void {
    // A write of a neighbour's callback settled it already.
    if (!this.#unsettled) return;
    const asked = this.#asked;
    if (asked !== undefined && !this.#answered) return;
    this.#unsettled = false;
    this.queued = false;
    const failure = this.#failure;
    this.#failure = undefined;
    this.#asked = undefined;
    if (failure !== undefined) return this.settleJob(failure);
    const { cursor } = this;
    if (cursor === undefined || !this.open) return;
    if (asked !== undefined && !this.#accept(asked, cursor)) return;
    if (cursor.segment === undefined) this.settleJob();
    else if (!this.waiting) this.#enqueue();
  }

  onResultsDoneQuietly(): void {
    this.host.settlingQuietly(() => this.onResultsDone());
  }

  sendWithoutRing(): void {
    this.#unsettled = true;
    const { cursor } = this;
    if (cursor === undefined) return;
    const { native, constants } = this.reactor;
    while (cursor.segment !== undefined && !this.waiting) {
      const { segment, left, piece, offset } = cursor;
      const more = cursor.hasMoreSegments ? constants.SEND_MORE : 0;
      let accepted = native.send(this.port, segment.pieces, piece, offset, left, more);
      if (accepted === -EAGAIN || accepted === -ENOBUFS) accepted = this.waitForSpace();
      else if (accepted > 0) this.bookCopied(accepted, segment.reason ?? 'io_uring-refused');
      if (accepted >= 0) continue;
      const isGone = accepted === -EFAULT && cursor.changedLength;
      this.#failure = isGone ? bufferDetached() : systemError(accepted, 'write');
      return;
    }
  }

  // --- StreamEngine ---------------------------------------------------------------------------

  protected override start(): void {
    this.#suspect = undefined;
    if (this.#ring.sendsAtOnce) {
      this.#ring.sendNow(this);
      this.onResultsDone();
    } else {
      this.#enqueue();
    }
  }

  #enqueue(): void {
    this.queued = true;
    this.#ring.enqueue(this);
  }

  /** Sends what was written in this turn, and what the stream holds behind it. Runs no user code. */
  override sendWritten(): void {
    this.#ring.flushNow(this);
  }

  protected override reap(): void {
    this.#ring.reap();
  }

  protected override isTold(
    entry: { readonly telling: boolean },
    _isFirst: boolean,
    copied: boolean,
  ): boolean {
    // A send that shares its packet with an earlier one is reported as copied although nothing was
    // (io_uring/notif.c:io_notif_tw_complete: it never sees a packet of its own). That it was not
    // copied is never said wrongly.
    return !copied || entry.telling;
  }

  override onRange(lo: number, hi: number, copied: boolean): void {
    super.onRange(lo, hi, copied);
    if (this.inflight.pendingSends > 0 || !this.#busy) return;
    this.#busy = false;
    busyEngines--;
  }

  // --- sending --------------------------------------------------------------------------------

  // The next request; undefined: the job has failed.
  #ask(cursor: JobCursor, segment: Segment): Asked | undefined {
    const copying = this.#whyCopied(cursor, segment);
    const slot = copying === undefined ? this.#slotFor(cursor, segment) : NO_SLOT;
    if (slot === NO_SLOT) return this.#plan(cursor, copying, NO_SLOT);
    const last = segment.pieces.length - 1;
    if (cursor.piece < last && !this.#sendHead(cursor, segment)) return undefined;
    return this.#plan(cursor, copying, cursor.piece === last ? slot : NO_SLOT);
  }

  #whyCopied(cursor: JobCursor, { zeroCopy, reason }: Segment): Reason | undefined {
    if (!zeroCopy) return reason ?? 'below-threshold';
    return this.#fallback ?? whyCopied(this.host, cursor);
  }

  #plan(cursor: JobCursor, copying: Reason | undefined, slot: number): Asked {
    const wanted =
      this.#suspect === undefined
        ? alikeBytes(cursor, this.host.minimumChunk)
        : cursor.bytesThrough(this.#suspect);
    if (copying !== undefined)
      return { wanted, copying, isHead: false, endsRecord: false, slot: NO_SLOT };
    const allowed = this.withinRoom(wanted, this.#roomFor(wanted));
    if (allowed === 0)
      return { wanted, copying: 'budget', isHead: false, endsRecord: false, slot: NO_SLOT };
    const isHead = this.#marked || this.inflight.pendingSends === 0;
    if (isHead) this.#sinceMark = 0;
    const cadence = cadenceBytes(this.reactor.processBudget, busyEngines);
    const endsRecord = this.#sinceMark + allowed >= cadence;
    return { wanted: allowed, copying: undefined, isHead, endsRecord, slot };
  }

  // The slot of the registered memory that the next request goes from: of a body at the end of its
  // segment, with nothing or a head in front of it.
  #slotFor({ piece, offset }: JobCursor, { pieces }: Segment): number {
    const last = pieces.length - 1;
    if (last - piece > 1) return NO_SLOT;
    if (piece < last && (pieces[piece] as Uint8Array).length >= this.host.minimumChunk)
      return NO_SLOT;
    const body = pieces[last] as Uint8Array;
    const { memory } = this.#ring;
    // What goes on was counted when it began.
    return piece < last || offset === 0 ? memory.slotFor(body) : memory.slotOf(body);
  }

  // One request names one slot, so what is in front of a body is copied by a call of its own. What the
  // socket does not take of it goes with the body, as if there were no slot. False: the job has failed.
  #sendHead(cursor: JobCursor, { pieces }: Segment): boolean {
    const { native, constants } = this.reactor;
    const { piece, offset } = cursor;
    const length = (pieces[piece] as Uint8Array).length - offset;
    const accepted = native.send(this.port, pieces, piece, offset, length, constants.SEND_MORE);
    if (accepted > 0) this.bookCopied(accepted, 'below-threshold');
    if (accepted >= 0 || [EAGAIN, EINTR, ENOBUFS, ENOMEM].includes(-accepted)) return true;
    this.#failure = systemError(accepted, 'write');
    return false;
  }

  #roomFor(wanted: number): number {
    // What others ask for in the same submit is not pinned yet, and will be.
    const room = this.room(this.#ring.askedBytes);
    if (room >= wanted || this.inflight.pendingSends === 0) return room;
    this.reap();
    return this.room(this.#ring.askedBytes);
  }

  #bookSent(accepted: number, asked: Asked): void {
    this.bookZeroCopy(accepted, asked.isHead);
    if (asked.slot !== NO_SLOT) this.host.counters.registeredSends++;
    if (!this.#busy) {
      this.#busy = true;
      busyEngines++;
    }
    this.#sinceMark += accepted;
    // A part does not end the record: the kernel marks the last byte only (net/ipv4/tcp.c:
    // tcp_sendmsg_locked).
    this.#marked = asked.endsRecord && accepted === asked.wanted;
  }

  // Draws the consequences of a result. False: the job is settled.
  #accept(asked: Asked, cursor: JobCursor): boolean {
    const accepted = this.#accepted;
    const suspect = this.#suspect;
    this.#fallback = this.#suspect = undefined;
    if (accepted === -EFAULT && asked.copying === undefined) {
      this.#suspect = cursor.nextLarge(this.host.minimumChunk);
      if (asked.wanted <= cursor.bytesThrough(this.#suspect)) this.#fallback = 'unpinnable-memory';
      return true;
    }
    if (accepted > 0 && asked.copying === 'unpinnable-memory' && suspect !== undefined) {
      foundUnpinnable(this.host, suspect);
    }
    if (accepted < 0 && accepted !== -EAGAIN && accepted !== -EINTR) {
      this.#fallback = this.#fallbackFor(accepted, asked);
      if (this.#fallback !== undefined) return true;
      this.settleJob(systemError(accepted, 'write'));
      return false;
    }
    if (accepted === -EINTR || accepted === asked.wanted) return true;
    const pieces = cursor.segment?.pieces.length ?? 0;
    if (accepted > 0 && pieces - cursor.piece > MAX_PIECES) return true;
    if (accepted > 0) this.host.counters.partialSends++;
    const armed = this.waitForSpace();
    if (armed >= 0) return true;
    this.settleJob(systemError(armed, 'write'));
    return false;
  }

  // Why the same bytes are sent by copy; undefined when the connection is dead.
  #fallbackFor(error: number, asked: Asked): Reason | undefined {
    if (asked.copying !== undefined) return undefined;
    if (error === -ENOBUFS || error === -ENOMEM) {
      this.host.counters.enobufs++;
      return this.outOfBuffers();
    }
    if (error !== -EOPNOTSUPP && error !== -EINVAL) return undefined;
    this.host.engineRefused(this.name);
    return 'kernel-unsupported';
  }
}
