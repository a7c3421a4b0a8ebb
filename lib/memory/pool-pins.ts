// Which pieces of pools the kernel still reads. Every sender pins the pieces that its memory lies in, and a piece
// that is freed meanwhile returns to its slab at the last unpin. Knows slabs and pages, not how a pool allocates
// pieces.
import { isUint8Array } from 'node:util/types';
import { PageAllocator } from './page-allocator.js';

/** A run of pages of a slab that was handed out. */
export interface PoolPiece {
  readonly slab: PoolSlab;
  readonly firstPage: number;
  /** The page behind its last one. */
  readonly endPage: number;
  /** Sends that reference it. */
  pins: number;
  /** Its owner freed it; only the pins keep it. */
  freed: boolean;
}

interface Pools {
  /** Whether any pool has a slab. A property, because every write reads it. */
  any: boolean;
  /** By their ArrayBuffer, which every view refers to. An entry does not keep the memory alive. */
  readonly slabs: WeakMap<ArrayBufferLike, PoolSlab>;
}

/**
 * Of all copies of this package: a piece may go by a socket of another copy, such as one that `register` upgraded, or
 * one of a room that was loaded after a test runner had reset its modules. A registered symbol finds them; its number
 * changes with the shape of slabs and pieces.
 */
export const pools = ofAllCopies(Symbol.for('msg-zerocopy.pools.1'));

function ofAllCopies(name: symbol): Pools {
  const known = Reflect.get(globalThis, name) as Pools | undefined;
  if (known !== undefined) return known;
  const made: Pools = { any: false, slabs: new WeakMap() };
  // Where the global object is frozen, each copy has its own.
  Reflect.defineProperty(globalThis, name, { value: made });
  return made;
}

/** The pages of one slab, and the pieces in them. */
export class PoolSlab {
  readonly bytes: number;
  pieces = 0;
  pinnedPieces = 0;
  /** Pieces that were freed while they were pinned, and still are. */
  waitingFrees = 0;
  readonly #runs: PageAllocator;
  /** Of each page that was ever taken: the first page of the piece that took it last. */
  readonly #firstPages: Int32Array;
  readonly #pieces: (PoolPiece | undefined)[];
  #onEmpty: (() => void) | undefined;

  /** @param memory a whole number of pages */
  constructor(
    readonly memory: ArrayBuffer,
    readonly pageBytes: number,
  ) {
    this.bytes = memory.byteLength;
    const pages = this.bytes / pageBytes;
    this.#runs = new PageAllocator(pages);
    this.#firstPages = new Int32Array(pages);
    this.#pieces = new Array<PoolPiece | undefined>(pages).fill(undefined);
    pools.any = true;
    pools.slabs.set(memory, this);
  }

  /** Bytes of the pages that are taken. */
  get usedBytes(): number {
    return this.bytes - this.#runs.freePages * this.pageBytes;
  }

  /** Takes a piece of `bytes` or a little more; undefined when there is no room in one place. */
  take(bytes: number): PoolPiece | undefined {
    const count = Math.ceil(bytes / this.pageBytes);
    const firstPage = this.#runs.take(count);
    if (firstPage < 0) return undefined;
    const endPage = firstPage + count;
    const piece: PoolPiece = { slab: this, firstPage, endPage, pins: 0, freed: false };
    this.#pieces[firstPage] = piece;
    this.#firstPages.fill(firstPage, firstPage, endPage);
    this.pieces++;
    return piece;
  }

  /** The piece's owner is done with it: its pages are free, at once or after the last unpin. */
  free(piece: PoolPiece): void {
    piece.freed = true;
    if (piece.pins > 0) this.waitingFrees++;
    else this.#giveBack(piece);
  }

  /** Frees all that is not freed, and calls `onEmpty` once nothing is pinned; nothing is taken from here on. */
  retire(onEmpty: () => void): void {
    for (const piece of this.#pieces) if (piece?.freed === false) this.free(piece);
    if (this.pieces === 0) onEmpty();
    else this.#onEmpty = onEmpty;
  }

  pin(piece: PoolPiece): void {
    if (piece.pins++ === 0) this.pinnedPieces++;
  }

  unpin(piece: PoolPiece): void {
    if (--piece.pins > 0) return;
    this.pinnedPieces--;
    if (!piece.freed) return;
    this.waitingFrees--;
    this.#giveBack(piece);
  }

  #giveBack(piece: PoolPiece): void {
    this.#pieces[piece.firstPage] = undefined;
    this.#runs.giveBack(piece.firstPage);
    if (--this.pieces === 0) this.#onEmpty?.();
  }

  /** Pins each piece that has a byte of [from, end); the pieces are added to `pinned`. */
  pinBetween(from: number, end: number, pinned: PoolPiece[]): void {
    const endPage = Math.ceil(end / this.pageBytes);
    let page = Math.floor(from / this.pageBytes);
    while (page < endPage) {
      const piece = this.#pieces[this.#firstPages[page] as number];
      // The page may have been part of a longer piece than the one that begins there now.
      if (piece === undefined || page < piece.firstPage || page >= piece.endPage) {
        page++;
        continue;
      }
      this.pin(piece);
      pinned.push(piece);
      page = piece.endPage;
    }
  }
}

/**
 * Pins each piece of any pool that one of `views` lies in: once for each view.
 * @returns what to unpin; undefined when no view lies in a pool
 */
export function pinPieces(views: readonly Uint8Array[]): readonly PoolPiece[] | undefined {
  if (!pools.any) return undefined;
  let pinned: PoolPiece[] | undefined;
  for (const view of views) {
    const slab = pools.slabs.get(view.buffer);
    // An empty view has no bytes to keep, and may stand behind the last page.
    if (slab === undefined || view.byteLength === 0) continue;
    pinned ??= [];
    slab.pinBetween(view.byteOffset, view.byteOffset + view.byteLength, pinned);
  }
  return pinned === undefined || pinned.length === 0 ? undefined : pinned;
}

/** The same for one view. */
export function pinPiecesOf(view: Uint8Array): readonly PoolPiece[] | undefined {
  const slab = pools.slabs.get(view.buffer);
  if (slab === undefined || view.byteLength === 0) return undefined;
  const pinned: PoolPiece[] = [];
  slab.pinBetween(view.byteOffset, view.byteOffset + view.byteLength, pinned);
  return pinned.length === 0 ? undefined : pinned;
}

/** @param pieces what pinPieces() answered, once */
export function unpinPieces(pieces: readonly PoolPiece[]): void {
  for (const piece of pieces) piece.slab.unpin(piece);
}

let lookForReleases = (): void => undefined;

/** @param look drops what the kernel has released since the last look */
export function whenPoolsRunShort(look: () => void): void {
  lookForReleases = look;
}

/** A pool is full, but has pieces that wait for their release. */
export function poolRunsShort(): void {
  lookForReleases();
}

/**
 * Pins the pieces that a chunk lies in until the answer is called, once or more often: from the call that
 * hands it over until an engine has it, whose own pins take over, or it has failed.
 * @returns undefined when the chunk lies in no pool, and always where there is none
 */
export function pinUntil(chunk: unknown): (() => void) | undefined {
  if (!pools.any || !isUint8Array(chunk)) return undefined;
  return pinAllUntil([chunk]);
}

/** The same for several. */
export function pinAllUntil(views: readonly Uint8Array[]): (() => void) | undefined {
  let pinned = pinPieces(views);
  if (pinned === undefined) return undefined;
  return () => {
    if (pinned !== undefined) unpinPieces(pinned);
    pinned = undefined;
  };
}

/** Whether the memory belongs to a pool's slab. */
export function isPoolMemory(view: Uint8Array): boolean {
  return pools.any && pools.slabs.has(view.buffer);
}
