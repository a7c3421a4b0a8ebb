// What one sendmmsg takes: datagrams from the head of a queue on that all go the same way, as words and
// pieces for the native side. Decides nothing itself: it asks for each datagram whether it is copied.
import type { DatagramJob, DatagramQueue } from './job.js';
import { foundUnpinnable, isUnpinnable } from '../send/unpinnable.js';
import type { Reason } from '../names.js';
import type { DatagramCounters } from '../observe/counters.js';
import type { DatagramWords } from './metadata.js';

const NOTHING = new Uint8Array(0);

/** Why datagram `index` of `job` is copied; `described`: bytes of the batch so far. */
type AskWhy = (job: DatagramJob, index: number, described: number) => Reason | undefined;

export class DatagramBatch {
  readonly pieces: Uint8Array[] = [];
  /** Pieces that are described, or were since release(). */
  #used = 0;
  readonly #words: DatagramWords;
  readonly #mostPieces: number;
  readonly #whyCopied: AskWhy;

  constructor(words: DatagramWords, mostPieces: number, whyCopied: AskWhy) {
    this.#words = words;
    this.#mostPieces = mostPieces;
    this.#whyCopied = whyCopied;
  }

  /** Describes datagrams until one that goes the other way. @returns how many */
  describe(queue: DatagramQueue, way: 'copied' | 'zero-copy'): number {
    const words = this.#words;
    const { pieces } = this;
    let slots = 0;
    let used = 0;
    let bytes = 0;
    for (let i = 0; i < queue.size && slots < words.batch; i++) {
      const job = queue.at(i);
      const { payloads, metadata, gathered, count, prefix } = job;
      for (let index = job.next; index < count && slots < words.batch; index++) {
        const parts = (gathered ? payloads.length : 1) + (prefix === undefined ? 0 : 1);
        if (used + parts > this.#mostPieces) return slots;
        const reason = this.#whyCopied(job, index, bytes);
        // The first was decided by the caller.
        if (slots > 0 && (reason !== undefined) !== (way === 'copied')) return slots;
        if (index === job.next) job.copyNext = reason;
        if (prefix !== undefined) pieces[used++] = prefix;
        if (gathered) for (const piece of payloads) pieces[used++] = piece;
        else pieces[used++] = payloads[index] as Uint8Array;
        const size = job.bytesOf(index);
        words.write(slots++, metadata, parts, size + (prefix?.length ?? 0));
        if (used > this.#used) this.#used = used;
        bytes += size;
      }
    }
    return slots;
  }

  /** Lets go of what is sent: a socket that is idle keeps nobody's memory alive. */
  release(): void {
    for (let i = 0; i < this.#used; i++) this.pieces[i] = NOTHING;
    this.#used = 0;
  }
}

/**
 * The next datagram of a job was copied with others. What its memory is to blame for, it says itself in `copyNext`;
 * whose memory that is, is known where there is one payload.
 */
export function copiedUnpinnable(
  { socket, counters }: { readonly socket: object; readonly counters: DatagramCounters },
  job: DatagramJob,
): void {
  const payloads = job.gathered ? job.payloads : [job.payloads[job.next] as Uint8Array];
  const isKnown = payloads.some(isUnpinnable);
  if (!isKnown && job.copyNext !== 'unpinnable-memory') return;
  counters.unpinnableSends++;
  if (!isKnown && payloads.length === 1) foundUnpinnable(socket, payloads[0] as Uint8Array);
}
