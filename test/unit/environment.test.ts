// What `msg-zerocopy/register` reads from the environment.
import assert from 'node:assert/strict';
import { environmentOptions } from '../../lib/tcp/environment';

describe('options from the environment', () => {
  it('upgrade servers and clients with the defaults when variables are unset or empty', () => {
    const empty = { MSG_ZEROCOPY_INCLUDE: '', MSG_ZEROCOPY_SOURCE: '', MSG_ZEROCOPY_LOG: '' };
    for (const environment of [{}, empty]) {
      const { include, options, logs } = environmentOptions(environment);
      assert.deepEqual([...include], ['server', 'client', 'files']);
      assert.deepEqual(options, {});
      assert.equal(logs, false);
    }
  });

  it('are set by a variable each', () => {
    const { include, options, logs } = environmentOptions({
      MSG_ZEROCOPY_INCLUDE: 'client,files',
      MSG_ZEROCOPY_SOURCE: 'pool',
      MSG_ZEROCOPY_CALLBACK_AT: 'accept',
      MSG_ZEROCOPY_MAX_PENDING_BYTES: '1048576',
      MSG_ZEROCOPY_MAX_PACING_RATE: '12500000',
      MSG_ZEROCOPY_MAX_STAGED_BYTES: '0',
      MSG_ZEROCOPY_LINGER_TIMEOUT_MS: '5000',
      MSG_ZEROCOPY_DETECT_MUTATION: 'throw',
      MSG_ZEROCOPY_LOG: '1',
    });
    assert.deepEqual([...include], ['client', 'files']);
    assert.deepEqual(options, {
      source: 'pool',
      callbackAt: 'accept',
      maxPendingBytes: 1048576,
      maxPacingRate: 12_500_000,
      maxStagedBytes: 0,
      lingerTimeoutMs: 5000,
      detectMutation: 'throw',
    });
    assert.equal(logs, true);
  });

  it('accept a list with blanks, in any order', () => {
    const { include } = environmentOptions({ MSG_ZEROCOPY_INCLUDE: ' client , server' });
    assert.deepEqual([...include].sort(), ['client', 'server']);
  });

  it('upgrade only what the list names: files, memory or both', () => {
    const optionsOf = (parts: string, engine = ''): unknown =>
      environmentOptions({ MSG_ZEROCOPY_INCLUDE: parts, MSG_ZEROCOPY_ENGINE: engine }).options;
    assert.deepEqual(optionsOf('server,client'), { files: 'off' });
    assert.deepEqual(optionsOf('server,files'), {});
    assert.deepEqual(optionsOf('files'), { engine: 'copy', files: 'auto' });
    assert.deepEqual(optionsOf('files', 'copy'), { engine: 'copy', files: 'off' });
  });

  for (const [variable, value, takes] of [
    ['MSG_ZEROCOPY_INCLUDE', 'servers', 'server, client, files'],
    ['MSG_ZEROCOPY_INCLUDE', 'server,', 'server, client, files'],
    ['MSG_ZEROCOPY_INCLUDE', 'server;client', 'server, client, files'],
    ['MSG_ZEROCOPY_SOURCE', 'Pool', "'any' or 'pool'"],
    ['MSG_ZEROCOPY_CALLBACK_AT', 'released', "'release' or 'accept'"],
    ['MSG_ZEROCOPY_MAX_PENDING_BYTES', '16M', 'a whole number of bytes'],
    ['MSG_ZEROCOPY_MAX_PENDING_BYTES', '-1', 'a whole number of bytes'],
    ['MSG_ZEROCOPY_MAX_PACING_RATE', '0', 'a whole number of bytes per second'],
    ['MSG_ZEROCOPY_MAX_PACING_RATE', '1gbit', 'a whole number of bytes per second'],
    ['MSG_ZEROCOPY_MAX_STAGED_BYTES', '1e3', 'a whole number of bytes'],
    ['MSG_ZEROCOPY_LINGER_TIMEOUT_MS', '2147483648', 'up to 2147483647'],
    ['MSG_ZEROCOPY_LINGER_TIMEOUT_MS', '5s', 'a whole number of milliseconds'],
    ['MSG_ZEROCOPY_DETECT_MUTATION', 'true', "'warn' or 'throw'"],
    ['MSG_ZEROCOPY_LOG', 'yes', "'1' or '0'"],
  ] as const) {
    it(`refuse ${variable}=${value}, and list the valid values`, () => {
      assert.throws(
        () => environmentOptions({ [variable]: value }),
        (error: Error & { code?: string }) =>
          error.code === 'ERR_OUT_OF_RANGE' &&
          error.message.includes(`"${variable}"`) &&
          error.message.includes(takes) &&
          error.message.includes(`'${value}'`),
      );
    });
  }
});
