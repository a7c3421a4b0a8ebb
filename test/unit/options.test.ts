// What a user may say, and what is said to those who say something else.
import assert from 'node:assert/strict';
import { isAllowed } from '../../lib/memory/allowed-memory';
import { resolveOptions, type ZeroCopyOptions } from '../../lib/send/options';

const TYPE = 'ERR_INVALID_ARG_TYPE';
const RANGE = 'ERR_OUT_OF_RANGE';

function resolve(given: unknown): ReturnType<typeof resolveOptions> {
  return resolveOptions(given as ZeroCopyOptions);
}

/** Runs `body` with an environment variable set to `value`. */
function withVariable(name: string, value: string | undefined, body: () => void): void {
  const before = process.env[name];
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
  try {
    body();
  } finally {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  }
}

/** With MSG_ZEROCOPY_ENGINE set to `value`, and thresholds that move. */
function withEngineVariable(value: string | undefined, body: () => void): void {
  withVariable('MSG_ZEROCOPY_THRESHOLD', undefined, () =>
    withVariable('MSG_ZEROCOPY_ENGINE', value, body),
  );
}

describe('options', () => {
  for (const [value, given, expected] of [
    ['static', 'auto', { threshold: 32_768, fixed: false, floor: 32_768 }],
    ['auto', 'auto', { threshold: 32_768, fixed: false, floor: 32_768 }],
    ['', undefined, { threshold: 32_768, fixed: false, floor: 32_768 }],
    ['100000', undefined, { threshold: 100_000, fixed: true, floor: 100_000 }],
    ['0', 'auto', { threshold: 0, fixed: true, floor: 1 }],
    ['static', 5000, { threshold: 5000, fixed: true, floor: 5000 }],
  ] as const) {
    it(`combine the threshold ${given} with MSG_ZEROCOPY_THRESHOLD=${value}`, () => {
      withVariable('MSG_ZEROCOPY_THRESHOLD', value, () => {
        const { threshold, fixed, floor } = resolve({ threshold: given });
        assert.deepEqual({ threshold, fixed, floor }, expected);
      });
    });
  }

  for (const [given, insists] of [
    [{ engine: 'msg_zerocopy' }, false],
    [{ engine: 'io_uring', threshold: 'auto' }, false],
    [{ engine: 'io_uring', threshold: 0 }, true],
    [{ engine: 'msg_zerocopy', threshold: 65_536 }, true],
    [{ threshold: 0 }, false],
  ] as const) {
    it(`${insists ? 'insist' : 'do not insist'} on zero copy with ${JSON.stringify(given)}`, () => {
      withEngineVariable(undefined, () => assert.equal(resolve(given).insists, insists));
    });
  }

  it('refuse an invalid MSG_ZEROCOPY_THRESHOLD', () => {
    for (const value of ['1.5', '-1', '64K', 'Static']) {
      withVariable('MSG_ZEROCOPY_THRESHOLD', value, () => {
        assert.throws(() => resolve({}), { code: RANGE, message: /MSG_ZEROCOPY_THRESHOLD.*bytes/ });
      });
    }
  });

  it('have the documented defaults', () => {
    withEngineVariable(undefined, () => {
      for (const given of [undefined, {}, { threshold: 'auto', source: 'any', engine: 'auto' }]) {
        assert.deepEqual(resolve(given), {
          engine: 'auto',
          threshold: 32 * 1024,
          fixed: false,
          floor: 32_768,
          minimumChunk: 8192,
          largeFrom: 8192,
          isUnwatched: true,
          source: undefined,
          ask: undefined,
          looksAtChunks: false,
          holdCallbacks: true,
          insists: false,
          maxPendingBytes: 16 * 1024 * 1024,
          maxPacingRate: undefined,
          lingerTimeoutMs: 30_000,
          takesFiles: true,
          detectMutation: undefined,
          maxStagedBytes: 4096,
          pool: undefined,
        });
      }
    });
  });

  it("leave files to Node when the engine is 'copy', unless files are requested", () => {
    withEngineVariable(undefined, () => {
      assert.equal(resolve({ engine: 'copy' }).takesFiles, false);
      assert.equal(resolve({ engine: 'copy', files: 'auto' }).takesFiles, true);
      assert.equal(resolve({ files: 'off' }).takesFiles, false);
      assert.throws(() => resolve({ files: 'on' }), { code: RANGE, message: /options\.files/ });
    });
  });

  it('are copied, and cannot be changed afterwards', () => {
    const source = (): boolean => true;
    const resolved = resolve({
      engine: 'msg_zerocopy',
      threshold: 7,
      source,
      callbackAt: 'accept',
      maxPendingBytes: 0,
      maxPacingRate: 1_000_000,
      lingerTimeoutMs: 0,
      detectMutation: 'throw',
      maxStagedBytes: 5,
    });
    assert.deepEqual(resolved, {
      engine: 'msg_zerocopy',
      threshold: 7,
      fixed: true,
      floor: 7,
      minimumChunk: 7,
      largeFrom: 7,
      isUnwatched: false,
      source: isAllowed,
      ask: source,
      looksAtChunks: true,
      holdCallbacks: false,
      insists: true,
      maxPendingBytes: 0,
      maxPacingRate: 1_000_000,
      lingerTimeoutMs: 0,
      takesFiles: true,
      detectMutation: 'throw',
      maxStagedBytes: 5,
      pool: undefined,
    });
    assert.ok(Object.isFrozen(resolved));
  });

  it('must be an object', () => {
    for (const given of [null, 0, 5, 'x', true, Symbol('x'), () => 1]) {
      assert.throws(() => resolve(given), { code: TYPE, name: 'TypeError' });
    }
  });

  const wrongTypes = [null, true, {}, [], () => 1, Symbol('x'), 1n];
  const names = [
    'engine',
    'threshold',
    'source',
    'callbackAt',
    'maxPendingBytes',
    'maxPacingRate',
    'lingerTimeoutMs',
    'maxStagedBytes',
  ];
  for (const name of names) {
    it(`${name}: refuses values of the wrong type, and is named in the error`, () => {
      for (const value of wrongTypes) {
        if (name === 'source' && typeof value === 'function') continue;
        assert.throws(
          () => resolve({ [name]: value }),
          (error: NodeJS.ErrnoException) =>
            error.code === TYPE && error instanceof TypeError && error.message.includes(name),
          `${name}: ${String(value)}`,
        );
      }
    });
  }

  for (const name of ['threshold', 'maxPendingBytes', 'lingerTimeoutMs', 'maxStagedBytes']) {
    it(`${name}: refuses what is not a whole number of bytes or milliseconds`, () => {
      for (const value of [NaN, -1, -0.5, 0.5, Infinity, -Infinity, 2 ** 53]) {
        assert.throws(() => resolve({ [name]: value }), { code: RANGE, name: 'RangeError' });
      }
      assert.throws(() => resolve({ [name]: '5' }), { code: TYPE });
    });
  }

  it('maxPacingRate: accepts whole bytes per second above 0, or Infinity', () => {
    for (const rate of [1, 2 ** 32 - 1, 2 ** 53 - 1, Infinity]) {
      assert.equal(resolve({ maxPacingRate: rate }).maxPacingRate, rate);
    }
    for (const rate of [0, -1, 0.5, NaN, -Infinity, 2 ** 53]) {
      const message = /options\.maxPacingRate.*bytes per second > 0, or Infinity/;
      assert.throws(() => resolve({ maxPacingRate: rate }), { code: RANGE, message });
    }
    assert.throws(() => resolve({ maxPacingRate: '5' }), { code: TYPE });
  });

  it('lingerTimeoutMs: fits a timer', () => {
    assert.equal(resolve({ lingerTimeoutMs: 2 ** 31 - 1 }).lingerTimeoutMs, 2 ** 31 - 1);
    assert.throws(() => resolve({ lingerTimeoutMs: 2 ** 31 }), { code: RANGE });
  });

  it('engine, source and callbackAt: refuse unknown values', () => {
    assert.throws(() => resolve({ engine: 'uring' }), { code: RANGE });
    assert.throws(() => resolve({ engine: '' }), { code: RANGE });
    assert.throws(() => resolve({ source: 'all' }), { code: RANGE });
    assert.throws(() => resolve({ callbackAt: 'later' }), { code: RANGE });
    assert.throws(() => resolve({ callbackAt: 5 }), { code: TYPE });
  });

  it("the environment overrides 'auto' only", () => {
    withEngineVariable('copy', () => {
      assert.equal(resolve(undefined).engine, 'copy');
      assert.equal(resolve({ engine: 'auto' }).engine, 'copy');
      assert.equal(resolve({ engine: 'msg_zerocopy' }).engine, 'msg_zerocopy');
    });
    withEngineVariable('', () => assert.equal(resolve({}).engine, 'auto'));
    withEngineVariable('auto', () => assert.equal(resolve({}).engine, 'auto'));
  });

  it('blame the environment when it names an unknown engine', () => {
    withEngineVariable('turbo', () => {
      assert.throws(() => resolve({}), { code: RANGE, message: /MSG_ZEROCOPY_ENGINE.*'turbo'/ });
      assert.equal(resolve({ engine: 'copy' }).engine, 'copy');
    });
  });
});
