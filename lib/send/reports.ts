// How the bytes of writes travelled, for send() (by its trackers) and for subscribers of the channels of sends and
// releases. Other writes do not use this file.
import type { EngineName, Reason } from '../names.js';
import { channels, publish } from '../observe/diagnostics.js';
import type { SendTracker } from '../observe/report.js';
import { COPY_CAUSES, SMALL } from '../native/stream-words.js';

/** The parts of one write that are followed. */
export interface Followed {
  readonly pieces: readonly Uint8Array[];
  readonly kinds: Uint8Array;
  readonly trackers: readonly (SendTracker | undefined)[];
}

type Share = readonly [SendTracker, number];

interface Pending {
  readonly bytes: number;
  readonly shares: readonly Share[];
}

/** Whether there are subscribers to sends or releases. */
export function isWatched(): boolean {
  return channels.send.hasSubscribers || channels.release.hasSubscribers;
}

export class Reports {
  /** By the low 32 bits of their ids. */
  readonly #pending = new Map<number, Pending>();

  constructor(
    readonly socket: object,
    readonly engine: EngineName,
  ) {}

  get any(): boolean {
    return this.#pending.size > 0;
  }

  /**
   * Takes in what the addon logged of one call.
   * @param log the count, and pairs of bytes and id, or of bytes and less than 0: a cause
   * @param from bytes of the write that went before
   * @param elsewhere the cause that the caller knows
   */
  book(log: Float64Array, followed: Followed | undefined, from: number, elsewhere: Reason): void {
    const walk = followed === undefined ? undefined : new Walk(followed, from);
    const entries = log[0] as number;
    for (let entry = 0; entry < entries; entry++) {
      const bytes = log[1 + 2 * entry] as number;
      const fate = log[2 + 2 * entry] as number;
      if (fate < 0) {
        walk?.copied(bytes, COPY_CAUSES[-fate] ?? elsewhere);
        continue;
      }
      this.#pending.set(fate >>> 0, { bytes, shares: walk?.sent(bytes) ?? [] });
      if (channels.send.hasSubscribers)
        publish(channels.send, { socket: this.socket, id: fate, bytes });
    }
  }

  /** The kernel let go of an id. @param copiedFlagIsReliable whether `copied` says anything about it */
  released(id: number, copied: boolean, copiedFlagIsReliable: boolean): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    const fate = !copiedFlagIsReliable ? 'unknown' : copied ? 'copied' : 'zerocopy';
    for (const [tracker, bytes] of pending.shares) tracker.released(bytes, fate, this.engine);
    if (channels.release.hasSubscribers)
      publish(channels.release, { socket: this.socket, bytes: pending.bytes });
  }
}

// Walks over the pieces of a write, by what the addon says of its bytes.
class Walk {
  #piece = 0;
  #offset = 0;

  constructor(
    readonly followed: Followed,
    from: number,
  ) {
    this.#each(from, () => undefined);
  }

  copied(bytes: number, reason: Reason): void {
    const { trackers, kinds } = this.followed;
    this.#each(bytes, (piece, take) =>
      trackers[piece]?.copied(take, kinds[piece] === SMALL ? 'below-threshold' : reason),
    );
  }

  sent(bytes: number): readonly Share[] {
    const { trackers, kinds } = this.followed;
    const shares: Share[] = [];
    this.#each(bytes, (piece, take) => {
      const tracker = trackers[piece];
      if (tracker === undefined) return;
      // It was staged beside a large one.
      if (kinds[piece] === SMALL) tracker.copied(take, 'below-threshold');
      else shares.push([tracker, take]);
    });
    return shares;
  }

  #each(bytes: number, visit: (piece: number, take: number) => void): void {
    const { pieces } = this.followed;
    for (let left = bytes; left > 0;) {
      const { length } = pieces[this.#piece] as Uint8Array;
      const take = Math.min(left, length - this.#offset);
      if (take > 0) visit(this.#piece, take);
      left -= take;
      this.#offset += take;
      if (this.#offset < length) continue;
      this.#piece++;
      this.#offset = 0;
    }
  }
}
