// What a scenario must not leave behind in its process.
import { readdirSync } from 'node:fs';
import { loadNative } from '../../lib/native/binding';
import { until } from '../../scripts/until';

/** Descriptors of this process; one of them is that of the folder being read. */
export function countDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
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
