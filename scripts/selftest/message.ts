// A message of the self-test and of the soak: a description of itself, and then the pattern's bytes, which
// follow from the run, the message and the place in it.
//
//   0  magic   4  token of the run   8  sequence number of the message   12  length of the message
//
// A stream is one message of unknown length (0).
import { countWrong as countWrongBytes, fillFrom } from '../pattern';

/** The description; also the least a message can have. */
export const DESCRIPTION_BYTES = 16;

const MAGIC = 0x7a63_7374;
/** Tokens are 31 bits: two runs have no stream in common for a long time. */
const STREAMS_PER_TOKEN = 104_729;

export interface Description {
  readonly token: number;
  readonly sequence: number;
  /** 0: a stream. */
  readonly length: number;
}

function streamOf({ token, sequence }: Description): number {
  // Short of 2^53 with the pattern's own factor, whatever the token.
  return (token % 1_048_583) * STREAMS_PER_TOKEN + sequence;
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
  fillFrom(target, streamOf(message), offset);
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
  const described = Math.max(0, Math.min(received.length, DESCRIPTION_BYTES - offset));
  const expected = Buffer.allocUnsafe(described);
  fill(expected, message, offset);
  for (const [i, byte] of expected.entries()) if (received[i] !== byte) wrong++;
  const rest = received.subarray(described);
  return wrong + countWrongBytes(rest, streamOf(message), offset + described);
}
