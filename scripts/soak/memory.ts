// The memory that a soak sends from. Whatever its kind, it is overwritten the moment it is released,
// so that a byte that is sent too late is a wrong one.
import { BufferPool, type BufferPoolOptions } from '../../lib/index';
import { OVERWRITTEN } from '../pattern';
import type { Chance } from './chance';

export interface Piece {
  readonly data: Buffer;
  /** The socket has released it: overwrites it, and frees it unless that was done. */
  release(): void;
  /**
   * The kernel has taken the bytes, and may still reference them. Of a pool: frees the piece, whose
   * pages are used again only after their release.
   */
  accepted(): void;
}

export const KINDS = ['plain', 'small', 'pool', 'huge', 'kept'] as const;
export type Kind = (typeof KINDS)[number];

const POOL_BYTES = 24 * 1024 * 1024;
const HUGE_POOL_BYTES = 8 * 1024 * 1024;
/** Memory that is sent again as soon as it is released, in full or in part: io_uring registers it. */
const KEPT_BUFFERS = 4;
export const KEPT_BYTES = 256 * 1024;

/** One of so many buffers is watched until it is collected. */
const WATCH_EVERY = 16;
const ATTEMPTS = 10;

export class Memory {
  readonly pool = openPool({ bytes: POOL_BYTES });
  readonly #huge = openPool({ bytes: HUGE_POOL_BYTES, hugePages: 'try' });
  readonly #kept: Buffer[] = Array.from({ length: KEPT_BUFFERS }, () =>
    Buffer.allocUnsafeSlow(KEPT_BYTES),
  );
  #watched: WeakRef<Buffer>[] = [];
  #taken = 0;

  take(bytes: number, kind: Kind): Piece {
    if (kind === 'pool') return fromPool(this.pool, bytes);
    if (kind === 'huge') return fromPool(this.#huge, bytes);
    const kept = kind === 'kept' && bytes <= KEPT_BYTES ? this.#kept.pop() : undefined;
    if (kept !== undefined) return this.#fromKept(kept, bytes);
    const data = kind === 'small' ? Buffer.allocUnsafe(bytes) : Buffer.allocUnsafeSlow(bytes);
    if (this.#taken++ % WATCH_EVERY === 0) this.#watched.push(new WeakRef(data));
    return {
      data,
      release: () => void data.fill(OVERWRITTEN),
      accepted: () => undefined,
    };
  }

  #fromKept(kept: Buffer, bytes: number): Piece {
    let ours = true;
    return {
      data: kept.subarray(KEPT_BYTES - bytes),
      release: () => {
        if (!ours) return;
        ours = false;
        kept.fill(OVERWRITTEN);
        this.#kept.push(kept);
      },
      accepted: () => undefined,
    };
  }

  /** Watched buffers that are still there. Means something after a garbage collection. */
  retained(): number {
    this.#watched = this.#watched.filter((buffer) => buffer.deref() !== undefined);
    return this.#watched.length;
  }

  /** What pools still hold that they should not, once every piece was released. */
  remains(): string[] {
    const remains: string[] = [];
    for (const [name, pool] of [
      ['pool', this.pool],
      ['pool on huge pages', this.#huge],
    ] as const) {
      const { pinnedPieces, waitingFrees, leakedPieces } = pool.stats;
      if (pinnedPieces > 0) remains.push(`${name}: ${pinnedPieces} pieces are pinned`);
      if (waitingFrees > 0) remains.push(`${name}: ${waitingFrees} frees wait`);
      if (leakedPieces > 0) remains.push(`${name}: ${leakedPieces} pieces leaked`);
    }
    return remains;
  }
}

// Where system calls are made to fail, so may this one, and the next will not.
function openPool(options: BufferPoolOptions): BufferPool {
  for (let attempt = 1; ; attempt++) {
    try {
      return new BufferPool(options);
    } catch (error) {
      if (attempt === ATTEMPTS || (error as NodeJS.ErrnoException).code !== 'ENOMEM') throw error;
    }
  }
}

function fromPool(pool: BufferPool, bytes: number): Piece {
  const data = pool.allocUnsafe(bytes);
  let freed = false;
  const free = (): void => {
    if (!freed) pool.free(data);
    freed = true;
  };
  return {
    data,
    release: () => {
      // Freed before, it may be another's by now.
      if (!freed) data.fill(OVERWRITTEN);
      free();
    },
    accepted: free,
  };
}

/** Mostly ordinary memory, at times that of a pool. */
export function anyKind(chance: Chance): Kind {
  return chance.pick(['plain', 'plain', 'small', 'pool', 'pool', 'huge']);
}
