// What bounds pinned memory, as Node tells it.
import assert from 'node:assert/strict';
import os from 'node:os';
import { pinLimitsOf } from '../../lib/native/pin-limits';

describe('limits of pinned memory', () => {
  const constrainedMemory = process.constrainedMemory.bind(process);
  afterEach(() => {
    process.constrainedMemory = constrainedMemory;
  });

  const described = { memlockBytes: 65_536, ipcLock: true };
  const all = os.totalmem();
  const containers = [
    ['the memory of a small container', 2 ** 26, 2 ** 26],
    ['all memory without a control group', 0, all],
    ['all memory where the control group sets no limit', 2 ** 64, all],
  ] as const;
  for (const [title, constrained, memoryBytes] of containers) {
    it(`are by ${title}`, () => {
      process.constrainedMemory = () => constrained;
      const cpus = os.availableParallelism();
      assert.deepEqual(pinLimitsOf(described), { ...described, memoryBytes, cpus });
    });
  }
});
