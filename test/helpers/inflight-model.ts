// InFlight against an obviously correct model: a Map of 64-bit ids. The kernel's side of it is
// modulo 2^32.
import assert from 'node:assert/strict';
import { InFlight, type SentEntry } from '../../lib/datagram/inflight';
import { between } from '../../scripts/random';

export const WRAP = 2 ** 32;

export interface Entry extends SentEntry {
  readonly id: number;
}

interface Completion {
  readonly strays: number;
  readonly visited: readonly (readonly [id: number, isFirst: boolean])[];
}

/** The same as InFlight, slow and plain. */
class Model {
  readonly pending = new Map<number, Entry>();
  next: number;

  constructor(firstId: number) {
    this.next = firstId;
  }

  get base(): number {
    let lowest = this.next;
    for (const id of this.pending.keys()) lowest = Math.min(lowest, id);
    return lowest;
  }

  get pendingBytes(): number {
    let bytes = 0;
    for (const entry of this.pending.values()) bytes += entry.bytes;
    return bytes;
  }

  add(bytes: number): Entry {
    const entry = { id: this.next++, bytes };
    this.pending.set(entry.id, entry);
    return entry;
  }

  complete(lo: number, hi: number): Completion {
    const visited: [number, boolean][] = [];
    // A range that begins below the lowest pending id cannot be one of ours.
    const ours = lo >= this.base;
    for (let id = lo; id <= hi; id++) {
      if (ours && this.pending.delete(id)) visited.push([id, id === lo]);
    }
    return { strays: hi - lo + 1 - visited.length, visited };
  }
}

/** Both sides of one run, compared after every operation. */
export class InFlightPair {
  readonly real: InFlight<Entry>;
  readonly model: Model;

  constructor(firstId: number) {
    this.real = new InFlight<Entry>(firstId);
    this.model = new Model(firstId);
  }

  add(bytes = 1): void {
    const entry = this.model.add(bytes);
    assert.equal(this.real.add(entry), entry.id);
  }

  /** @param lo first id, 64 bits: told to the real one as the kernel would */
  complete(lo: number, hi: number): void {
    const visited: [number, boolean][] = [];
    const strays = this.real.complete(lo % WRAP, hi % WRAP, (entry, isFirst) => {
      visited.push([entry.id, isFirst]);
    });
    assert.deepEqual({ strays, visited }, this.model.complete(lo, hi));
  }

  compare(): void {
    assert.equal(this.real.nextId, this.model.next);
    assert.equal(this.real.releasedBelow, this.model.base);
    assert.equal(this.real.pendingSends, this.model.pending.size);
    assert.equal(this.real.pendingBytes, this.model.pendingBytes);
  }

  /**
   * One step of a random life: a send, a notification of what is pending, or a stray one.
   * @param sends how likely a send is, 0 to 1
   */
  step(random: () => number, sends: number): void {
    const { base, next } = this.model;
    if (random() < sends) return this.add(between(random, 1, 1 << 20));
    if (random() < 0.9 && next > base) {
      const lo = between(random, base, next - 1);
      return this.complete(lo, Math.min(next - 1, lo + between(random, 0, 6)));
    }
    const lo = Math.max(0, between(random, base - 5, next + 5));
    this.complete(lo, lo + between(random, 0, 8));
  }

  /** Releases everything. */
  finish(): void {
    const { base, next } = this.model;
    if (next > base) this.complete(base, next - 1);
    this.compare();
    assert.equal(this.real.pendingBytes, 0);
  }
}
