// The io_uring engine: sends a job in submit(), one request after the other, each with its result. There is
// no error queue: libuv never wakes for a notification.
import { constants as osConstants } from 'node:os';
import type { Reason } from '../../names.js';
import type { Segment } from '../job.js';
import { bufferDetached, systemError } from '../../errors.js';
import { cadenceBytes } from '../../policy/cadence.js';
import { NO_SLOT } from '../../memory/registered-memory.js';
import type { SubmitRing } from '../../native/submit-ring.js';
import { alikeBytes, foundUnpinnable, whyCopied } from '../unpinnable.js';
import type { EngineHost } from './engine-host.js';
import type { JobCursor } from './job-cursor.js';
import { StreamEngine } from './stream-engine.js';

const { EAGAIN, ECANCELED, EFAULT, EINTR, EINVAL, ENOBUFS, ENOMEM, EOPNOTSUPP } = osConstants.errno;
/** UIO_MAXIOV: one message takes no more pieces. */
const MAX_PIECES = 1024;
/** A request's length is 32 bits, which the kernel takes as signed (io_uring/net.c). */
const MAX_REQUEST_BYTES = 2 ** 30;
/**
 * A program that writes without returning to the event loop is told of no release, so notifications are read
 * after this many bytes (test/rig/io-uring-latency.test.ts).
 */
const BYTES_BETWEEN_REAPS = 1024 * 1024;

/** What a request asks for. */
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

export class IoUringEngine extends StreamEngine {
  readonly name = 'io_uring';
  readonly #ring: SubmitRing;
  /** Zero-copy bytes since the last send marked with MSG_EOR. */
  #sinceMark = 0;
  #marked = true;
  #sinceReap = 0;
  #busy = false;
  /** Why the next request copies, whatever its segment says: the last one could not go without. */
  #fallback: Reason | undefined;
  /** What the last request may have failed for with EFAULT: the next one goes through it and no further. */
  #suspect: Uint8Array | undefined;

  constructor(ring: SubmitRing, port: number, host: EngineHost) {
    super(ring.reactor, port, host, 0);
    this.#ring = ring;
  }

  // --- StreamEngine ---------------------------------------------------------------------------

  protected override start(): void {
    this.#suspect = undefined;
    const cursor = this.cursor as JobCursor;
    while (cursor.segment !== undefined) {
      const error = this.#sendSome(cursor, cursor.segment);
      if (error < 0) {
        const isGone = error === -EFAULT && cursor.changedLength;
        this.settleJob(isGone ? bufferDetached() : systemError(error, 'write'));
        return;
      }
      if (this.waiting) return;
    }
    this.settleJob();
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

  // One request for what comes next in the segment. 0, or -errno when the job has failed; sets `waiting`
  // when the send buffer is full.
  #sendSome(cursor: JobCursor, segment: Segment): number {
    const copying = this.#whyCopied(cursor, segment);
    let slot = copying === undefined ? this.#slotFor(cursor, segment) : NO_SLOT;
    if (slot !== NO_SLOT) {
      const last = segment.pieces.length - 1;
      const headed = cursor.piece < last ? this.#sendHead(cursor, segment) : 0;
      if (headed < 0) return headed;
      if (cursor.piece < last) slot = NO_SLOT;
    }
    const asked = this.#plan(cursor, copying, slot);
    return this.#accept(this.#request(cursor, segment, asked), asked, cursor);
  }

  // Makes the request and books what came of it: bytes, or -errno.
  #request(cursor: JobCursor, { pieces }: Segment, asked: Asked): number {
    const { native, constants } = this.reactor;
    const { SEND_ZEROCOPY, SEND_MORE, SEND_EOR, RING_MORE } = constants;
    const { piece, offset } = cursor;
    const { wanted, slot } = asked;
    const isLast = !cursor.hasMoreSegments && wanted === cursor.left;
    if (this.#ring.lost !== undefined) {
      const sent = native.send(this.port, pieces, piece, offset, wanted, isLast ? 0 : SEND_MORE);
      if (sent > 0) this.bookCopied(sent, asked.copying ?? 'io_uring-refused');
      return sent;
    }
    const flags =
      (asked.copying === undefined ? SEND_ZEROCOPY : 0) |
      (isLast ? 0 : SEND_MORE) |
      (asked.endsRecord ? SEND_EOR : 0);
    const answer = native.sendByRing(this.port, pieces, piece, offset, wanted, flags, slot);
    // No request takes so much that it could be taken for the mark.
    const isPending = answer > RING_MORE / 2;
    const accepted = isPending ? answer - RING_MORE : answer;
    if (isPending) this.#bookSent(Math.max(0, accepted), asked);
    else if (accepted > 0) {
      // Without a notification to come the kernel has let go of the bytes already.
      this.bookCopied(accepted, asked.copying ?? 'send-failed');
    }
    return accepted;
  }

  #whyCopied(cursor: JobCursor, { zeroCopy, reason }: Segment): Reason | undefined {
    if (!zeroCopy) return reason ?? 'below-threshold';
    if (this.#ring.lost !== undefined) return 'io_uring-refused';
    return this.#fallback ?? whyCopied(this.host, cursor);
  }

  #plan(cursor: JobCursor, copying: Reason | undefined, slot: number): Asked {
    const alike =
      this.#suspect === undefined
        ? alikeBytes(cursor, this.host.minimumChunk)
        : cursor.bytesThrough(this.#suspect);
    const wanted = Math.min(alike, MAX_REQUEST_BYTES);
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
  // socket does not take of it goes with the body, as if there were no slot. -errno: the job has failed.
  #sendHead(cursor: JobCursor, { pieces }: Segment): number {
    const { native, constants } = this.reactor;
    const { piece, offset } = cursor;
    const length = (pieces[piece] as Uint8Array).length - offset;
    const accepted = native.send(this.port, pieces, piece, offset, length, constants.SEND_MORE);
    if (accepted > 0) this.bookCopied(accepted, 'below-threshold');
    return [EAGAIN, EINTR, ENOBUFS, ENOMEM].includes(-accepted) ? 0 : accepted;
  }

  #roomFor(wanted: number): number {
    const room = this.room();
    const due = this.#sinceReap >= BYTES_BETWEEN_REAPS;
    if ((room >= wanted && !due) || this.inflight.pendingSends === 0) return room;
    this.#sinceReap = 0;
    this.reap();
    return this.room();
  }

  #bookSent(accepted: number, asked: Asked): void {
    this.bookZeroCopy(accepted, asked.isHead);
    if (asked.slot !== NO_SLOT) this.host.counters.registeredSends++;
    if (!this.#busy) {
      this.#busy = true;
      busyEngines++;
    }
    this.#sinceMark += accepted;
    this.#sinceReap += accepted;
    // A part does not end the record: the kernel marks the last byte only (net/ipv4/tcp.c:
    // tcp_sendmsg_locked).
    this.#marked = asked.endsRecord && accepted === asked.wanted;
  }

  // Draws the consequences of a result: 0, or -errno when the job has failed.
  #accept(accepted: number, asked: Asked, cursor: JobCursor): number {
    const suspect = this.#suspect;
    this.#fallback = this.#suspect = undefined;
    if (accepted > 0 && asked.copying === 'unpinnable-memory' && suspect !== undefined) {
      foundUnpinnable(this.host, suspect);
    }
    if (accepted === asked.wanted || accepted === -EINTR) return 0;
    if (accepted < 0 && accepted !== -EAGAIN) return this.#afterFailure(accepted, asked, cursor);
    const pieces = cursor.segment?.pieces.length ?? 0;
    if (accepted > 0 && pieces - cursor.piece > MAX_PIECES) return 0;
    if (accepted > 0) this.host.counters.partialSends++;
    return this.waitForSpace();
  }

  #afterFailure(error: number, asked: Asked, cursor: JobCursor): number {
    if (error === -ECANCELED) {
      this.#ring.lose();
      return 0;
    }
    if (error === -EFAULT && asked.copying === undefined && !cursor.changedLength) {
      this.#suspect = cursor.nextLarge(this.host.minimumChunk);
      if (asked.wanted <= cursor.bytesThrough(this.#suspect)) this.#fallback = 'unpinnable-memory';
      return 0;
    }
    this.#fallback = this.#fallbackFor(error, asked);
    return this.#fallback === undefined ? error : 0;
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
