// The native hash of detectMutation, beside the same in words of JavaScript.
import assert from 'node:assert/strict';
import os from 'node:os';
import { loadNative } from '../../lib/native/binding';

const MASK = 2n ** 64n - 1n;
const MULTIPLIER = 0x9e3779b97f4a7c15n;
const SEEDS = [0x243f6a8885a308d3n, 0x13198a2e03707344n, 0xa4093822299f31d0n, 0x082efa98ec4e6c89n];

function step(lane: bigint, word: bigint): bigint {
  const product = ((lane ^ word) * MULTIPLIER) & MASK;
  return product ^ (product >> 32n);
}

function expected(bytes: Uint8Array): bigint {
  const lanes = [...SEEDS];
  const padded = Buffer.alloc(Math.ceil(bytes.length / 8) * 8);
  padded.set(bytes);
  for (let word = 0; word * 8 < padded.length; word++) {
    const at = word * 8;
    const value =
      os.endianness() === 'LE' ? padded.readBigUInt64LE(at) : padded.readBigUInt64BE(at);
    lanes[word % 4] = step(lanes[word % 4] as bigint, value);
  }
  let hash = BigInt(bytes.length);
  for (const lane of lanes) hash = step(hash, lane);
  return step(hash, 0n);
}

function pattern(bytes: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: bytes }, (_, i) => (i * 131 + 7) & 0xff));
}

const { native } = loadNative();

if (native === undefined) {
  describe('the hash of memory', () => it('skipped: the addon does not load here'));
} else {
  describe('the hash of memory', () => {
    const hash = (bytes: Uint8Array): bigint => native.hashBytes(bytes);

    it('equals a reference implementation, for every length up to some lanes', () => {
      for (let bytes = 0; bytes <= 200; bytes++) {
        assert.equal(hash(pattern(bytes)), expected(pattern(bytes)), `${bytes} bytes`);
      }
      for (const bytes of [4096, 65_537]) {
        assert.equal(hash(pattern(bytes)), expected(pattern(bytes)), `${bytes} bytes`);
      }
    });

    it('does not depend on where the bytes lie', () => {
      const bytes = pattern(777);
      const around = Buffer.alloc(1_000, 0xee);
      for (let at = 0; at < 17; at++) {
        around.fill(0xee).set(bytes, at);
        assert.equal(hash(around.subarray(at, at + 777)), hash(bytes));
      }
    });

    it('changes with every bit', () => {
      const bytes = pattern(257);
      const before = hash(bytes);
      const seen = new Set<bigint>([before]);
      for (let bit = 0; bit < 8 * bytes.length; bit++) {
        (bytes[bit >> 3] as number) ^= 1 << (bit & 7);
        seen.add(hash(bytes));
        (bytes[bit >> 3] as number) ^= 1 << (bit & 7);
      }
      assert.equal(seen.size, 8 * bytes.length + 1);
      assert.equal(hash(bytes), before);
    });

    it('changes with swapped words, lanes and rows, and with zeros added or removed', () => {
      const seen = new Set<bigint>();
      for (const size of [0, 1, 7, 8, 9, 31, 32, 33, 64]) seen.add(hash(Buffer.alloc(size)));
      assert.equal(seen.size, 9);
      const bytes = pattern(128);
      for (const [from, to] of [
        [0, 8],
        [0, 32],
        [8, 96],
        [64, 72],
      ] as const) {
        const swapped = Buffer.from(bytes);
        swapped.set(bytes.subarray(from, from + 8), to);
        swapped.set(bytes.subarray(to, to + 8), from);
        assert.notEqual(hash(swapped), hash(bytes), `${from} and ${to}`);
      }
    });

    it('of a detached buffer equals that of an empty one', () => {
      const bytes = Buffer.from(new ArrayBuffer(64));
      structuredClone(bytes.buffer, { transfer: [bytes.buffer as ArrayBuffer] });
      assert.equal(hash(bytes), hash(Buffer.alloc(0)));
    });
  });
}
