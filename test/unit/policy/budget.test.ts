// How many bytes may be pinned.
import assert from 'node:assert/strict';
import {
  DEFAULT_SOCKET_BUDGET_BYTES,
  processBudgetBytes,
  roomBytes,
} from '../../../lib/policy/budget';

const MB = 1024 * 1024;
const GB = 1024 * MB;

describe('policy: budget', () => {
  const machines = [
    ['plenty of everything', -1, false, 64 * GB, 4, 2 * GB],
    ['a CPU for every four GiB', -1, false, 64 * GB, 16, 512 * MB],
    ['a CPU for every GiB', -1, false, 16 * GB, 16, 256 * MB],
    ['little memory', -1, false, GB, 1, 128 * MB],
    ['little memory and many CPUs', -1, false, GB, 64, 128 * MB],
    ['odd memory', -1, true, 1023, 1, 127],
    ['the usual memlock', 8 * MB, false, 64 * GB, 16, 8 * MB],
    ['no memlock', 0, false, 64 * GB, 16, 0],
    ['CAP_IPC_LOCK', 8 * MB, true, 64 * GB, 16, 512 * MB],
    ['large memlock', GB, false, 64 * GB, 16, 512 * MB],
  ] as const;
  for (const [title, memlockBytes, ipcLock, memoryBytes, cpus, expected] of machines) {
    it(`is ${expected} bytes for a process with ${title}`, () => {
      const limits = { memlockBytes, ipcLock, memoryBytes, cpus };
      assert.equal(processBudgetBytes(limits), expected);
    });
  }

  it('is 16 MiB for a socket by default', () => {
    assert.equal(DEFAULT_SOCKET_BUDGET_BYTES, 16 * MB);
  });

  const TWO_PAGES = 8192;
  const rooms = [
    ['nothing pinned', [0, MB, 0, 10 * MB], MB - TWO_PAGES],
    ['the socket has less room', [MB - 20_000, MB, 0, 10 * MB], 20_000 - TWO_PAGES],
    ['the process has less room', [0, MB, 10 * MB - 20_000, 10 * MB], 20_000 - TWO_PAGES],
    ['just the two pages', [MB - TWO_PAGES, MB, 0, 10 * MB], 0],
    ['full', [MB, MB, 0, 10 * MB], 0],
    ['over the budget, which another worker used', [0, MB, 11 * MB, 10 * MB], 0],
    ['no budget', [0, 0, 0, 10 * MB], 0],
  ] as const;
  for (const [title, [pending, budget, pinned, limit], expected] of rooms) {
    it(`leaves room for ${Math.max(0, expected)} bytes: ${title}`, () => {
      assert.equal(roomBytes(pending, budget, limit - pinned, 4096), expected);
    });
  }

  for (const pageBytes of [16 * 1024, 64 * 1024]) {
    it(`keeps two pages back of a machine whose pages have ${pageBytes} bytes`, () => {
      assert.equal(roomBytes(0, MB, 10 * MB, pageBytes), MB - 2 * pageBytes);
      assert.equal(roomBytes(0, 2 * pageBytes, 10 * MB, pageBytes), 0);
    });
  }
});
