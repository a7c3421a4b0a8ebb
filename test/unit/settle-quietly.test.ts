// Acceptance that runs no user code: in the order of the writes, and nothing follows a failure.
import assert from 'node:assert/strict';
import type net from 'node:net';
import { Writable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { settleQuietly } from '../../lib/node-private';

type Settle = (error?: Error | null) => void;

/** A stream whose first write waits, and whose later ones are accepted at once. */
function stream() {
  const sent: string[] = [];
  const called: string[] = [];
  let settle: Settle = () => assert.fail('nothing was written');
  const writable = new Writable({
    decodeStrings: false,
    write(chunk: string, _encoding, callback) {
      sent.push(chunk);
      if (sent.length === 1) settle = callback;
      else callback();
    },
    writev(chunks, callback) {
      for (const { chunk } of chunks) sent.push(chunk as string);
      callback();
    },
  });
  const write = (text: string): void => {
    writable.write(text, (error) => called.push(error ? `${text} failed` : text));
  };
  const settleFirst = (error?: Error): void =>
    settleQuietly(writable as unknown as net.Socket, () => settle(error));
  return { writable, sent, called, write, settleFirst };
}

describe('settleQuietly', () => {
  for (const buffered of [['b'], ['b', 'c', 'd']]) {
    it(`calls back later, and in order with ${buffered.length} buffered behind it`, async () => {
      const { sent, called, write, settleFirst } = stream();
      for (const text of ['a', ...buffered]) write(text);
      settleFirst();
      assert.deepEqual([sent, called], [['a', ...buffered], []]);
      await nextTurn();
      assert.deepEqual(called, ['a', ...buffered]);
    });
  }

  it('sends nothing behind a write that failed', async () => {
    const { writable, sent, called, write, settleFirst } = stream();
    writable.on('error', (error) => called.push(error.message));
    for (const text of ['a', 'b', 'c']) write(text);
    settleFirst(new Error('no more'));
    assert.deepEqual([sent, called], [['a'], []]);
    await nextTurn();
    assert.deepEqual(sent, ['a']);
    assert.deepEqual(called, ['a failed', 'b failed', 'c failed', 'no more']);
  });

  it('leaves the stream to call back at once when nothing was settled', async () => {
    const { writable, called, write } = stream();
    write('a');
    settleQuietly(writable as unknown as net.Socket, () => {});
    writable.once('drain', () => called.push('drain'));
    assert.equal(
      (writable as unknown as { _writableState: { sync: boolean } })._writableState.sync,
      false,
    );
    await nextTurn();
    assert.deepEqual(called, []);
  });

  it('keeps a corked stream corked', async () => {
    const { writable, sent, write, settleFirst } = stream();
    write('a');
    writable.cork();
    write('b');
    settleFirst();
    await nextTurn();
    assert.deepEqual(sent, ['a']);
    writable.uncork();
    assert.deepEqual(sent, ['a', 'b']);
  });
});
