// Callbacks that Node calls out of write order are released in it.
import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { HeldCallbacks, heldCallbacks } from '../../lib/send/release-callbacks';

function held() {
  const released: string[] = [];
  const callbacks = new HeldCallbacks((callback, error) => callback(error));
  const hold = (name: string) =>
    callbacks.hold((error) => released.push(error ? `${name} ${error.message}` : name));
  return { callbacks, released, hold };
}

const gone = new Error('failed');

describe('held callbacks', () => {
  it('are released at once when Node calls them in order', () => {
    const { callbacks, released, hold } = held();
    const [a, b] = [hold('a'), hold('b')];
    assert.equal(callbacks.any, true);
    a();
    b(gone);
    assert.deepEqual(released, ['a', 'b failed']);
    assert.equal(callbacks.any, false);
  });

  it('that fail before the ticks of earlier ones run after them', async () => {
    const { released, hold } = held();
    const [a, b, c, d] = [hold('a'), hold('b'), hold('c'), hold('d')];
    process.nextTick(a);
    process.nextTick(b);
    c(gone);
    d(gone);
    assert.deepEqual(released, []);
    await nextTurn();
    assert.deepEqual(released, ['a', 'b', 'c failed', 'd failed']);
  });

  it('that fail behind one waiting for its tick wait, too', async () => {
    const { released, hold } = held();
    const [a, b, c] = [hold('a'), hold('b'), hold('c')];
    process.nextTick(() => {
      a();
      c(gone);
    });
    b(gone);
    await nextTurn();
    assert.deepEqual(released, ['a', 'b failed', 'c failed']);
  });

  // A write that fails within the call, behind some that were accepted so.
  it('that fail before the tick of an earlier failure run after it', async () => {
    const { released, hold } = held();
    const [a, b, c, d, e] = [hold('a'), hold('b'), hold('c'), hold('d'), hold('e')];
    process.nextTick(() => {
      a();
      d(gone);
      e(gone);
    });
    process.nextTick(b);
    process.nextTick(() => c(gone));
    await nextTurn();
    assert.deepEqual(released, ['a', 'b', 'c failed', 'd failed', 'e failed']);
  });

  it('do not wait for one that Node never calls', async () => {
    const { released, hold } = held();
    hold('never');
    hold('b')(gone);
    await nextTurn();
    assert.deepEqual(released, ['b failed']);
  });

  it('are not held up by one that is never called, and report whether any is left', () => {
    const { callbacks, released, hold } = held();
    hold('never');
    for (let i = 0; i < 100_001; i++) hold('x')();
    assert.equal(released.length, 100_001);
    assert.equal(callbacks.any, false);
    const last = hold('last');
    assert.equal(callbacks.any, true);
    last(gone);
    assert.equal(released.at(-1), 'last failed');
    assert.equal(callbacks.any, false);
  });

  it('are distinguished from callbacks that are not held', () => {
    const { hold } = held();
    assert.equal(heldCallbacks.has(hold('a')), true);
    assert.equal(
      heldCallbacks.has(() => undefined),
      false,
    );
  });
});
