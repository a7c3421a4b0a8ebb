// Chunks of every kind that a stream write can have: buffers and strings in all of Node's encodings.
import { between, randomBytes } from '../../scripts/random';

export interface MixedChunk {
  readonly chunk: Buffer | string;
  readonly encoding: BufferEncoding;
}

export const ENCODINGS = [
  'utf8',
  'latin1',
  'ascii',
  'utf16le',
  'hex',
  'base64',
  'base64url',
] as const satisfies readonly BufferEncoding[];

/** What the wire must carry for it. */
export function bytesOf({ chunk, encoding }: MixedChunk): Buffer {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
}

/** Text whose characters need one to four bytes, with a lone surrogate now and then. */
const ALPHABET = ['a', 'Z', '7', ' ', 'é', 'ß', '€', '漢', '😀', '\ud800'];

/** A string of `length` UTF-16 units, or one less, that is valid in `encoding`. */
export function randomText(
  random: () => number,
  length: number,
  encoding: (typeof ENCODINGS)[number],
): string {
  if (encoding === 'hex' || encoding === 'base64' || encoding === 'base64url') {
    return randomBytes(random, length).toString(encoding).slice(0, length);
  }
  let text = '';
  while (text.length < length) text += ALPHABET[between(random, 0, ALPHABET.length - 1)] as string;
  return text.slice(0, length);
}

/** A chunk with a size around `size` bytes; two of three are buffers. */
export function randomChunk(random: () => number, size: number): MixedChunk {
  if (random() < 2 / 3) return { chunk: randomBytes(random, size), encoding: 'utf8' };
  const encoding = ENCODINGS[
    between(random, 0, ENCODINGS.length - 1)
  ] as (typeof ENCODINGS)[number];
  return { chunk: randomText(random, size, encoding), encoding };
}
