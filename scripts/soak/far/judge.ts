// Compares what arrives with what was sent, byte by byte.
import { type Description, fill } from '../../selftest/message';
import type { Counts, Wrong } from '../protocol';

const SAMPLE_BYTES = 16;

export class Judge {
  readonly #counts = new Map<string, number>();
  readonly #tell: (wrong: Wrong) => void;

  constructor(tell: (wrong: Wrong) => void) {
    this.#tell = tell;
  }

  add(name: string, count = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + count);
  }

  get counts(): Counts {
    return Object.fromEntries(this.#counts);
  }

  wrong(wrong: Wrong): void {
    this.add('wrong bytes', wrong.bytes);
    this.#tell(wrong);
  }

  /** @param offset of `received` in the message */
  compare(channel: string, received: Buffer, message: Description, offset: number): void {
    this.add(`${channel} bytes verified`, received.length);
    const expected = scratch(received.length);
    fill(expected, message, offset);
    if (expected.equals(received)) return;
    let bytes = 0;
    let first = -1;
    for (let i = 0; i < received.length; i++) {
      if (received[i] === expected[i]) continue;
      if (first < 0) first = i;
      bytes++;
    }
    const sample = received.toString('hex', first, first + SAMPLE_BYTES);
    const { token, sequence } = message;
    this.wrong({ channel, token, sequence, offset: offset + first, bytes, sample });
  }
}

let memory = Buffer.alloc(0);

function scratch(bytes: number): Buffer {
  if (memory.length < bytes) memory = Buffer.allocUnsafeSlow(2 * bytes);
  return memory.subarray(0, bytes);
}
