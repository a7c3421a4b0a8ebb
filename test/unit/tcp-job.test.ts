// Which chunks of a write go zero-copy, which are staged beside them, and which are copied.
import assert from 'node:assert/strict';
import type { Segment } from '../../lib/send/job';
import { resolveOptions, type ResolvedOptions, type ZeroCopyOptions } from '../../lib/send/options';
import { SendTracker } from '../../lib/observe/report';
import { buildSegments, worthBytes, type Chunk } from '../../lib/tcp/job';
import { bytesOf, ENCODINGS, randomChunk, randomText } from '../helpers/mixed-chunks';
import { between, seededRandom } from '../helpers/prng';

// The cases are written for a smallest chunk of 4 KiB, whatever the default is.
function optionsFrom(given: ZeroCopyOptions): ResolvedOptions {
  const options = resolveOptions(given);
  // A program's own predicate has been asked by now (test/socket/source.test.ts).
  const source = options.ask ?? options.source;
  return { ...options, source, minimumChunk: Math.min(4096, options.minimumChunk) };
}

function chunk(of: number | string, encoding: BufferEncoding = 'utf8'): Chunk {
  return typeof of === 'string'
    ? { chunk: of, encoding }
    : { chunk: Buffer.alloc(of, of % 251), encoding };
}

function reaches(sizes: readonly (number | string)[], options: ZeroCopyOptions = {}): boolean {
  const resolved = optionsFrom(options);
  const chunks = sizes.map((size) => chunk(size));
  return worthBytes(chunks, resolved) >= Math.max(1, resolved.threshold);
}

function build(chunks: readonly Chunk[], options: ZeroCopyOptions = {}): readonly Segment[] {
  const { segments, bytes } = buildSegments(chunks, optionsFrom(options), undefined);
  assert.equal(
    segments.reduce((sum, segment) => sum + segment.bytes, 0),
    bytes,
  );
  return segments;
}

function content(segments: readonly Segment[]): Buffer {
  return Buffer.concat(segments.flatMap((segment) => segment.pieces));
}

/** `z100` for 100 bytes without copying, `c5 reason` for 5 copied ones; pieces in brackets. */
function sketch(segments: readonly Segment[]): string[] {
  return segments.map((segment) => {
    const sizes = segment.pieces.map((piece) => piece.length).join('+');
    return `${segment.zeroCopy ? 'z' : `${segment.reason} `}[${sizes}]`;
  });
}

const K = 1024;

describe('tcp-job: worthBytes', () => {
  const tables: [
    title: string,
    sizes: (number | string)[],
    options: ZeroCopyOptions,
    expected: boolean,
  ][] = [
    ['nothing', [], {}, false],
    ['one byte short', [32 * K - 1], {}, false],
    ['just enough', [32 * K], {}, true],
    ['two large chunks add up', [16 * K, 16 * K], {}, true],
    ['chunks of the smallest size add up', Array<number>(8).fill(4096), {}, true],
    ['small chunks never add up', Array<number>(10_000).fill(4095), {}, false],
    ['small chunks do not help large ones', [28 * K, ...Array<number>(100).fill(4095)], {}, false],
    ['a long string', ['x'.repeat(32 * K)], {}, true],
    ['an empty write, everything forced by 0', [0, ''], { threshold: 0 }, false],
    ['an empty write, everything forced by 1', [0, ''], { threshold: 1 }, false],
    ['one byte, everything forced by 0', [0, 1], { threshold: 0 }, true],
    ['one byte, everything forced by 1', [0, 1], { threshold: 1 }, true],
    ['a small threshold lowers the smallest chunk', [50, 50], { threshold: 100 }, false],
    ['a small threshold is reached by one chunk', [99, 100], { threshold: 100 }, true],
    ['source refuses', [64 * K], { source: () => false }, false],
    [
      'source refuses the half of it',
      [16 * K, 17 * K],
      { source: (c) => c.length > 16 * K },
      false,
    ],
    ['source allows', [64 * K], { source: () => true }, true],
  ];
  for (const [title, sizes, options, expected] of tables) {
    it(`${title}: ${expected ? 'yes' : 'no'}`, () =>
      assert.equal(reaches(sizes, options), expected));
  }
});

describe('tcp-job: buildSegments', () => {
  it('makes one segment of a single large chunk, and does not copy it', () => {
    const large = chunk(64 * K);
    const [segment, ...rest] = build([large]);
    assert.deepEqual(rest, []);
    assert.equal(segment?.zeroCopy, true);
    assert.equal(segment.pieces[0], large.chunk);
  });

  it('sends a header, a body and a trailer in one segment', () => {
    const body = chunk(64 * K);
    const segments = build([chunk('HTTP/1.1 200 OK\r\n\r\n', 'latin1'), body, chunk('0\r\n\r\n')]);
    assert.deepEqual(sketch(segments), [`z[19+${64 * K}+5]`]);
    assert.equal(segments[0]?.pieces[1], body.chunk);
  });

  it('copies small buffers at once: their owner may use them again', () => {
    const small = Buffer.from('small');
    const segments = build([{ chunk: small, encoding: 'utf8' }, chunk(64 * K)]);
    small.fill('x');
    assert.equal(content(segments).subarray(0, 5).toString(), 'small');
  });

  it('leaves a long run of small chunks to a copying call, in its place', () => {
    const run = [chunk(2048), chunk(2049)];
    assert.deepEqual(sketch(build([chunk(8 * K), ...run, chunk(8 * K)])), [
      'z[8192]',
      'below-threshold [2048+2049]',
      'z[8192]',
    ]);
    assert.deepEqual(sketch(build([chunk(8 * K), chunk(2048), chunk(2048), chunk(8 * K)])), [
      'z[8192+2048+2048+8192]',
    ]);
  });

  it('keeps memory that the source refuses out, and large text in', () => {
    const denied = Buffer.alloc(8 * K, 1);
    const options = { source: (bytes: Uint8Array) => bytes !== denied };
    const chunks = [
      chunk(8 * K),
      { chunk: denied, encoding: 'utf8' } as Chunk,
      chunk('y'.repeat(6000)),
    ];
    assert.deepEqual(sketch(build(chunks, options)), ['z[8192]', 'source [8192]', 'z[6000]']);
  });

  it('does not join two kinds of copied bytes', () => {
    const options = { source: () => false };
    assert.deepEqual(sketch(build([chunk(8 * K), chunk(4000), chunk(97), chunk(8 * K)], options)), [
      'source [8192]',
      'below-threshold [4000+97]',
      'source [8192]',
    ]);
  });

  it('leaves empty chunks out', () => {
    assert.deepEqual(sketch(build([chunk(0), chunk(''), chunk(8 * K), chunk('')])), ['z[8192]']);
    assert.deepEqual(build([chunk(''), chunk(0)]), []);
  });

  it('leaves text out that encodes to nothing: an empty piece looks like a detached buffer', () => {
    const chunks = [chunk('zz', 'hex'), chunk(64 * K), chunk('z'.repeat(5000), 'hex')];
    assert.deepEqual(sketch(build(chunks)), [`z[${64 * K}]`]);
  });

  for (const encoding of ENCODINGS) {
    it(`sends the same bytes as Node for text in ${encoding}`, () => {
      const random = seededRandom(encoding.length);
      for (const length of [1, 2, 3, 100, 4095, 4096, 40_000]) {
        const text = randomText(random, length, encoding);
        for (const around of [[], [chunk(64 * K)]]) {
          const segments = build([...around, chunk(text, encoding)], { threshold: 4096 });
          const sent = content(segments).subarray(around.length * 64 * K);
          assert.deepEqual(sent, Buffer.from(text, encoding));
        }
      }
    });
  }

  it('tells trackers at once what was staged, and rides the rest with the pieces', () => {
    const trackers = new Map<unknown, SendTracker>();
    const chunks = [chunk(10), chunk(64 * K), chunk(5000), chunk(3000), chunk(3000)];
    for (const { chunk: bytes } of chunks) trackers.set(bytes, new SendTracker(bytes.length));
    const options = optionsFrom({ source: (bytes) => bytes.length !== 5000 });
    const { segments } = buildSegments(chunks, options, (bytes) => trackers.get(bytes));
    const [small, large, denied, first, second] = [...trackers.values()];
    assert.deepEqual(
      segments.map((segment) => segment.trackers),
      [[undefined, large], [denied], [first, second]],
    );
    assert.equal(small?.report().copiedBytes, 10);
    assert.equal(small?.report().reason, 'below-threshold');
    assert.equal(large?.report().copiedBytes, 0);
  });

  it('has no trackers where nobody wants to know', () => {
    for (const segment of buildSegments(
      [chunk(10), chunk(64 * K)],
      optionsFrom({}),
      () => undefined,
    ).segments) {
      assert.equal(segment.trackers, undefined);
    }
  });

  it('keeps every byte in order, whatever the chunks and options', () => {
    const random = seededRandom(20);
    for (let round = 0; round < 400; round++) {
      const chunks = Array.from({ length: between(random, 0, 30) }, () => {
        const size = random() < 0.5 ? between(random, 0, 300) : between(random, 4000, 9000);
        return randomChunk(random, size);
      });
      const threshold = [0, 1, 100, 4096, 32 * K][between(random, 0, 4)] as number;
      const source = (bytes: Uint8Array): boolean => bytes.length % 3 !== 0;
      const options = optionsFrom({ threshold, ...(random() < 0.5 ? { source } : {}) });
      const trackers = chunks.map((one) => new SendTracker(one.chunk.length));
      const byChunk = new Map(chunks.map((one, index) => [one.chunk, trackers[index]]));
      // One chunk without a tracker is a case of its own, and only of a write that is worth it.
      const tracked = random() < 0.5;
      if (!tracked && worthBytes(chunks, options) < options.floor) continue;
      const { segments, bytes } = buildSegments(
        chunks,
        options,
        tracked ? (one) => byChunk.get(one as Buffer | string) : undefined,
      );
      const expected = Buffer.concat(chunks.map(bytesOf));
      assert.ok(content(segments).equals(expected), `round ${round}`);
      assert.equal(bytes, expected.length);
      for (const segment of segments) {
        const sum = segment.pieces.reduce((total, piece) => total + piece.length, 0);
        assert.equal(segment.bytes, sum);
        if (segment.trackers) assert.equal(segment.trackers.length, segment.pieces.length);
        assert.equal(segment.zeroCopy, segment.reason === undefined);
      }
    }
  });
});
