// Records of detectMutation: what holds them, what they compare, and what they report.
import assert from 'node:assert/strict';
import { zeroCounters } from '../../lib/observe/counters';
import type { ZeroCopyError } from '../../lib/errors';
import {
  compareReleased,
  MutationWatch,
  rememberCaller,
  type MutationSubject,
} from '../../lib/memory/mutation';
import { Heard, WarningsHeard, type Finding } from '../helpers/heard';

/** Sums bytes, and counts its calls. */
class FakeNative {
  calls = 0;
  hashBytes(bytes: Uint8Array): bigint {
    this.calls++;
    return BigInt(bytes.reduce((sum, byte) => sum + byte, bytes.length));
  }
}

class Subject implements MutationSubject {
  readonly socket = {};
  readonly counting = zeroCounters();
  readonly errors: ZeroCopyError[] = [];
  constructor(readonly isOpen: 'open' | 'closed' = 'open') {}
  fail(error: ZeroCopyError): boolean {
    this.errors.push(error);
    return this.isOpen === 'open';
  }
}

// Findings are reported in a later tick, warnings one tick after that.
function reported(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('watching buffers', () => {
  const native = new FakeNative();
  let found: Heard<Finding>;
  let warnings: WarningsHeard;
  beforeEach(() => {
    native.calls = 0;
    found = new Heard<Finding>('mutation');
    warnings = new WarningsHeard();
  });
  afterEach(() => {
    found.stop();
    warnings.stop();
  });

  it('compares once, when the last holder releases', async () => {
    const buffer = Buffer.alloc(10);
    const subject = new Subject();
    const watch = new MutationWatch([buffer], subject, 'throw', native);
    watch.retain();
    watch.retain();
    assert.equal(native.calls, 1);
    buffer[3] = 1;
    watch.release();
    watch.release();
    compareReleased();
    assert.deepEqual([native.calls, subject.counting.mutatedBuffers], [1, 0]);
    watch.release();
    compareReleased();
    compareReleased();
    assert.deepEqual([native.calls, subject.counting.mutatedBuffers], [2, 1]);
    assert.equal(subject.errors.length, 0, 'reported before the next tick');
    await reported();
    assert.deepEqual(
      subject.errors.map(({ code }) => code),
      ['ERR_ZC_BUFFER_MUTATED'],
    );
    assert.deepEqual(warnings.list, []);
  });

  it('sees neither a change that was undone, nor one after the release', async () => {
    const buffer = Buffer.alloc(10);
    const subject = new Subject();
    const watch = new MutationWatch([buffer], subject, 'throw', native);
    buffer[3] = 1;
    buffer[3] = 0;
    watch.release();
    compareReleased();
    buffer[3] = 2;
    await reported();
    assert.deepEqual([subject.counting.mutatedBuffers, found.messages], [0, []]);
  });

  it('sees a change after a release that was not reported', async () => {
    const buffer = Buffer.alloc(10);
    const subject = new Subject();
    new MutationWatch([buffer], subject, 'throw', native).release();
    buffer[3] = 2;
    await reported();
    assert.equal(subject.counting.mutatedBuffers, 1);
  });

  it('distinguishes changed, resized and detached buffers from unchanged ones', async () => {
    const changed = Buffer.alloc(11);
    const detached = Buffer.from(new ArrayBuffer(12));
    const memory = new (
      ArrayBuffer as unknown as {
        new (bytes: number, options: object): ArrayBuffer & { resize(bytes: number): void };
      }
    )(13, { maxByteLength: 26 });
    const resized = new Uint8Array(memory);
    const same = Buffer.alloc(14);
    const empty = Buffer.alloc(0);
    const subject = new Subject();
    const all = [changed, detached, resized, same, empty];
    const watch = new MutationWatch(all, subject, 'throw', native);
    changed[0] = 255;
    structuredClone(detached.buffer, { transfer: [detached.buffer as ArrayBuffer] });
    memory.resize(26);
    watch.release();
    await reported();
    assert.deepEqual(
      found.messages.map(({ bytes, kind, socket }) => [bytes, kind, socket === subject.socket]),
      [
        [11, 'changed', true],
        [12, 'detached', true],
        [13, 'changed', true],
      ],
    );
    assert.equal(subject.counting.mutatedBuffers, 3);
  });

  it('names the caller that passed the buffer, even when it is sent later', async () => {
    const buffer = Buffer.alloc(10);
    (function handsOver() {
      rememberCaller([buffer]);
    })();
    await reported();
    const watch = new MutationWatch([buffer], new Subject(), 'throw', native);
    buffer[0] = 1;
    watch.release();
    await reported();
    assert.match(found.messages[0]?.stack ?? '', /^\s+at handsOver .*mutation\.test\.js:\d+:\d+/);
  });

  it('does not change the depth of other stack traces', () => {
    const { stackTraceLimit } = Error;
    rememberCaller([Buffer.alloc(1)]);
    assert.equal(Error.stackTraceLimit, stackTraceLimit);
  });

  it('warns once for each call site, whichever way leads there', async () => {
    function findsTwice(buffer: Buffer): void {
      for (const value of [1, 2]) {
        const watch = new MutationWatch([buffer], new Subject(), 'warn', native);
        buffer[0] = value;
        watch.release();
      }
    }
    findsTwice(Buffer.alloc(10));
    await reported();
    findsTwice(Buffer.alloc(10));
    await reported();
    const elsewhere = Buffer.alloc(10);
    const watch = new MutationWatch([elsewhere], new Subject(), 'warn', native);
    elsewhere[0] = 1;
    watch.release();
    await reported();
    assert.deepEqual([found.messages.length, warnings.list.length], [5, 2]);
    assert.match(String(warnings.list[0]?.detail), /findsTwice/);
  });

  it("warns when 'throw' has no listener to report to", async () => {
    const buffer = Buffer.alloc(10);
    const watch = new MutationWatch([buffer], new Subject('closed'), 'throw', native);
    buffer[0] = 1;
    watch.release();
    await reported();
    assert.equal(warnings.list.length, 1);
  });
});
