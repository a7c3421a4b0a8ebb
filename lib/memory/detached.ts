// Detects views whose ArrayBuffer was detached (transferred). Plain Node would send none of their bytes.
import { warnOnce } from '../observe/diagnostics.js';
import { bufferDetached } from '../errors.js';

/** Throws when `chunk` is a view of a buffer that was detached; plain Node would send nothing. */
export function rejectDetached(chunk: unknown): void {
  if (isDetached(chunk)) throw bufferDetached();
}

/** Whether `chunk` is a view of a buffer that was detached. */
export function isDetached(chunk: unknown): boolean {
  if (!ArrayBuffer.isView(chunk)) return false;
  try {
    // The length of a detached DataView throws, that of the others is 0.
    if (chunk.byteLength !== 0) return false;
    new Uint8Array(chunk.buffer as ArrayBuffer, 0, 0);
    return false;
  } catch {
    return true;
  }
}

/** Whether one of the chunks is a view of a buffer that was detached. */
export function hasDetached(chunks: readonly { readonly chunk: Uint8Array | string }[]): boolean {
  for (const { chunk } of chunks) if (chunk.length === 0 && isDetached(chunk)) return true;
  return false;
}

/** Whether another thread can make the view longer at any moment: a view of growable shared memory. */
export function mayGrow({ buffer }: Uint8Array): boolean {
  return (buffer as { growable?: boolean }).growable === true;
}

/** Plain Node would not notice this. */
export function warnDetachedInFlight(): void {
  warnOnce(
    'ZC_DETACHED_IN_FLIGHT',
    'A buffer was detached (transferred) while the kernel still referenced its memory: its new ' +
      'owner may have changed bytes on the wire. Keep a buffer until its callback fires',
  );
}
