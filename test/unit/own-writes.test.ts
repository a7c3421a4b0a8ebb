// Which writes count as the upgraded socket's own, in every order in which a stream can be given them.
import assert from 'node:assert/strict';
import { OwnWrites } from '../../lib/tcp/own-writes';

describe('own writes', () => {
  it('are those that reach _write() directly', () => {
    const own = new OwnWrites();
    const [a, b] = [Buffer.alloc(5), new Uint8Array(7)];
    own.begin(a, a.length, 0, true);
    assert.equal(own.arrives(a, 5, 5), true);
    assert.equal(own.passing, undefined);
    // Streams make a Buffer of it.
    own.begin(b, b.length, 0, true);
    assert.equal(own.arrives(Buffer.from(b.buffer), 7, 7), true);
    assert.equal(own.arrives(a, 5, 5), false, 'nobody passed it');
  });

  it('are those that wait, as long as nothing foreign does', () => {
    const own = new OwnWrites();
    for (const [chunk, waiting] of [
      ['abc', 10],
      ['de', 13],
    ] as const) {
      own.begin(chunk, chunk.length, waiting, false);
      own.end(chunk.length);
    }
    assert.equal(own.arrives('de', 5, 5), true);
  });

  it('exclude what waits behind or before a foreign write, until the stream is empty', () => {
    for (const foreignFirst of [true, false]) {
      const own = new OwnWrites();
      const foreign = 4;
      own.begin('abc', 'abc'.length, foreignFirst ? foreign : 10, false);
      own.end(3);
      assert.equal(own.arrives('abc', foreignFirst ? 4 : 3, 7), false);
      assert.equal(own.arrives('abc', foreignFirst ? 3 : 4, foreignFirst ? 3 : 4), false);
      own.begin('abc', 'abc'.length, 0, false);
      assert.equal(own.arrives('abc', 3, 3), true);
    }
  });

  it('exclude an own end() together with writes that other code corked', () => {
    const own = new OwnWrites();
    const last = Buffer.alloc(1929);
    own.begin(last, last.length, 23, true);
    assert.equal(own.arrives(last, 1952, 1952), false);
    const alone = new OwnWrites();
    alone.begin('abc', 'abc'.length, 0, false);
    alone.end(3);
    alone.begin(last, last.length, 3, true);
    assert.equal(alone.arrives(last, 1932, 1932), true);
  });

  it('exclude what a program passes to _write() past the stream', () => {
    const own = new OwnWrites();
    const chunk = Buffer.alloc(5);
    assert.equal(own.arrives(chunk, 5, 0), false);
    for (let i = 0; i < 2; i++) {
      own.begin(chunk, chunk.length, 0, true);
      assert.equal(own.arrives(chunk, 5, 5), true);
      assert.equal(own.arrives(chunk, 5, 0), false);
    }
  });

  it('exclude writes that a wrapper added to', () => {
    const own = new OwnWrites();
    own.begin('abc', 'abc'.length, 10, false);
    own.end(4);
    assert.equal(own.arrives('abc', 4, 4), false);
  });

  it('exclude what waited when it was disowned', () => {
    const own = new OwnWrites();
    own.begin('abc', 'abc'.length, 10, false);
    own.end(3);
    own.disown();
    assert.equal(own.arrives('abc', 3, 3), false);
  });
});
