// Engines that change on a connection, reports of what they sent, and what is told of it.
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { uringEverywhere } from '../helpers/tcp-place';
import type { TcpPlace } from '../helpers/tcp-place';

const zeroCopy = { engine: 'io_uring' as const };

function paramsOf(place: TcpPlace) {
  return { to: place.to(), senderHost: place.senderHost, zeroCopy };
}

uringEverywhere('one connection', (getPlace) => {
  it('keeps the order of bytes and callbacks when the engine changes within a turn', async () => {
    await getPlace().runner.run('io-uring-mixed', 'switchedInTurn', paramsOf(getPlace()));
  });

  it('keeps the order when writes wait for space', async () => {
    await getPlace().runner.run('io-uring-mixed', 'switchedWhileStalled', paramsOf(getPlace()));
  });

  it('keeps the order when writes wait only for their release', async () => {
    const params = { ...paramsOf(getPlace()), zeroCopy: { ...zeroCopy, threshold: 32_768 } };
    await getPlace().runner.run('io-uring-mixed', 'switchedWhileStalled', params);
  });

  it('keeps the order when the threshold changes', async () => {
    await getPlace().runner.run('io-uring-mixed', 'thresholds', paramsOf(getPlace()));
  });

  for (const threshold of [undefined, 1] as const) {
    it(`accounts for every byte of every send(), threshold ${threshold ?? 'auto'}`, async () => {
      const place = getPlace();
      const given = threshold === undefined ? zeroCopy : { ...zeroCopy, threshold };
      const params = { ...paramsOf(place), zeroCopy: given };
      const seen = await place.runner.run('io-uring-mixed', 'reports', params);
      assert.deepEqual(seen.engines, ['io_uring']);
      // What shares a packet with an earlier send is reported as copied whether it was or not: nobody can
      // tell where the kernel copies, and nothing is called copied where it does not.
      if (place.rig !== undefined) assert.equal(seen.kernelCopiedBytes, 0);
      else assert.deepEqual([seen.zeroCopyBytes, seen.unknownBytes > 0], [0, true]);
      assert.ok(seen.zeroCopyBytes + seen.kernelCopiedBytes > 0, 'no report was trusted');
      assert.equal(seen.stats.notifications, seen.stats.zeroCopySends);
    });
  }

  it('publishes its sends and releases, and the ring once', async () => {
    const place = getPlace();
    for (const [environment, entries] of [
      [{}, [8, 4096]],
      [{ MSG_ZEROCOPY_RING_ENTRIES: '4,8' }, [4, 8]],
    ] as const) {
      const runner = place.startRunner([], environment);
      const seen = await runner.run('io-uring-mixed', 'channels', paramsOf(place));
      const [submissionEntries, completionEntries] = entries;
      assert.deepEqual(seen.rings, [{ submissionEntries, completionEntries }]);
      assert.ok(seen.sent > 1_000_000, `${seen.sent} bytes`);
      await runner.stop();
    }
  });

  it('makes a smaller ring where RLIMIT_MEMLOCK has no room for the usual one', async () => {
    const place = getPlace();
    const bare = ['setpriv', '--bounding-set=-all', '--inh-caps=-all'];
    const made: unknown[] = [];
    // libuv may have a ring of its own, which counts as well (Node 22).
    for (const kib of [64, 96, 128, 160]) {
      const bytes = kib * 1024;
      const runner = place.startRunner(['prlimit', `--memlock=${bytes}:${bytes}`, ...bare], {});
      const { rings } = await runner.run('io-uring-mixed', 'channels', paramsOf(place));
      made.push(...rings);
      await runner.stop();
    }
    const expected = { submissionEntries: 8, completionEntries: 1024 };
    assert.ok(
      made.some((ring) => isDeepStrictEqual(ring, expected)),
      JSON.stringify(made),
    );
  });
});
