// Page-aligned memory to send from: one slab, registered with io_uring where possible, cut into pieces.
// pool-pins.ts decides when a piece may be used again, page-allocator.ts which pages are free.
import { constants } from 'node:buffer';
import { constants as system } from 'node:os';
import { isUint8Array } from 'node:util/types';
import { loadNative, type Native } from '../native/binding.js';
import { readText } from '../node/proc.js';
import { warnOnce } from '../observe/diagnostics.js';
import { namesOf, optionsOf } from '../observe/options-object.js';
import { foreignBuffer, invalidType, outOfRange, poolDisposed, systemError } from '../errors.js';
import { clearInterval, setInterval } from '../node/clock.js';
import { watchHttpPieces } from './http-pieces.js';
import { type PoolPiece, poolRunsShort, PoolSlab } from './pool-pins.js';
import { registerPool } from '../native/submit-ring.js';

const { ENOMEM, EOPNOTSUPP } = system.errno;

export interface BufferPoolOptions {
  /**
   * Size of the pool: 4 KiB to 1 GiB, rounded up to whole pages (of 2 MiB with `hugePages`). The
   * memory is reserved at once. Default 32 MiB.
   */
  bytes?: number;
  /**
   * Memory on huge pages, which are cheaper to pin for MSG_ZEROCOPY and are never registered with
   * io_uring. `true`: of the system's reserve (vm.nr_hugepages), or the constructor throws. `'try'`:
   * of the reserve, else as the kernel finds them (transparent huge pages). Default false.
   */
  hugePages?: boolean | 'try';
}

/** The state of a pool at one moment. */
export interface BufferPoolStats {
  /** Size of the pool; 0 if it has no slab and all pieces are ordinary memory. */
  readonly bytes: number;
  /** Bytes of pages in use. */
  readonly usedBytes: number;
  /** Pieces that use these pages. */
  readonly pieces: number;
  /** Pieces that the kernel, or a write that still waits, references. */
  readonly pinnedPieces: number;
  /** Pieces freed while they were pinned; they return to the pool at their release. */
  readonly waitingFrees: number;
  /** Pieces, since the pool was made, that were ordinary memory because the pool had no room. */
  readonly fallbackAllocations: number;
  /** Pieces that were collected as garbage without free(); their pages are lost to the pool. */
  readonly leakedPieces: number;
}

const DEFAULT_BYTES = 32 * 1024 * 1024;
const LEAST_BYTES = 4096;
const MOST_BYTES = 1024 * 1024 * 1024;
/** The usual size of a huge page: with pages of 64 KiB reserved ones are of 512 MiB. */
const HUGE_PAGE_BYTES = 2 * 1024 * 1024;

/** What openSlab() takes for its second argument. */
const SMALL_PAGES = 0;
const RESERVED_HUGE_PAGES = 1;
const TRANSPARENT_HUGE_PAGES = 2;

const HUGE_PAGES_REASON =
  'huge-pages: a pool on huge pages is for MSG_ZEROCOPY, and is never registered with a ring';

const NAMES = namesOf<BufferPoolOptions>({
  bytes: true,
  hugePages: true,
});

interface ResolvedPoolOptions {
  readonly bytes: number;
  readonly hugePages: boolean | 'try';
}

function resolvePoolOptions(options: BufferPoolOptions | undefined): ResolvedPoolOptions {
  const given = optionsOf(options, NAMES) as BufferPoolOptions;
  const { bytes = DEFAULT_BYTES, hugePages = false } = given;
  if (typeof bytes !== 'number') throw invalidType('options.bytes', 'a number of bytes', bytes);
  if (!Number.isInteger(bytes) || bytes < LEAST_BYTES || bytes > MOST_BYTES) {
    const expected = `an integer >= ${LEAST_BYTES} and <= ${MOST_BYTES}`;
    throw outOfRange('options.bytes', expected, bytes);
  }
  if (typeof hugePages !== 'boolean' && hugePages !== 'try') {
    const expected = "a boolean or 'try'";
    if (typeof hugePages !== 'string') throw invalidType('options.hugePages', expected, hugePages);
    throw outOfRange('options.hugePages', expected, hugePages);
  }
  return { bytes, hugePages };
}

function wholeUnits(bytes: number, unit: number): number {
  return Math.ceil(bytes / unit) * unit;
}

/** The slab's memory, or -errno. */
function openSlab(
  native: Native,
  pageBytes: number,
  { bytes, hugePages }: ResolvedPoolOptions,
): ArrayBuffer | number {
  if (hugePages === false) return native.openSlab(wholeUnits(bytes, pageBytes), SMALL_PAGES);
  const hugePageBytes = readHugePageBytes() ?? HUGE_PAGE_BYTES;
  const reserved = native.openSlab(wholeUnits(bytes, hugePageBytes), RESERVED_HUGE_PAGES);
  if (hugePages === true || typeof reserved !== 'number') return reserved;
  return native.openSlab(wholeUnits(bytes, HUGE_PAGE_BYTES), TRANSPARENT_HUGE_PAGES);
}

function refuseTransfer(): never {
  throw new TypeError('The memory of a BufferPool cannot be transferred');
}

// Transferring the slab would take every piece with it. Node marks memory from outside of V8 by
// itself: structuredClone() and postMessage() do not transfer it (Node 20 copies, later ones throw).
// Its markAsUntransferable() must not be called on top: from Node 24 on it sets a detach key, with
// which the end of the environment aborts the process (CallbackInfo::CleanupHook of
// src/node_buffer.cc; seen with 24.21). So transfer(), new in Node 22, is refused here. Byte streams
// (`type: 'bytes'`) detach what they are given, and nothing stops them: see #hasMemory().
function refuseTransferOf(memory: ArrayBuffer): void {
  for (const name of ['transfer', 'transferToFixedLength']) {
    if (name in memory) Object.defineProperty(memory, name, { value: refuseTransfer });
  }
}

function withoutMemory(errno: number, { bytes, hugePages }: ResolvedPoolOptions): Error {
  const error = systemError(errno, 'mmap');
  if (errno !== -ENOMEM) return error;
  const pageBytes = readHugePageBytes() ?? HUGE_PAGE_BYTES;
  error.message +=
    hugePages === true
      ? `: the pool needs ${Math.ceil(bytes / pageBytes)} free huge pages of ${pageBytes} bytes. ` +
        "Raise vm.nr_hugepages (sysctl), make the pool smaller, or set hugePages: 'try'"
      : `: no address space for a pool of ${bytes} bytes. Raise RLIMIT_AS (ulimit -v), or make the pool smaller`;
  return error;
}

/** Memory of a pool, freed at the end of the block where it is declared by `using`. */
export type PoolBuffer = Buffer & Disposable;

/** A realm of node:vm (jest) before Node 24 has no such symbol, and cannot parse `using` either. */
const DISPOSE = Symbol.dispose as symbol | undefined;

/** What closeSlab() takes for its second argument. */
const UNUSED = 0;
const MAYBE_READ = 1;

/** How often a pool whose end is awaited checks for releases: without further writes nothing else does. */
const LOOK_MS = 20;

const DISPOSED = 'disposed: the pool has freed its memory';

/** The slab, or why there is none; and why it is not registered. */
interface Opened {
  readonly slab?: PoolSlab;
  readonly reason: string | undefined;
}

function open(options: ResolvedPoolOptions): Opened {
  const loaded = loadNative();
  if (loaded.native === undefined) return { reason: `${loaded.reason}: ${loaded.why}` };
  const { pageBytes } = loaded.native.describe();
  const memory = openSlab(loaded.native, pageBytes, options);
  if (memory === -EOPNOTSUPP) {
    // Electron keeps all memory of JavaScript in one region of its own.
    return {
      reason: 'no-external-memory: this runtime allows no memory outside its own heap',
    };
  }
  if (typeof memory === 'number') throw withoutMemory(memory, options);
  refuseTransferOf(memory);
  watchHttpPieces();
  const slab = new PoolSlab(memory, pageBytes);
  return { slab, reason: options.hugePages === false ? registerPool(memory) : HUGE_PAGES_REASON };
}

/** The system's default size of huge pages: 2 MiB, or 512 MiB with pages of 64 KiB. */
export function readHugePageBytes(): number | undefined {
  const size = /^Hugepagesize:\s*(\d+) kB$/m.exec(readText('/proc/meminfo') ?? '')?.[1];
  return size === undefined ? undefined : Number(size) * 1024;
}

/**
 * Page-aligned memory for sends. A piece is taken by alloc() or allocUnsafe() and is given back by
 * free() **and by nothing else**: a slice of a piece may outlive it, so the garbage collector cannot
 * free it. A piece that you forget is lost to its pool, counted, and warned of once (ZC_POOL_LEAK). The
 * memory of the pool itself goes when neither the pool nor a view of it can be reached any more.
 *
 * Where io_uring works the memory is registered with it, and sending from it pins nothing. Where the
 * addon cannot load, and when the pool is exhausted, pieces are ordinary memory, which is freed the same
 * way.
 *
 * A piece is a view of the pool's one ArrayBuffer: `piece.buffer` is the whole pool, cloning a piece
 * (`postMessage(piece)`) copies the whole pool, and it cannot be transferred. A byte stream
 * (`new ReadableStream({ type: 'bytes' })`) that is given a piece takes the whole pool's memory away:
 * give it a copy. Pools are not shared between threads.
 */
export class BufferPool {
  #slab: PoolSlab | undefined;
  #reason: string | undefined;
  /** Of a disposed pool: settles when it holds no memory any more. */
  #ending: Promise<void> | undefined;
  // Of the objects that were handed out, and not freed.
  readonly #pieces = new WeakMap<Uint8Array, PoolPiece>();
  readonly #ordinary = new WeakSet<Uint8Array>();
  // A field and not a constant of this file: it goes with the pool, and pieces that go together with
  // their pool are no leak.
  readonly #forgotten = new FinalizationRegistry<PoolPiece>((piece) => this.#leaked(piece));
  // An own property of each piece, so that a slice, which cannot be freed, has none.
  readonly #disposal: PropertyDescriptor;
  #fallbackAllocations = 0;
  #leakedPieces = 0;

  /**
   * Reserves the memory.
   * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE; the system error of mmap(2), e.g. ENOMEM, also
   * when huge pages were insisted on and the system has too few.
   * @kernel registered memory counts against RLIMIT_MEMLOCK; huge pages need vm.nr_hugepages.
   */
  constructor(options?: BufferPoolOptions) {
    const { slab, reason } = open(resolvePoolOptions(options));
    this.#slab = slab;
    this.#reason = reason;
    const dispose = (piece: Buffer): void => {
      if (this.#pieces.has(piece) || this.#ordinary.has(piece)) this.free(piece);
    };
    const value = function (this: Buffer): void {
      dispose(this);
    };
    this.#disposal = { value, configurable: true, writable: true };
  }

  /** Whether the memory is registered with io_uring. */
  get registered(): boolean {
    return this.#reason === undefined;
  }

  /** Why it is not registered; undefined if it is. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Whether it was disposed: alloc() and allocUnsafe() throw then. */
  get disposed(): boolean {
    return this.#ending !== undefined;
  }

  /**
   * A piece that is filled with zeros.
   * @param size bytes, an integer; 0 answers an empty buffer
   * @memory yours until free(), or the end of the block of its `using`. Page-aligned, except for ordinary memory
   * and empty buffers.
   * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE, ERR_ZC_POOL_DISPOSED.
   */
  alloc(size: number): PoolBuffer {
    return (
      (this.#take(size)?.fill(0) as PoolBuffer | undefined) ?? this.#fallBack(Buffer.alloc(size))
    );
  }

  /**
   * A piece that may show bytes of an earlier one: for data that you overwrite as a whole.
   * @param size bytes, an integer; 0 answers an empty buffer
   * @memory yours until free(), or the end of the block of its `using`. Page-aligned, except for ordinary memory
   * and empty buffers.
   * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE, ERR_ZC_POOL_DISPOSED.
   */
  allocUnsafe(size: number): PoolBuffer {
    return this.#take(size) ?? this.#fallBack(Buffer.allocUnsafeSlow(size));
  }

  /**
   * Gives a piece back. Neither it nor a slice of it may be used from then on. It may be freed while a write or send of
   * an upgraded socket or a datagram socket, or a response or request of node:http, still references it: the pool
   * reuses its memory after the release only. The pool does not see what other libraries, or streams of your own,
   * queue: free that in the callback.
   * @param buffer the object that alloc() or allocUnsafe() returned, not a slice of it, and once
   * @throws ERR_ZC_FOREIGN_BUFFER when it is another object, or was freed before;
   * ERR_INVALID_ARG_TYPE.
   */
  free(buffer: Buffer): void {
    const piece = this.#pieces.get(buffer);
    if (piece !== undefined) {
      this.#pieces.delete(buffer);
      this.#forgotten.unregister(piece);
      // Else the end of the pool freed it.
      if (!piece.freed) piece.slab.free(piece);
      return;
    }
    if (this.#ordinary.delete(buffer)) return;
    if (!isUint8Array(buffer)) throw invalidType('buffer', 'a Buffer', buffer);
    throw foreignBuffer();
  }

  /**
   * Ends the pool: it allocates no more, and frees every piece that was not freed. It leaves the ring when nothing of it
   * is pinned. If all pieces had been freed before, its memory goes back to the system then; otherwise it stays as it
   * is while a view of it can be reached. A second call does nothing.
   */
  [Symbol.dispose](): void {
    this.#ending ??= new Promise((resolve) => this.#end(resolve));
  }

  /** The same; settles when nothing of the pool is pinned. It holds the event loop until then. */
  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
    if (this.#slab === undefined) return;
    poolRunsShort();
    const looking = setInterval(poolRunsShort, LOOK_MS);
    await this.#ending;
    clearInterval(looking);
  }

  #end(ended: () => void): void {
    const slab = this.#slab;
    if (slab === undefined) return ended();
    const contents = slab.pieces === slab.waitingFrees ? UNUSED : MAYBE_READ;
    slab.retire(() => {
      this.#slab = undefined;
      this.#reason = DISPOSED;
      loadNative().native?.closeSlab(slab.memory, contents);
      ended();
    });
  }

  /** The pool at this moment; frozen. */
  get stats(): BufferPoolStats {
    const slab = this.#slab;
    return Object.freeze({
      bytes: slab?.bytes ?? 0,
      usedBytes: slab?.usedBytes ?? 0,
      pieces: slab?.pieces ?? 0,
      pinnedPieces: slab?.pinnedPieces ?? 0,
      waitingFrees: slab?.waitingFrees ?? 0,
      fallbackAllocations: this.#fallbackAllocations,
      leakedPieces: this.#leakedPieces,
    });
  }

  /** A piece of the slab; undefined when there is none for it. */
  #take(size: number): PoolBuffer | undefined {
    if (typeof size !== 'number') throw invalidType('size', 'a number of bytes', size);
    if (!Number.isInteger(size) || size < 0 || size > constants.MAX_LENGTH) {
      throw outOfRange('size', `an integer >= 0 and <= ${constants.MAX_LENGTH}`, size);
    }
    if (this.disposed) throw poolDisposed();
    const slab = this.#slab;
    if (slab === undefined || size === 0 || !this.#hasMemory(slab)) return undefined;
    const piece = slab.take(size) ?? this.#takeReleased(slab, size);
    if (piece === undefined) return undefined;
    const buffer = Buffer.from(slab.memory, piece.firstPage * slab.pageBytes, size);
    this.#pieces.set(buffer, piece);
    this.#forgotten.register(buffer, piece, piece);
    return this.#disposable(buffer);
  }

  /** The same, after collecting what the kernel has released meanwhile. */
  #takeReleased(slab: PoolSlab, size: number): PoolPiece | undefined {
    if (slab.waitingFrees === 0) return undefined;
    poolRunsShort();
    return slab.take(size);
  }

  /** False: the slab's ArrayBuffer was detached. The kernel can still read its memory. */
  #hasMemory(slab: PoolSlab): boolean {
    if (slab.memory.byteLength > 0) return true;
    warnOnce(
      'ZC_POOL_DETACHED',
      'The memory of a BufferPool was transferred, for instance by a byte stream that enqueued one of its ' +
        'buffers. From now on the pool returns ordinary memory. Pass such a stream a copy',
    );
    return false;
  }

  #fallBack(buffer: Buffer): PoolBuffer {
    this.#ordinary.add(buffer);
    if (buffer.length > 0) this.#fallbackAllocations++;
    return this.#disposable(buffer);
  }

  #disposable(buffer: Buffer): PoolBuffer {
    if (DISPOSE !== undefined) Object.defineProperty(buffer, DISPOSE, this.#disposal);
    return buffer as PoolBuffer;
  }

  #leaked(piece: PoolPiece): void {
    // Not of one that the end of the pool freed.
    if (piece.freed) return;
    this.#leakedPieces++;
    const bytes = (piece.endPage - piece.firstPage) * piece.slab.pageBytes;
    warnOnce(
      'ZC_POOL_LEAK',
      `A buffer of a BufferPool (${bytes} bytes) was garbage-collected without free(), so its memory is ` +
        'lost to the pool. Call free() for every buffer; stats.leakedPieces counts those without',
    );
  }
}
