// Random numbers that a failing run can be repeated with: all of them follow from a seed.
import { createCipheriv } from 'node:crypto';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/** Answers numbers in [0, 1). */
export type Random = () => number;

export function seededRandom(seed: number): Random {
  const generator = xoroshiro128plus(seed);
  return () => uniformFloat64(generator);
}

/** An integer in [low, high]. */
export function between(random: Random, low: number, high: number): number {
  return low + Math.floor(random() * (high - low + 1));
}

export function pick<T>(random: Random, list: readonly T[]): T {
  return list[between(random, 0, list.length - 1)] as T;
}

/** Memory of its own with `length` random bytes. */
export function randomBytes(random: Random, length: number): Buffer {
  const key = Buffer.alloc(16);
  for (let at = 0; at < key.length; at += 4) key.writeUInt32LE(random() * 2 ** 32, at);
  const bytes = Buffer.alloc(length);
  return createCipheriv('aes-128-ctr', key, key).update(bytes);
}
