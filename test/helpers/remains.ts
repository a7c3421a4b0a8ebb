// What a scenario must not leave behind in its process.
import { readdirSync, readlinkSync } from 'node:fs';
import { loadNative } from '../../lib/native/binding';
import { until } from '../../scripts/until';

/**
 * Descriptors of this process; one of them is that of the folder being read. Not those of rings, which a process keeps:
 * the ring of shared calls comes with the first writes that may share one.
 */
export function countDescriptors(): number {
  return readdirSync('/proc/self/fd').filter((fd) => !isRing(fd)).length;
}

function isRing(fd: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`) === 'anon_inode:[io_uring]';
  } catch {
    return false; // that of the folder
  }
}

/** Ports that the addon holds open; none without the addon. */
export function openPorts(): number {
  return loadNative().native?.describe().openPorts ?? 0;
}

/** Settles when the addon holds no port; for scenarios that closed every connection. */
export function portsClosed(): Promise<void> {
  return until('no port is open', () => openPorts() === 0);
}

/** Settles when no more descriptors are open than before. */
export function descriptorsBackTo(before: number): Promise<void> {
  return until(`${before} descriptors again`, () => countDescriptors() <= before);
}
