// Counts what a child sent or received and looks at the clock now and then: the warm-up, then the
// measured window, then the result.
import type { Result, Snapshot, WindowOrder, ZeroCopyTotals } from '../protocol';
import { say, takeSnapshot } from './session';

// The clock is read this often: rarely enough to cost nothing, often enough to end a window in time.
const checkEveryBytes = 1_048_576;
const checkEveryCalls = 256;

/** One of our sockets, as far as its bytes' way is of interest. */
export interface Reporting {
  readonly zeroCopy: {
    readonly engine: string;
    readonly state: string;
    readonly reason?: string | undefined;
    readonly stats: object;
  };
}

/** What one call sends, or one message brings. */
export interface Unit {
  bytes: number;
  datagrams: number;
}

export class Meter {
  readonly #order: WindowOrder;
  readonly #unit: Unit;
  readonly #socket: Reporting | undefined;
  readonly #checkEvery: number;
  readonly #startAt: number;
  #units = 0;
  #untilCheck: number;
  #start: Snapshot | undefined;
  #over = false;

  /** @param socket undefined for contestants that know no zero copy. */
  constructor(order: WindowOrder, unit: Unit, socket: object | undefined) {
    this.#order = order;
    this.#unit = unit;
    this.#socket = socket as Reporting | undefined;
    this.#checkEvery = Math.min(checkEveryCalls, Math.ceil(checkEveryBytes / unit.bytes));
    this.#untilCheck = this.#checkEvery;
    this.#startAt = performance.now() + order.warmup * 1000;
  }

  /** Says whether to go on; once it said no, the result has been told and it stays so. */
  took(units: number): boolean {
    this.#units += units;
    this.#untilCheck -= units;
    if (this.#untilCheck > 0) return !this.#over;
    this.#untilCheck = this.#checkEvery;
    if (!this.#over) this.#check();
    return !this.#over;
  }

  #check(): void {
    const now = performance.now();
    if (now < this.#startAt) return;
    this.#start ??= this.#snapshot();
    if (now < this.#start.at + this.#order.seconds * 1000) return;
    this.#over = true;
    const result: Result = {
      event: 'result',
      start: this.#start,
      end: this.#snapshot(),
      ...this.#verdict(),
    };
    say(result);
  }

  #snapshot(): Snapshot {
    const { bytes, datagrams } = this.#unit;
    const done = { bytes: this.#units * bytes, writes: this.#units * datagrams };
    return takeSnapshot(this.#order.kernelThreads, done, this.#totals());
  }

  #totals(): ZeroCopyTotals | undefined {
    if (!this.#socket) return undefined;
    const numbers = Object.entries(this.#socket.zeroCopy.stats).filter(
      (entry): entry is [string, number] => typeof entry[1] === 'number',
    );
    return Object.fromEntries(numbers);
  }

  #verdict(): { engine?: string; state?: string; reason?: string } {
    if (!this.#socket) return {};
    const { engine, state, reason } = this.#socket.zeroCopy;
    return { engine, state, ...(reason !== undefined && { reason }) };
  }
}

/**
 * `count` buffers, filled, because untouched pages would all be the one page of zeros. A memory of
 * its own per buffer, as those of an application have.
 */
export function makeBuffers(
  size: number,
  count: number,
  allocate: (size: number) => Buffer = (bytes) => Buffer.allocUnsafeSlow(bytes),
): Buffer[] {
  return Array.from({ length: count }, (_, index) => allocate(size).fill(`buffer ${index} `));
}

/** How many buffers of `size` cover the footprint. */
export function buffersIn(footprint: number, size: number): number {
  return Math.max(1, Math.floor(footprint / size));
}

export type Sent = (error?: Error | null) => void;

/**
 * Keeps `outstanding` sends going in callback form, and calls `close` when the meter has said that
 * it is over and every buffer has been released.
 */
export function keepSending(
  meter: Meter,
  buffers: readonly Buffer[],
  outstanding: number,
  send: (buffer: Buffer, sent: Sent) => void,
  close: () => void,
): void {
  let next = 0;
  let left = outstanding;
  const sendNext = (): void => {
    const buffer = buffers[next] as Buffer;
    next = next + 1 === buffers.length ? 0 : next + 1;
    send(buffer, sent);
  };
  const sent: Sent = (error) => {
    if (error) throw error;
    if (meter.took(1)) sendNext();
    else if (--left === 0) close();
  };
  for (let index = 0; index < outstanding; index++) sendNext();
}
