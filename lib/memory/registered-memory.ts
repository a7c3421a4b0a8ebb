// Memory of the program's that is sent again and again, such as bodies that a server keeps: registered
// with the ring, so that the kernel does not pin and unpin its pages for each send. Which memory has
// earned it is policy/registration.ts's; here is what stands in the table, and for how long.
//
// A slot of the table stands for pages, not for addresses. So an entry is found by the ArrayBuffer
// itself, which it keeps alive: no other memory can come to its address. One that may change its size
// is never registered; one that is detached has no views of any length, so that nothing finds it.
import { constants as osConstants } from 'node:os';
import { clearInterval, setInterval } from '../node/clock.js';
import { errnoName } from '../errors.js';
import {
  earnsRegistration,
  fitsRegistration,
  LEAST_REGISTERED_SEND_BYTES,
  registeredBytes,
  registrationBudget,
} from '../policy/registration.js';
import { isPoolMemory } from './pool-pins.js';
import { refusedRegistrations } from '../observe/aggregate.js';

const { ENOBUFS, ENOMEM } = osConstants.errno;

/** What slotOf() answers for memory that is not registered. */
export const NO_SLOT = -1;

/** Memory that was not sent from during so many sweeps is given back. */
const SWEEP_MS = 2_000;
const IDLE_SWEEPS = 5;
/** After a refusal, sweeps until the next try. */
const REFUSED_SWEEPS = 5;
/** One of so many sends is looked at, so that memory that is sent once costs next to nothing. */
const LOOKS = 4;

interface Entry {
  readonly slot: number;
  readonly bytes: number;
  /** The sweep before which it was sent from last. */
  used: number;
}

interface Candidate {
  sentBytes: number;
  /** The sweep before which they were sent. */
  since: number;
}

/** The ring's table, as the addon fills it. */
export interface Table {
  /** A slot, or -errno. */
  registerMemory(memory: ArrayBuffer): number;
  unregisterMemory(slot: number): number;
}

/** What may be pinned, and who is told of what is. */
export interface PinAccount {
  readonly processBudget: number;
  readonly pageBytes: number;
  /** Bytes were registered, or, negative, given back. */
  addRegistered(delta: number): void;
}

type Resizable = ArrayBufferLike & { readonly resizable?: boolean };

export class RegisteredMemory {
  readonly #entries = new Map<ArrayBufferLike, Entry>();
  readonly #candidates = new WeakMap<ArrayBufferLike, Candidate>();
  #bytes = 0;
  #sweeps = 0;
  #refusedUntil = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Something was sent from, or looked at, since the last sweep. */
  #stirred = false;

  constructor(
    readonly table: Table,
    readonly account: PinAccount,
    readonly random: () => number = Math.random,
  ) {}

  /** Bytes that are registered at present. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The slot of the memory that `view` lies in, or NO_SLOT. */
  slotOf(view: Uint8Array): number {
    if (view.byteLength < LEAST_REGISTERED_SEND_BYTES) return NO_SLOT;
    const entry = this.#entries.get(view.buffer);
    if (entry === undefined) return NO_SLOT;
    entry.used = this.#sweeps;
    return entry.slot;
  }

  /** The same for a write that begins, which may be the one by which its memory is registered. */
  slotFor(view: Uint8Array): number {
    const slot = this.slotOf(view);
    if (slot !== NO_SLOT || view.byteLength < LEAST_REGISTERED_SEND_BYTES) return slot;
    return this.random() * LOOKS < 1 ? this.#consider(view) : NO_SLOT;
  }

  /** Gives back what is not sent from any more, and what is more than may be registered by now. */
  sweep(): void {
    this.#sweeps++;
    this.#dropIdle(IDLE_SWEEPS);
    if (this.#bytes > registrationBudget(this.account.processBudget)) this.#dropIdle(0);
    const stirred = this.#stirred;
    this.#stirred = false;
    if (stirred || this.#entries.size > 0 || this.#sweeps < this.#refusedUntil) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #consider(view: Uint8Array): number {
    if (this.#sweeps < this.#refusedUntil || isPoolMemory(view)) return NO_SLOT;
    const memory = view.buffer as Resizable;
    if (memory.resizable === true) return NO_SLOT;
    this.#stirred = true;
    this.#timer ??= setInterval(() => this.sweep(), SWEEP_MS).unref();
    const candidate = this.#candidateOf(memory);
    candidate.sentBytes += view.byteLength * LOOKS;
    if (!earnsRegistration(candidate.sentBytes, memory.byteLength)) return NO_SLOT;
    candidate.sentBytes = 0;
    return this.#register(memory);
  }

  #candidateOf(memory: ArrayBufferLike): Candidate {
    const known = this.#candidates.get(memory);
    const since = this.#sweeps;
    if (known === undefined) {
      const candidate = { sentBytes: 0, since };
      this.#candidates.set(memory, candidate);
      return candidate;
    }
    // Within one sweep and the next.
    if (since - known.since > 1) {
      known.sentBytes = 0;
      known.since = since;
    }
    return known;
  }

  #register(memory: ArrayBufferLike): number {
    const { processBudget: budget, pageBytes } = this.account;
    if (!fitsRegistration(memory.byteLength, budget, pageBytes)) return NO_SLOT;
    const bytes = registeredBytes(memory.byteLength, pageBytes);
    const most = registrationBudget(budget);
    if (this.#bytes + bytes > most) this.#dropIdle(2);
    if (this.#bytes + bytes > most) return NO_SLOT;
    const slot = this.table.registerMemory(memory as ArrayBuffer);
    if (slot < 0) {
      refusedRegistrations.add(errnoName(slot));
      // Others are what they are: shared memory, a mapping that may not be written.
      if (slot === -ENOMEM || slot === -ENOBUFS) this.#refusedUntil = this.#sweeps + REFUSED_SWEEPS;
      else this.#candidates.set(memory, { sentBytes: -Infinity, since: Infinity });
      return NO_SLOT;
    }
    this.#entries.set(memory, { slot, bytes, used: this.#sweeps });
    this.#count(bytes);
    return slot;
  }

  // Gives back what was not sent from during the last `sweeps`.
  #dropIdle(sweeps: number): void {
    for (const [memory, { slot, bytes, used }] of this.#entries) {
      if (this.#sweeps - used < sweeps) continue;
      // Where the kernel has no memory for it the pages stay pinned, and are tried again with the next sweep.
      if (this.table.unregisterMemory(slot) < 0) continue;
      this.#entries.delete(memory);
      this.#count(-bytes);
    }
  }

  #count(delta: number): void {
    this.#bytes += delta;
    this.account.addRegistered(delta);
  }
}
