// The bytes that tests, the self-test, the soak and the demo send: they follow from the stream's number and
// the offset, so that every received piece can be checked byte by byte, however the connection ended.
//
// No byte of it has its top bit set and OVERWRITTEN has: memory that is sent after it was released
// is noticed in every single byte. Text in any of Node's encodings can carry it, too.
import { createCipheriv } from 'node:crypto';

/** What memory is filled with the moment it is released. */
export const OVERWRITTEN = 0xee;

/** A prime: bytes that end up a power of two away from their place are noticed. */
const TABLE_BYTES = 1_048_583;
/** Where in the table the streams begin, so that bytes of another stream are noticed. */
const STREAM_STEP = 7919;

function makeTable(): Buffer {
  const key = Buffer.from('keystream of msg');
  const table = createCipheriv('aes-128-ctr', key, key).update(Buffer.alloc(TABLE_BYTES));
  for (let i = 0; i < table.length; i++) table[i] = (table[i] as number) & 0x7f;
  return table;
}

const table = makeTable();

// Calls `visit` for each run of `length` bytes from `offset` that lies in the table in one piece.
function eachRun(
  stream: number,
  offset: number,
  length: number,
  visit: (run: Buffer, at: number) => void,
): void {
  for (let at = 0; at < length;) {
    const from = (stream * STREAM_STEP + offset + at) % TABLE_BYTES;
    const run = table.subarray(from, Math.min(TABLE_BYTES, from + length - at));
    visit(run, at);
    at += run.length;
  }
}

/** Fills `target` with the bytes of `stream` from `offset` on. */
export function fillFrom(target: Buffer, stream: number, offset: number): void {
  eachRun(stream, offset, target.length, (run, at) => run.copy(target, at));
}

/** Memory of its own with the first `length` bytes of `stream`. */
export function streamBytes(stream: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(length);
  fillFrom(bytes, stream, 0);
  return bytes;
}

/** How many bytes of `received` are not those of `stream` from `offset` on. */
export function countWrong(received: Buffer, stream: number, offset: number): number {
  let wrong = 0;
  eachRun(stream, offset, received.length, (run, at) => {
    if (run.compare(received, at, at + run.length) === 0) return;
    for (let i = 0; i < run.length; i++) if (run[i] !== received[at + i]) wrong++;
  });
  return wrong;
}
