// What the datagrams of these tests carry. Each has a sequence number and bytes that follow from it, so
// that the receiver can distinguish a wrong byte from a loss, a repeat and a truncated datagram.
//
//   0        4          8        12
//   | stream | sequence | length | keystream of (stream, sequence) from offset 12 on
//
// One that is too short for the header carries keystream of its stream and has no number: it is checked
// and counted, and may come in any order.
import { countWrong, fillFrom } from '../../scripts/pattern';

export const HEADER_BYTES = 12;
/** A prime: neighbouring datagrams carry bytes from places far apart. */
const SEQUENCE_STEP = 104_729;
const EXAMPLES = 3;

// Streams and sequences are told apart by where in the keystream they begin.
function keystreamOf(stream: number, sequence: number): number {
  return (stream * 31 + sequence * SEQUENCE_STEP) % 2 ** 31;
}

/** Fills `target` with datagram `sequence` of `stream`. */
export function fillDatagram(target: Buffer, stream: number, sequence: number): void {
  if (target.length < HEADER_BYTES) return fillFrom(target, stream, target.length);
  target.writeUInt32BE(stream, 0);
  target.writeUInt32BE(sequence, 4);
  target.writeUInt32BE(target.length, 8);
  fillFrom(target.subarray(HEADER_BYTES), keystreamOf(stream, sequence), HEADER_BYTES);
}

/** Sequence numbers from the first to the last, both included. */
export type Range = readonly [first: number, last: number];

export interface DatagramReport {
  readonly datagrams: number;
  readonly bytes: number;
  /** Datagrams that are not what was sent under their number, and how some of them begin. */
  readonly wrong: number;
  readonly examples: readonly string[];
  /** Datagrams that came again. */
  readonly repeated: number;
  /** Datagrams that came behind a later one. */
  readonly outOfOrder: number;
  /** Datagrams without a number, by length. */
  readonly short: Readonly<Record<number, number>>;
  /** Which numbers came, in rising order. */
  readonly ranges: readonly Range[];
}

/** Gathers numbers in ranges; cheap where they mostly rise by one. */
export class NumberSet {
  readonly #numbers = new Set<number>();

  add(value: number): boolean {
    const fresh = !this.#numbers.has(value);
    this.#numbers.add(value);
    return fresh;
  }

  ranges(): Range[] {
    const ranges: [number, number][] = [];
    for (const value of [...this.#numbers].sort((a, b) => a - b)) {
      const last = ranges.at(-1);
      if (last !== undefined && last[1] === value - 1) last[1] = value;
      else ranges.push([value, value]);
    }
    return ranges;
  }
}

/** How many numbers the ranges hold. */
export function countOf(ranges: readonly Range[]): number {
  return ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}

/** Checks the datagrams of one stream as they come. */
export class DatagramChecker {
  #datagrams = 0;
  #bytes = 0;
  #wrong = 0;
  readonly #examples: string[] = [];
  #repeated = 0;
  #outOfOrder = 0;
  #highest = -1;
  readonly #short: Record<number, number> = {};
  readonly #numbers = new NumberSet();

  constructor(readonly stream: number) {}

  get datagrams(): number {
    return this.#datagrams;
  }

  take(datagram: Buffer): void {
    this.#datagrams++;
    this.#bytes += datagram.length;
    if (datagram.length < HEADER_BYTES) return this.#takeShort(datagram);
    const sequence = datagram.readUInt32BE(4);
    if (datagram.readUInt32BE(0) !== this.stream || datagram.readUInt32BE(8) !== datagram.length) {
      return this.#complain(datagram, 'header');
    }
    const body = datagram.subarray(HEADER_BYTES);
    const wrong = countWrong(body, keystreamOf(this.stream, sequence), HEADER_BYTES);
    if (wrong > 0) return this.#complain(datagram, `${wrong} bytes of ${sequence}`);
    if (!this.#numbers.add(sequence)) this.#repeated++;
    if (sequence < this.#highest) this.#outOfOrder++;
    this.#highest = Math.max(this.#highest, sequence);
  }

  report(): DatagramReport {
    return {
      datagrams: this.#datagrams,
      bytes: this.#bytes,
      wrong: this.#wrong,
      examples: this.#examples,
      repeated: this.#repeated,
      outOfOrder: this.#outOfOrder,
      short: { ...this.#short },
      ranges: this.#numbers.ranges(),
    };
  }

  #takeShort(datagram: Buffer): void {
    if (countWrong(datagram, this.stream, datagram.length) > 0) {
      return this.#complain(datagram, 'short');
    }
    this.#short[datagram.length] = (this.#short[datagram.length] ?? 0) + 1;
  }

  #complain(datagram: Buffer, what: string): void {
    this.#wrong++;
    if (this.#examples.length >= EXAMPLES) return;
    this.#examples.push(`${what}, length ${datagram.length}: ${datagram.toString('hex', 0, 24)}`);
  }
}

const MARKER = Buffer.from('marker of the tests');

/** A datagram that says: what was sent before this one has come or is lost. */
export function markerDatagram(marker: number): Buffer {
  const datagram = Buffer.alloc(MARKER.length + 4);
  MARKER.copy(datagram);
  datagram.writeUInt32BE(marker, MARKER.length);
  return datagram;
}

/** The marker's number, if it is one. */
export function markerOf(datagram: Buffer): number | undefined {
  if (datagram.length !== MARKER.length + 4) return undefined;
  if (MARKER.compare(datagram, 0, MARKER.length) !== 0) return undefined;
  return datagram.readUInt32BE(MARKER.length);
}
