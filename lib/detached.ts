// Views whose ArrayBuffer was detached (transferred): plain Node would send nothing of them.
import { bufferDetached } from './errors.js';

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
