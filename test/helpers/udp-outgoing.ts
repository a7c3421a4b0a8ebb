// Datagrams on their way out of a socket under test: every buffer is overwritten and used again the
// moment it is released, and what became of each datagram is compared with what arrived.
import assert from 'node:assert/strict';
import type { SendReport } from '../../lib/index';
import { OVERWRITTEN } from '../../scripts/pattern';
import { countOf, fillDatagram, HEADER_BYTES, NumberSet } from './udp-datagrams';
import type { SocketReport } from '../scenarios/udp-receiver-program';
import type { Target } from './udp-receiver';

const PAGE_BYTES = 4096;
/** What a datagram costs in a receive buffer beside its pages. */
const DATAGRAM_BYTES = 1280;
/** What a frame of the rig carries, and how many of them may wait (net.core.netdev_max_backlog). */
const FRAME_BYTES = 1400;
const MOST_FRAMES = 150;

type SendError = Error & { readonly code?: string; readonly sentDatagrams?: number };

/** Memory that one send takes, and which datagrams it becomes. */
export interface Parcel {
  readonly target: Target;
  readonly data: Buffer;
  /** Sizes of its datagrams: more than one with GSO. */
  readonly sizes: readonly number[];
  readonly first: number;
  /** How often it was released. */
  handed: number;
}

/** What one target is to have received. */
class Expectation {
  next = 0;
  datagrams = 0;
  bytes = 0;
  readonly short = new Map<number, number>();
  readonly numbers = new NumberSet();
  /** What may lie in the receive buffer, and in the queue of the receiving device. */
  unread = 0;
  frames = 0;
}

export interface Tolerance {
  /** 'some': what was sent may be lost on the way. Default: nothing may. */
  readonly loss?: 'none' | 'some';
}

export class UdpOutgoing {
  /** Codes of errors, in the order in which they came. */
  readonly errors: string[] = [];
  /** What should not have been: doublets, sums that do not fit. */
  readonly violations: string[] = [];
  readonly reports: SendReport[] = [];
  /** Sends that were begun, and those whose memory came back. */
  begun = 0;
  released = 0;
  readonly #free = new Map<number, Buffer[]>();
  readonly #expected = new Map<Target, Expectation>();
  #waiting: { readonly due: number; readonly then: () => void }[] = [];

  /** Memory with one datagram. */
  take(target: Target, bytes: number): Parcel {
    return this.takeSegments(target, Math.max(1, bytes), bytes);
  }

  /** Memory with a row of datagrams of `segmentSize` bytes; the last may be shorter. */
  takeSegments(target: Target, segmentSize: number, bytes: number): Parcel {
    const expected = this.#of(target);
    const data = this.#free.get(bytes)?.pop() ?? Buffer.allocUnsafeSlow(bytes);
    const sizes: number[] = [];
    const first = expected.next;
    let at = 0;
    do {
      const size = Math.min(segmentSize, bytes - at);
      fillDatagram(data.subarray(at, at + size), target.stream, expected.next++);
      sizes.push(size);
      expected.unread += Math.ceil(size / PAGE_BYTES) * PAGE_BYTES + DATAGRAM_BYTES;
      expected.frames += Math.ceil((size + 1) / FRAME_BYTES);
      at += size;
    } while (at < bytes);
    this.begun++;
    return { target, data, sizes, first, handed: 0 };
  }

  /** The callback that goes with the parcel. `share`: the bytes it is to be told, default: all. */
  releaseCallback(
    parcel: Parcel,
    share = parcel.data.length,
  ): (error?: Error | null, n?: number) => void {
    return (error, bytes) => {
      if (!error && bytes !== share) this.violations.push(`told ${bytes} bytes of ${share}`);
      this.settle(parcel, error);
    };
  }

  /** Records the release when the promise settles. Settles then, never with an error. */
  promised(parcel: Parcel, promise: Promise<SendReport>): Promise<SendReport | undefined> {
    return this.#sum(promise, [parcel], [parcel]);
  }

  /** The same for sendMany(). `refused`: those that are not sent when it fails. */
  many(
    parcels: readonly Parcel[],
    promise: Promise<SendReport>,
    refused = parcels,
  ): Promise<SendReport | undefined> {
    return this.#sum(promise, parcels, refused);
  }

  /** The parcel's memory is ours again. */
  settle(parcel: Parcel, error?: SendError | null): void {
    parcel.data.fill(OVERWRITTEN);
    if (++parcel.handed > 1) {
      this.violations.push(`parcel ${parcel.first} was released ${parcel.handed} times`);
      return;
    }
    this.#giveBack(parcel.data);
    if (error) this.errors.push(error.code ?? error.message);
    else this.#expect(parcel);
    this.released++;
    const due = this.#waiting.filter((one) => one.due <= this.released);
    this.#waiting = this.#waiting.filter((one) => one.due > this.released);
    for (const { then } of due) then();
  }

  /** Settles when everything begun so far has been released. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      if (this.released >= this.begun) resolve();
      else this.#waiting.push({ due: this.begun, then: resolve });
    });
  }

  /** More might not fit into the receive buffers. */
  get isFull(): boolean {
    return [...this.#expected].some(([target, expected]) => isFull(target, expected));
  }

  /** Waits for the receivers when more might not fit into their receive buffers. */
  async pace(): Promise<void> {
    for (const [target, expected] of this.#expected) {
      if (!isFull(target, expected)) continue;
      await this.settled();
      await target.drained();
      expected.unread = 0;
      expected.frames = 0;
    }
  }

  /** Compares what was released without an error with what arrived. Settles: when all has. */
  async verify(tolerance: Tolerance = {}): Promise<void> {
    await this.settled();
    assert.deepEqual(this.violations, []);
    for (const [target, expected] of this.#expected) {
      if (tolerance.loss === 'some') await target.drained();
      else await target.reached(expected.datagrams);
      compare(await target.report(), expected, tolerance);
    }
  }

  #of(target: Target): Expectation {
    const known = this.#expected.get(target) ?? new Expectation();
    this.#expected.set(target, known);
    return known;
  }

  #expect({ target, sizes, first }: Parcel): void {
    const expected = this.#of(target);
    for (const [index, size] of sizes.entries()) {
      expected.datagrams++;
      expected.bytes += size;
      if (size >= HEADER_BYTES) expected.numbers.add(first + index);
      else expected.short.set(size, (expected.short.get(size) ?? 0) + 1);
    }
  }

  async #sum(
    promise: Promise<SendReport>,
    parcels: readonly Parcel[],
    refused: readonly Parcel[],
  ): Promise<SendReport | undefined> {
    try {
      const report = await promise;
      this.reports.push(report);
      const bytes = parcels.reduce((sum, { data }) => sum + data.length, 0);
      const parts =
        report.zeroCopyBytes + report.copiedBytes + report.kernelCopiedBytes + report.unknownBytes;
      if (report.bytes !== bytes || parts !== bytes) {
        this.violations.push(`a report of ${bytes} bytes: ${JSON.stringify(report)}`);
      }
      for (const parcel of parcels) this.settle(parcel);
      return report;
    } catch (error) {
      const { sentDatagrams } = error as SendError;
      if (sentDatagrams !== undefined && sentDatagrams !== parcels.length - refused.length) {
        this.violations.push(`${sentDatagrams} of ${parcels.length} datagrams are said to be sent`);
      }
      for (const parcel of parcels) {
        this.settle(parcel, refused.includes(parcel) ? (error as SendError) : undefined);
      }
      return undefined;
    }
  }

  #giveBack(buffer: Buffer): void {
    const list = this.#free.get(buffer.length);
    if (list === undefined) this.#free.set(buffer.length, [buffer]);
    else list.push(buffer);
  }
}

function isFull({ opened }: Target, { unread, frames }: Expectation): boolean {
  return unread >= opened.recvBufferSize / 4 || frames >= MOST_FRAMES;
}

function compare(report: SocketReport, expected: Expectation, tolerance: Tolerance): void {
  const { wrong, examples, repeated, ranges, short } = report;
  assert.deepEqual({ wrong, examples, repeated }, { wrong: 0, examples: [], repeated: 0 });
  const sent = expected.numbers.ranges();
  if (tolerance.loss !== 'some') {
    assert.deepEqual(ranges, sent);
    const { datagrams, bytes } = report;
    assert.deepEqual(
      { datagrams, bytes, short },
      {
        datagrams: expected.datagrams,
        bytes: expected.bytes,
        short: Object.fromEntries(expected.short),
      },
    );
    return;
  }
  const known = new NumberSet();
  for (const [low, high] of sent) for (let i = low; i <= high; i++) known.add(i);
  for (const [low, high] of ranges) for (let i = low; i <= high; i++) known.add(i);
  assert.equal(countOf(known.ranges()), countOf(sent), 'what was said to have failed has arrived');
  for (const [size, count] of Object.entries(short)) {
    assert.ok(count <= (expected.short.get(Number(size)) ?? 0), `${count} of ${size} bytes`);
  }
}
