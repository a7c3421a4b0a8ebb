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
    [
      'plenty of everything',
      { memlockBytes: -1, ipcLock: false, totalMemoryBytes: 64 * GB },
      256 * MB,
    ],
    ['little memory', { memlockBytes: -1, ipcLock: false, totalMemoryBytes: GB }, 128 * MB],
    ['odd memory', { memlockBytes: -1, ipcLock: true, totalMemoryBytes: 1023 }, 127],
    [
      'the usual memlock',
      { memlockBytes: 8 * MB, ipcLock: false, totalMemoryBytes: 64 * GB },
      8 * MB,
    ],
    ['no memlock', { memlockBytes: 0, ipcLock: false, totalMemoryBytes: 64 * GB }, 0],
    ['CAP_IPC_LOCK', { memlockBytes: 8 * MB, ipcLock: true, totalMemoryBytes: 64 * GB }, 256 * MB],
    ['large memlock', { memlockBytes: GB, ipcLock: false, totalMemoryBytes: 64 * GB }, 256 * MB],
  ] as const;
  for (const [title, limits, expected] of machines) {
    it(`is ${expected} bytes for a process with ${title}`, () => {
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
