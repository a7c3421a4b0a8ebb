// Codes and shapes of errors: what programs match on.
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import * as errors from '../../lib/errors';

describe('errors', () => {
  it("of bad arguments have the form of Node's own", () => {
    const type = errors.invalidType('options.threshold', 'a number of bytes', '5');
    assert.ok(type instanceof TypeError);
    assert.equal((type as NodeJS.ErrnoException).code, 'ERR_INVALID_ARG_TYPE');
    assert.equal(
      type.message,
      `The "options.threshold" property must be a number of bytes. Received type string ('5')`,
    );
    const range = errors.outOfRange('options.threshold', '>= 0', -1);
    assert.ok(range instanceof RangeError);
    assert.equal((range as NodeJS.ErrnoException).code, 'ERR_OUT_OF_RANGE');
    assert.match(range.message, /"options\.threshold".*>= 0.*Received -1/);
    assert.match(errors.invalidType('data', 'a Buffer', 5).message, /^The "data" argument must be/);
    const text = errors.outOfRange('MSG_ZEROCOPY_THRESHOLD', 'a number', 'x');
    assert.match(text.message, /Received 'x'$/);
  });

  const received: [unknown, RegExp][] = [
    [undefined, /Received undefined$/],
    [null, /Received null$/],
    [[], /Received an instance of Array$/],
    [new Map(), /Received an instance of Map$/],
    [Object.create(null), /Received an instance of Object$/],
    [function named() {}, /Received function named$/],
    [Symbol('s'), /Received type symbol \(Symbol\(s\)\)$/],
    [10n, /Received type bigint \(10n\)$/],
    ['x'.repeat(40), /Received type string \('x{24}\.\.\.\)$/],
  ];
  for (const [value, pattern] of received) {
    it(`describe the received value: ${pattern.source}`, () => {
      assert.match(errors.invalidType('x', 'a number', value).message, pattern);
    });
  }

  it('of system calls carry errno, code and syscall', () => {
    const error = errors.systemError(-constants.errno.EPIPE, 'write');
    assert.equal(error.message, 'write EPIPE');
    assert.deepEqual(
      { code: error.code, errno: error.errno, syscall: error.syscall },
      { code: 'EPIPE', errno: -constants.errno.EPIPE, syscall: 'write' },
    );
  });

  it("name 524, the kernel's internal ENOTSUPP, which no errno table has", () => {
    assert.equal(errors.errnoName(-524), 'ENOTSUPP');
    assert.equal(errors.systemError(-524, 'setsockopt').message, 'setsockopt ENOTSUPP');
  });

  it('of this package have a stable code, shown in their text', () => {
    for (const [error, code] of [
      [errors.bufferDetached(), 'ERR_ZC_BUFFER_DETACHED'],
      [errors.handleTaken(), 'ERR_ZC_HANDLE_TAKEN'],
    ] as const) {
      assert.ok(error instanceof errors.ZeroCopyError);
      assert.equal(error.code, code);
      assert.equal(error.name, 'ZeroCopyError');
      assert.ok(Object.keys(error).includes('code'));
    }
  });

  it("of the stream have Node's codes", () => {
    const codes = [errors.streamDestroyed(), errors.closedBeforeConnection()].map(
      (error) => (error as NodeJS.ErrnoException).code,
    );
    assert.deepEqual(codes, ['ERR_STREAM_DESTROYED', 'ERR_SOCKET_CLOSED_BEFORE_CONNECTION']);
  });
});
