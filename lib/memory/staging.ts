// Memory of our own for bytes that are copied before the kernel takes them: an HTTP header that rides
// in front of a zero-copy chunk. A lease keeps the slabs that a job was staged in from being written
// again until the kernel has let go of them.

/** Slabs that wait to be used again; more than that is left to the garbage collector. */
const SPARE_SLABS = 16;

const SLAB_BYTES = 256 * 1024;

interface Slab {
  readonly memory: Buffer;
  used: number;
  /** Leases on it. */
  leases: number;
}

/** Where slabs come from and go to. */
export interface SlabSource {
  readonly slabBytes: number;
  make(bytes: number): Buffer;
  /** A slab that is not needed any more; absent where the garbage collector sees to it. */
  drop?(memory: Buffer): void;
}

const ordinaryMemory: SlabSource = {
  slabBytes: SLAB_BYTES,
  make: (bytes) => Buffer.allocUnsafeSlow(bytes),
};

export class StagingArea {
  readonly #source: SlabSource;
  readonly #spare: Slab[] = [];
  #present: Slab | undefined;

  constructor(source: SlabSource = ordinaryMemory) {
    this.#source = source;
  }

  /** Memory of the next bytes, held by `lease`. */
  reserve(bytes: number, lease: Lease): { slab: Slab; at: number } {
    let slab = this.#present;
    if (slab === undefined || bytes > slab.memory.length - slab.used) {
      slab = this.#next(bytes);
    }
    const at = slab.used;
    slab.used += bytes;
    lease.hold(slab, this);
    return { slab, at };
  }

  /** The last lease on a slab ended. */
  recycle(slab: Slab): void {
    slab.used = 0;
    if (slab === this.#present) return;
    const { slabBytes, drop } = this.#source;
    if (drop !== undefined) this.#source.drop?.(slab.memory);
    else if (slab.memory.length === slabBytes && this.#spare.length < SPARE_SLABS) {
      this.#spare.push(slab);
    }
  }

  #next(bytes: number): Slab {
    const { slabBytes } = this.#source;
    const left = this.#present;
    const spare = bytes <= slabBytes ? this.#spare.pop() : undefined;
    const memory = spare?.memory ?? this.#source.make(Math.max(slabBytes, bytes));
    const slab = spare ?? { memory, used: 0, leases: 0 };
    // One that nobody leases would never be recycled.
    this.#present = slab;
    if (left?.leases === 0) this.recycle(left);
    return slab;
  }
}

/**
 * Holds the memory that one job was staged in. Whoever needs it holds the lease; the last to let go
 * gives the memory back.
 */
export class Lease {
  #holders = 1;
  #slab: Slab | undefined;
  #more: [Slab, StagingArea][] | undefined;
  #area: StagingArea | undefined;

  /** @internal called by the area */
  hold(slab: Slab, area: StagingArea): void {
    if (slab === this.#slab) return;
    if (this.#slab === undefined) {
      this.#slab = slab;
      this.#area = area;
    } else {
      const more = (this.#more ??= []);
      if (more.some(([held]) => held === slab)) return;
      more.push([slab, area]);
    }
    slab.leases++;
  }

  retain(): void {
    this.#holders++;
  }

  release(): void {
    if (--this.#holders > 0) return;
    if (this.#slab !== undefined) letGo(this.#slab, this.#area as StagingArea);
    for (const [slab, area] of this.#more ?? []) letGo(slab, area);
  }
}

function letGo(slab: Slab, area: StagingArea): void {
  if (--slab.leases === 0) area.recycle(slab);
}

/** Where a job's bytes are staged, and what holds them. */
export class Staging {
  readonly #area: StagingArea;
  #lease: Lease | undefined;

  constructor(area: StagingArea) {
    this.#area = area;
  }

  /** Absent when nothing was staged. */
  get lease(): Lease | undefined {
    return this.#lease;
  }

  /** Copies `chunk`. */
  bytes(chunk: Uint8Array): Buffer {
    const { slab, at } = this.#reserve(chunk.length);
    slab.memory.set(chunk, at);
    return slab.memory.subarray(at, at + chunk.length);
  }

  /** Encodes `text`. */
  text(text: string, encoding: BufferEncoding): Buffer {
    // Three bytes for each UTF-16 unit is the most that any of Node's encodings makes.
    const most = encoding === 'latin1' ? text.length : text.length * 3;
    if (most > SLAB_BYTES) return Buffer.from(text, encoding);
    const { slab, at } = this.#reserve(most);
    const length = slab.memory.write(text, at, encoding);
    slab.used = at + length;
    return slab.memory.subarray(at, at + length);
  }

  #reserve(bytes: number): { slab: Slab; at: number } {
    return this.#area.reserve(bytes, (this.#lease ??= new Lease()));
  }
}

/** The area of sockets without a pool. */
export const commonArea = new StagingArea();
