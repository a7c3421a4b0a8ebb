// What the self-test sends: bytes that follow from the run, the message and the place in it, so that
// a receiver can check every single one. A message begins with its own description:
//
//   0  magic   4  token of the run   8  sequence number of the message   12  length of the message
//
// A stream is one message of unknown length (0). No byte after the description has its top bit set,
// and OVERWRITTEN has: memory that is sent after it was handed back shows in every byte.
import { createCipheriv } from 'node:crypto';

/** What memory is filled with the moment it is handed back. */
export const OVERWRITTEN = 0xee;

/** The description; also the least a message can have. */
export const DESCRIPTION_BYTES = 16;

const MAGIC = 0x7a63_7374;
/** A prime: bytes that end up a power of two away from their place are noticed. */
const TABLE_BYTES = 1_048_583;
/** So that bytes of another message, or of another run, are noticed. */
const SEQUENCE_STEP = 7919;
const TOKEN_STEP = 104_729;

export interface Description {
  readonly token: number;
  readonly sequence: number;
  /** 0: a stream. */
  readonly length: number;
}

function makeTable(): Buffer {
  const key = Buffer.from('selftest pattern');
  const table = createCipheriv('aes-128-ctr', key, key).update(Buffer.alloc(TABLE_BYTES));
  for (let i = 0; i < table.length; i++) table[i] = (table[i] as number) & 0x7f;
  return table;
}

const table = makeTable();

// Calls `visit` for each run of bytes, `offset` bytes into the message, that lies in the table whole.
function eachRun(
  { token, sequence }: Description,
  offset: number,
  length: number,
  visit: (run: Buffer, at: number) => void,
): void {
  const start = (token % TABLE_BYTES) * TOKEN_STEP + sequence * SEQUENCE_STEP + offset;
  for (let at = 0; at < length;) {
    const from = (start + at) % TABLE_BYTES;
    const run = table.subarray(from, Math.min(TABLE_BYTES, from + length - at));
    visit(run, at);
    at += run.length;
  }
}

function describe({ token, sequence, length }: Description): Buffer {
  const bytes = Buffer.allocUnsafe(DESCRIPTION_BYTES);
  bytes.writeUInt32BE(MAGIC, 0);
  bytes.writeUInt32BE(token, 4);
  bytes.writeUInt32BE(sequence, 8);
  bytes.writeUInt32BE(length, 12);
  return bytes;
}

/** Fills `target` with the bytes of the message from `offset` on. */
export function fill(target: Buffer, message: Description, offset: number): void {
  eachRun(message, offset, target.length, (run, at) => run.copy(target, at));
  if (offset < DESCRIPTION_BYTES) describe(message).copy(target, 0, offset);
}

/** The description that `data` begins with; undefined: it is none of the self-test's. */
export function readDescription(data: Buffer): Description | undefined {
  if (data.length < DESCRIPTION_BYTES || data.readUInt32BE(0) !== MAGIC) return undefined;
  return {
    token: data.readUInt32BE(4),
    sequence: data.readUInt32BE(8),
    length: data.readUInt32BE(12),
  };
}

/** How many of `received` are not the bytes of the message from `offset` on. */
export function countWrong(received: Buffer, message: Description, offset: number): number {
  let wrong = 0;
  const expected = Buffer.allocUnsafe(
    Math.max(0, Math.min(received.length, DESCRIPTION_BYTES - offset)),
  );
  fill(expected, message, offset);
  for (const [i, byte] of expected.entries()) if (received[i] !== byte) wrong++;
  const rest = received.subarray(expected.length);
  eachRun(message, offset + expected.length, rest.length, (run, at) => {
    if (run.compare(rest, at, at + run.length) === 0) return;
    for (let i = 0; i < run.length; i++) if (run[i] !== rest[at + i]) wrong++;
  });
  return wrong;
}
