// When a writer is taken for one that waits for its callbacks, and when not, as rounds of a clock.
import assert from 'node:assert/strict';
import { WaitingWriter } from '../../../lib/policy/waiting-writer';

/** One writer, its clock and its peer. */
class Writing {
  readonly writer = new WaitingWriter();
  nowMs = 1_000_000;
  heard = 0;

  /** Writes; answers whether that was copied. */
  write(): boolean {
    if (this.writer.watches) this.writer.wrote(this.nowMs, this.heard);
    return this.writer.copies(this.nowMs);
  }

  /**
   * Writes, is released after `waitMs`, and works for `workMs` before it goes on.
   * @param peerMs how long the peer takes until it says what the writer answers, where it answers
   */
  round({ waitMs = 10, workMs = 0, hears = 0, others = 0, peerMs = 0 }): boolean {
    const copied = this.write();
    if (copied) this.nowMs += peerMs;
    if (!copied) {
      this.nowMs += waitMs;
      const cause = this.writer.handingBack(waitMs, this.heard, others);
      if (cause === 'at once' && workMs > 0) this.writer.forget();
    }
    this.nowMs += workMs;
    this.heard += hears;
    return copied;
  }

  rounds(count: number, round: Parameters<Writing['round']>[0]): number {
    let copies = 0;
    for (let i = 0; i < count; i++) if (this.round(round)) copies++;
    return copies;
  }
}

describe('a writer that waits for its callbacks', () => {
  it('has its writes copied from the fifth on', () => {
    const writing = new Writing();
    assert.equal(writing.rounds(4, {}), 0);
    assert.equal(writing.rounds(20, {}), 20);
    assert.equal(writing.writer.state, 'paused');
  });

  it('is recognised despite a little work between its writes', () => {
    const writing = new Writing();
    assert.equal(writing.rounds(24, { waitMs: 1, workMs: 2 }), 20);
  });

  it('is recognised with two writes in flight, when it continues at once', () => {
    const writing = new Writing();
    assert.equal(writing.rounds(24, { waitMs: 5, others: 1 }), 20);
  });

  it('is recognised by a trial with two writes in flight, when it continues later', () => {
    const writing = new Writing();
    const round = { waitMs: 3, workMs: 1, others: 1 };
    assert.equal(writing.rounds(10, round), 0);
    assert.equal(writing.rounds(100, round), 100);
    assert.equal(writing.writer.state, 'paused');
  });

  it('is recognised by a trial when its peer sends all the time', () => {
    const writing = new Writing();
    const round = { waitMs: 10, workMs: 0.2, hears: 1 };
    assert.equal(writing.rounds(7, round), 0);
    assert.equal(writing.rounds(100, round), 100);
  });

  it('is recognised by a shorter trial when it is checked again', () => {
    const writing = new Writing();
    const round = { waitMs: 10, workMs: 0.2, hears: 1 };
    writing.rounds(20, round);
    writing.nowMs += 600;
    assert.equal(writing.rounds(4, round), 0);
    assert.equal(writing.rounds(100, round), 100);
  });

  it('is checked again after half a second, then less and less often', () => {
    const writing = new Writing();
    const probes: number[] = [];
    const start = writing.nowMs;
    while (writing.nowMs < start + 60_000) {
      if (!writing.round({ waitMs: 1, workMs: 0.1 })) probes.push(writing.nowMs - start);
    }
    const gaps = probes.slice(4).map((at, i) => Math.round((at - (probes[i + 3] as number)) / 100));
    assert.deepEqual(gaps.slice(0, 7), [5, 10, 20, 40, 80, 80, 80]);
  });

  it('is left alone for longer when a wait is long', () => {
    const writing = new Writing();
    writing.rounds(5, { waitMs: 400 });
    const paused = writing.nowMs;
    while (writing.round({ waitMs: 400, workMs: 1 }));
    const gap = writing.nowMs - paused;
    assert.ok(gap >= 19_000 && gap <= 21_000, `looked at again after ${gap} ms`);
  });

  it('is no longer one when it continues without waiting', () => {
    const writing = new Writing();
    writing.rounds(5, {});
    writing.nowMs += 600;
    for (let i = 0; i < 10; i++) assert.equal(writing.write(), false);
    assert.equal(writing.writer.state, 'active');
    assert.equal(writing.writer.watches, false);
  });

  it('is no longer one when it waits for a small part of its time', () => {
    const writing = new Writing();
    writing.rounds(5, {});
    writing.nowMs += 600;
    assert.equal(writing.rounds(3, { waitMs: 1, workMs: 50 }), 0);
    assert.equal(writing.writer.state, 'active');
  });
});

describe('a writer is not mistaken for one that waits', () => {
  it('when it writes occasionally', () => {
    assert.equal(new Writing().rounds(50, { waitMs: 10, workMs: 100 }), 0);
  });

  it('when it answers its peer', () => {
    const writing = new Writing();
    assert.ok(writing.rounds(50, { hears: 100, peerMs: 10 }) <= 4);
    assert.equal(writing.writer.state, 'active');
  });

  it('when it answers its peer after some work, with fewer and fewer trials', () => {
    const writing = new Writing();
    const round = { waitMs: 10, workMs: 1, hears: 100, peerMs: 10 };
    const copies = [100, 1_000, 1_000, 10_000].map((rounds) => writing.rounds(rounds, round));
    assert.equal(writing.writer.state, 'active');
    assert.ok(
      (copies[0] as number) > 0 && (copies[0] as number) <= 12,
      `of the first: ${copies[0]}`,
    );
    assert.ok((copies[3] as number) <= 40, `of the last: ${copies[3]}`);
  });

  it('when it answers its peer in bursts', () => {
    const writing = new Writing();
    const round = { waitMs: 10, workMs: 1, hears: 100, peerMs: 10 };
    let copies = 0;
    for (let i = 0; i < 200; i++) {
      for (let j = 0; j < 7; j++) if (writing.write()) copies++;
      if (writing.round(round)) copies++;
    }
    assert.ok(copies > 0 && copies <= 8 * 12, `${copies} of 1,600`);
    assert.equal(writing.writer.state, 'active');
  });

  it('when it waits at the end of long bursts', () => {
    const writing = new Writing();
    for (let burst = 0; burst < 20; burst++) {
      for (let i = 0; i < 50; i++) {
        assert.equal(writing.write(), false);
        writing.nowMs += 1;
      }
      writing.nowMs += 10;
      writing.writer.handingBack(10, 0, 0);
    }
  });
});
