// The datagrams of one sendmmsg: those at the head of a queue that are all copied, or all zero-copy, as words and
// pieces for the addon. Asks its owner for each datagram whether it is copied.
import type { DatagramJob, DatagramQueue } from './job.js';
import { foundUnpinnable, isUnpinnable } from '../memory/unpinnable.js';
import type { Reason } from '../names.js';
import type { DatagramWords } from './metadata.js';
import type { SenderContext } from './sender.js';

/** Why datagram `index` of `job` is copied; `described`: bytes of the batch so far. */
type AskWhy = (job: DatagramJob, index: number, described: number) => Reason | undefined;

export class DatagramBatch {
  readonly pieces: Uint8Array[] = [];
  readonly #words: DatagramWords;
  readonly #mostPieces: number;
  readonly #floor: number;
  readonly #whyCopied: AskWhy;

  /** @param floor datagrams of fewer bytes are copied without asking `whyCopied` */
  constructor(words: DatagramWords, mostPieces: number, floor: number, whyCopied: AskWhy) {
    this.#words = words;
    this.#floor = floor;
    this.#mostPieces = mostPieces;
    this.#whyCopied = whyCopied;
  }

  /** Describes datagrams up to the first that goes differently. @returns how many */
  describe(queue: DatagramQueue, kind: 'copied' | 'zero-copy'): number {
    const words = this.#words;
    const { pieces } = this;
    let slots = 0;
    pieces.length = 0;
    let bytes = 0;
    for (let i = 0; i < queue.size && slots < words.batch; i++) {
      const job = i === 0 ? queue.head : queue.at(i);
      const { payloads, metadata, lengths, next, count, prefix } = job;
      for (let index = next; index < count && slots < words.batch; index++) {
        const parts =
          (lengths === undefined ? payloads.length : 1) + (prefix === undefined ? 0 : 1);
        if (pieces.length + parts > this.#mostPieces) return slots;
        const size = lengths === undefined ? job.bytes : (lengths[index] as number);
        const decided = index === next ? job.copyNext : undefined;
        const isSmall = decided === undefined && size < this.#floor;
        const reason = isSmall
          ? 'below-threshold'
          : (decided ?? this.#whyCopied(job, index, bytes));
        // The first was decided by the caller.
        if (slots > 0 && (reason !== undefined) !== (kind === 'copied')) return slots;
        if (index === next) job.copyNext = reason;
        if (prefix !== undefined) pieces.push(prefix);
        if (lengths !== undefined) pieces.push(payloads[index] as Uint8Array);
        else for (const piece of payloads) pieces.push(piece);
        words.write(slots++, metadata, parts, size + (prefix?.length ?? 0));
        bytes += size;
      }
    }
    return slots;
  }

  /** Drops references to what is sent, so that an idle socket keeps no memory alive. */
  release(): void {
    this.pieces.length = 0;
  }
}

/** The datagrams of `job` before `end` went out, copied: counts and reports them. @returns their bytes */
export function bookCopied(host: SenderContext, job: DatagramJob, end: number): number {
  const { lengths, next, copyNext = 'below-threshold' } = job;
  const { floor } = host.zeroCopy;
  let bytes = 0;
  let large = 0;
  for (let index = next; index < end; index++) {
    const size = lengths === undefined ? job.bytes : (lengths[index] as number);
    bytes += size;
    if (size < floor) continue;
    large += size;
    if (copyNext === 'unpinnable-memory') copiedUnpinnable(host, job, index);
  }
  host.counters.copiedBytes += bytes;
  if (job.tracker !== undefined) {
    if (bytes > large) job.tracker.copied(bytes - large, 'below-threshold');
    if (large > 0) job.tracker.copied(large, copyNext);
  }
  job.advance(end - next, host.routes);
  return bytes;
}

// `copyNext` gave memory as the reason for datagram `next` and those behind it. Which buffer it was is known only if
// the datagram is that first one and has one payload.
function copiedUnpinnable(host: SenderContext, job: DatagramJob, index: number): void {
  const payloads = job.gathered ? job.payloads : [job.payloads[index] as Uint8Array];
  const isKnown = payloads.some(isUnpinnable);
  if (!isKnown && index !== job.next) return;
  host.counters.unpinnableSends++;
  if (!isKnown && payloads.length === 1) foundUnpinnable(host.socket, payloads[0] as Uint8Array);
}
