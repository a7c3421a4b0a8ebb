// The queue of callbacks that wait for memory to be released.
import assert from 'node:assert/strict';
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import { ReleaseCallbacks } from '../../lib/send/release-callbacks';
import { uncaughtDuring } from '../helpers/uncaught';

function adder(queue: ReleaseCallbacks, log: unknown[]): (barrier: number, name: string) => void {
  return (barrier, name) => queue.add(barrier, () => log.push(name), undefined);
}

describe('release callbacks', () => {
  it('run when they are due, in the order of the writes', () => {
    const queue = new ReleaseCallbacks();
    const log: unknown[] = [];
    const add = adder(queue, log);
    add(0, 'a');
    add(2, 'b');
    add(2, 'c');
    add(5, 'd');
    queue.settle(0);
    assert.deepEqual(log, ['a']);
    queue.settle(1);
    assert.deepEqual(log, ['a']);
    queue.settle(4);
    assert.deepEqual(log, ['a', 'b', 'c']);
    assert.equal(queue.size, 1);
    queue.settle(Infinity);
    assert.deepEqual(log, ['a', 'b', 'c', 'd']);
    assert.equal(queue.size, 0);
  });

  it('get their receiver, and an error only when there is one', () => {
    const queue = new ReleaseCallbacks();
    const calls: [unknown, unknown[]][] = [];
    function callback(this: unknown, ...args: unknown[]): void {
      calls.push([this, args]);
    }
    const receiver = {};
    const error = new Error('reset');
    queue.add(0, callback, receiver);
    queue.add(0, callback, receiver, null);
    queue.add(0, callback, receiver, error);
    queue.settle(0);
    assert.deepEqual(calls, [
      [receiver, []],
      [receiver, [null]],
      [receiver, [error]],
    ]);
  });

  it('keep their order when a callback adds and settles others', () => {
    const queue = new ReleaseCallbacks();
    const log: unknown[] = [];
    const add = adder(queue, log);
    queue.add(
      1,
      () => {
        log.push('first');
        add(1, 'third');
        queue.settle(1);
      },
      undefined,
    );
    add(1, 'second');
    queue.settle(1);
    assert.deepEqual(log, ['first', 'second', 'third']);
  });

  it('run once each, however many there are', () => {
    const queue = new ReleaseCallbacks();
    const log: number[] = [];
    for (let id = 1; id <= 5000; id++) queue.add(id, () => log.push(id), undefined);
    for (let released = 0; released <= 5000; released += 7) queue.settle(released);
    queue.settle(5000);
    assert.deepEqual(
      log,
      Array.from({ length: 5000 }, (_, index) => index + 1),
    );
  });

  it('all run when some throw, and each exception stays uncaught', async () => {
    const queue = new ReleaseCallbacks();
    const log: unknown[] = [];
    const add = adder(queue, log);
    const fail = (message: string) => (): never => {
      throw new Error(message);
    };
    add(1, 'before');
    queue.add(1, fail('one'), undefined);
    add(1, 'between');
    queue.add(1, fail('two'), undefined);
    add(1, 'after');
    const uncaught = await uncaughtDuring(() => queue.settle(1));
    assert.deepEqual(log, ['before', 'between', 'after']);
    assert.deepEqual(
      uncaught.map((error) => (error as Error).message),
      ['one', 'two'],
    );
  });

  it('run in the async context they were added in, or in the given one', () => {
    const storage = new AsyncLocalStorage<string>();
    const queue = new ReleaseCallbacks();
    const seen: unknown[] = [];
    const look = (): void => void seen.push(storage.getStore());
    storage.run('first', () => queue.add(1, look, undefined));
    storage.run('second', () => queue.add(1, look, undefined));
    const resource = storage.run('third', () => new AsyncResource('TEST'));
    storage.run('elsewhere', () => queue.add(1, look, undefined, undefined, resource));
    storage.run('settling', () => queue.settle(1));
    assert.deepEqual(seen, ['first', 'second', 'third']);
  });
});
