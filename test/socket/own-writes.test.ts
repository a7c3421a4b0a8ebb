// Memory is copied if the upgraded socket cannot know its callback, and memory of pools is kept from the
// call that hands it over. Loopback copies what it sends at once, so that only a backlog can go wrong there.
import assert from 'node:assert/strict';
import { everywhere } from '../helpers/tcp-place';

const ENGINES = ['msg_zerocopy', 'io_uring', 'copy'] as const;

everywhere('buffers and their callbacks', (getPlace) => {
  for (const engine of ENGINES) {
    const zeroCopy = { engine, threshold: 1 };
    const run = (
      scenario: 'beforeUpgrade' | 'captured' | 'barrier' | 'freedEarly' | 'pinsOfFailures',
    ) => getPlace().runner.run('own-writes', scenario, { to: getPlace().to(), zeroCopy });

    it(`a buffer written before the upgrade arrives intact, ${engine}`, () => run('beforeUpgrade'));

    it(`a buffer sent by a previously saved write() or end() arrives intact, ${engine}`, () =>
      run('captured'));

    it(`a buffer arrives intact, with callbacks in order, when an empty write's callback announces it, ${engine}`, () =>
      run('barrier'));

    it(`a small buffer arrives intact when the threshold falls after it was written, ${engine}`, () =>
      getPlace().runner.run('own-writes', 'loweredThreshold', {
        to: getPlace().to(),
        zeroCopy: { engine },
      }));

    it(`a piece of a pool freed right after its write arrives intact, ${engine}`, () =>
      run('freedEarly'));

    it(`a piece of a pool whose write fails or throws returns to the pool, ${engine}`, () =>
      run('pinsOfFailures'));
  }

  for (const engine of ENGINES) {
    for (const seed of [1, 2, 3]) {
      it(`every byte of a random stream arrives as written, ${engine}, seed ${seed}`, async () => {
        const { bytes, zeroCopyBytes } = await getPlace().runner.run('own-writes', 'random', {
          to: getPlace().to(),
          engine,
          seed,
          connections: 12,
        });
        assert.ok(bytes > 1_000_000, `only ${bytes} bytes arrived`);
        if (engine !== 'copy') assert.ok(zeroCopyBytes > 0);
      });
    }
  }
});
