// Engines that change on a connection, reports of what they sent, and what is told of it.
import assert from 'node:assert/strict';
import os from 'node:os';
import { isDeepStrictEqual } from 'node:util';
import { uringEverywhere } from '../helpers/tcp-place';
import type { TcpPlace } from '../helpers/tcp-place';

const zeroCopy = { engine: 'io_uring' as const };

// libuv may have a ring of its own, which counts as well (Node 22).
const LIMITS_KIB = [64, 96, 128, 160];

/** Linux 6.14 charges a ring's memory to RLIMIT_MEMLOCK (io_uring/memmap.c: io_create_region), those since 5.12 to the memory cgroup alone. */
function chargesRings(): boolean {
  const [major = 0, minor = 0] = os.release().split('.').map(Number);
  return major > 6 || (major === 6 && minor >= 14);
}

/** The rings that a process without CAP_IPC_LOCK makes under each limit. */
async function ringsUnderLimits(place: TcpPlace): Promise<unknown[]> {
  const bare = ['setpriv', '--bounding-set=-all', '--inh-caps=-all'];
  const made: unknown[] = [];
  for (const kib of LIMITS_KIB) {
    const bytes = kib * 1024;
    const runner = place.startRunner(['prlimit', `--memlock=${bytes}:${bytes}`, ...bare], {});
    const { rings } = await runner.run('io-uring-mixed', 'channels', paramsOf(place));
    made.push(...rings);
    await runner.stop();
  }
  return made;
}

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

  if (chargesRings()) {
    it('makes a smaller ring where RLIMIT_MEMLOCK has no room for the usual one', async () => {
      const made = await ringsUnderLimits(getPlace());
      const expected = { submissionEntries: 8, completionEntries: 1024 };
      assert.ok(
        made.some((ring) => isDeepStrictEqual(ring, expected)),
        JSON.stringify(made),
      );
    });
  } else {
    it('makes the usual ring under every RLIMIT_MEMLOCK, to which this kernel does not charge it', async () => {
      const made = await ringsUnderLimits(getPlace());
      const usual = { submissionEntries: 8, completionEntries: 4096 };
      assert.deepEqual(made, new Array(LIMITS_KIB.length).fill(usual));
    });
  }
});
