// What bounds the memory that this process may pin, as the machine and the container have it now.
import os from 'node:os';
import type { PinLimits } from '../policy/budget.js';
import type { NativeDescription } from './described.js';

export function pinLimitsOf({
  memlockBytes,
  ipcLock,
}: Pick<NativeDescription, 'memlockBytes' | 'ipcLock'>): PinLimits {
  // 0: no control group, or none that limits it; on some kernels it is a number beyond all memory.
  const ofContainer = process.constrainedMemory() || Infinity;
  return {
    memlockBytes,
    ipcLock,
    memoryBytes: Math.min(os.totalmem(), ofContainer),
    cpus: os.availableParallelism(),
  };
}
