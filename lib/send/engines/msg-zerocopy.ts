// The MSG_ZEROCOPY engine: sends a job in submit(), by sendmsg(2) on a duplicate of the socket's
// descriptor; notifications come by the error queue.
import { constants as osConstants } from 'node:os';
import { nextTick } from '../../node/clock.js';
import type { Reason } from '../../names.js';
import type { Segment } from '../job.js';
import { bufferDetached, systemError } from '../../errors.js';
import { alikeBytes, foundUnpinnable, whyCopied } from '../unpinnable.js';
import type { JobCursor } from './job-cursor.js';
import { StreamEngine } from './stream-engine.js';

const { EAGAIN, EFAULT, ENOBUFS, EOPNOTSUPP } = osConstants.errno;
/** The kernel's own ENOTSUPP, which TLS in the kernel lets out before Linux 5.5. */
const ENOTSUPP = 524;
/** UIO_MAXIOV: one sendmsg takes no more pieces. */
const MAX_PIECES = 1024;
/**
 * A program that writes without returning to the event loop gets no wake-up, so the error queue is
 * read after this many sends: read after each they cost a tenth more, read every 16 to 256 the same
 * (docs/performance.md).
 */
const SENDS_BETWEEN_REAPS = 64;

export class MsgZeroCopyEngine extends StreamEngine {
  readonly name = 'msg_zerocopy';
  #sendsSinceReap = 0;

  protected override start(): void {
    const cursor = this.cursor as JobCursor;
    while (cursor.segment !== undefined) {
      const accepted = this.#sendSome(cursor, cursor.segment);
      if (accepted < 0) {
        const isGone = accepted === -EFAULT && cursor.changedLength;
        this.settleJob(isGone ? bufferDetached() : systemError(accepted, 'write'));
        return;
      }
      if (this.waiting) return;
    }
    this.settleJob();
  }

  override refresh(): void {
    if (this.idle) return;
    this.reap();
    nextTick(() => this.onRangesDone());
  }

  protected override reap(): void {
    this.reactor.reap(this.port);
  }

  protected override isTold(_entry: unknown, isFirst: boolean): boolean {
    // The flag speaks for the first id of a merged range only.
    return isFirst;
  }

  // One sendmsg of what is left of the segment. Answers bytes, or -errno for a dead connection; sets
  // `waiting` when the send buffer is full.
  #sendSome(cursor: JobCursor, segment: Segment): number {
    let wanted = cursor.left;
    let copying = segment.zeroCopy
      ? whyCopied(this.host, cursor)
      : (segment.reason ?? 'below-threshold');
    if (segment.zeroCopy) wanted = alikeBytes(cursor, this.host.minimumChunk);
    if (copying === undefined) {
      const allowed = this.withinRoom(wanted, this.#roomFor(wanted));
      if (allowed === 0) copying = 'budget';
      else wanted = allowed;
    }
    if (copying !== undefined) return this.#copy(cursor, wanted, copying);
    const accepted = this.#sendZeroCopy(cursor, wanted);
    if (accepted !== -EFAULT || cursor.changedLength) {
      return this.#conclude(accepted, cursor, wanted, undefined);
    }
    // One of the pieces can be read and not pinned: which one shows when the next large one goes alone.
    const suspect = cursor.nextLarge(this.host.minimumChunk);
    const through = cursor.bytesThrough(suspect);
    const alone = through < wanted ? this.#sendZeroCopy(cursor, through) : accepted;
    if (alone !== -EFAULT) return this.#conclude(alone, cursor, through, undefined);
    const copied = this.#copy(cursor, Math.min(through, wanted), 'unpinnable-memory');
    if (copied > 0) foundUnpinnable(this.host, suspect);
    return copied;
  }

  #copy(cursor: JobCursor, wanted: number, why: Reason): number {
    return this.#conclude(this.#send(cursor, wanted, 0), cursor, wanted, why);
  }

  // Draws the consequences of a send of `wanted` bytes, and answers as #sendSome() does.
  // @param copying why they were copied, undefined when they were not
  #conclude(
    result: number,
    cursor: JobCursor,
    wanted: number,
    copying: Reason | undefined,
  ): number {
    if (isRefusal(result) && copying === undefined) {
      // Something took the sends of this connection over, and wants no MSG_ZEROCOPY: a protocol above
      // TCP (TCP_ULP; net/tls/tls_sw.c:tls_sw_sendmsg). Everything goes by copy from here.
      this.host.engineRefused(this.name);
      return this.#copy(cursor, wanted, 'kernel-unsupported');
    }
    if (result === -ENOBUFS && copying === undefined) {
      // The socket stays writable, so waiting for space would spin: the same bytes go by copy.
      return this.#copy(cursor, wanted, this.outOfBuffers());
    }
    const accepted = result === -EAGAIN || result === -ENOBUFS ? 0 : result;
    if (accepted < 0) return accepted;
    const { pieces } = cursor.segment as Segment;
    const piecesFit = pieces.length - cursor.piece <= MAX_PIECES;
    if (accepted > 0) this.#book(accepted, copying);
    // Short: full. Sending again before there is space would charge memlock once more for nothing.
    if (accepted < wanted && (piecesFit || accepted === 0)) {
      if (accepted > 0) this.host.counters.partialSends++;
      const armed = this.waitForSpace();
      if (armed < 0) return armed;
    }
    return accepted;
  }

  // Room for `wanted` bytes, after looking whether the kernel let go of some where there is too little.
  #roomFor(wanted: number): number {
    const room = this.room();
    const due = this.#sendsSinceReap >= SENDS_BETWEEN_REAPS;
    if ((room >= wanted && !due) || this.inflight.pendingSends === 0) return room;
    this.#reapNow();
    return this.room();
  }

  #reapNow(): void {
    this.#sendsSinceReap = 0;
    this.reap();
    // No user code inside a submit.
    if (this.handbacks.size > 0) nextTick(() => this.onRangesDone());
  }

  #sendZeroCopy(cursor: JobCursor, wanted: number): number {
    const flags = this.reactor.constants.SEND_ZEROCOPY;
    let accepted = this.#send(cursor, wanted, flags);
    if (accepted === -ENOBUFS) {
      // Unread notifications hold optmem: read them, then try once more.
      this.host.counters.enobufs++;
      const before = this.inflight.pendingSends;
      this.#reapNow();
      if (this.inflight.pendingSends < before) accepted = this.#send(cursor, wanted, flags);
    }
    return accepted;
  }

  #send(cursor: JobCursor, wanted: number, flags: number): number {
    const { pieces } = cursor.segment as Segment;
    const { native, constants } = this.reactor;
    const more = cursor.hasMoreSegments || wanted < cursor.left ? constants.SEND_MORE : 0;
    return native.send(this.port, pieces, cursor.piece, cursor.offset, wanted, flags | more);
  }

  // Books accepted bytes. `copying`: why they were copied, undefined when they were not.
  #book(accepted: number, copying: Reason | undefined): void {
    if (copying !== undefined) return this.bookCopied(accepted, copying);
    this.#sendsSinceReap++;
    this.bookZeroCopy(accepted, true);
  }
}

function isRefusal(result: number): boolean {
  return result === -EOPNOTSUPP || result === -ENOTSUPP;
}
