// Memory that the kernel can read and cannot pin: memfd_secret(2), mappings of devices. A zero-copy send
// of it fails with EFAULT, while a copying send works. The ArrayBuffer is remembered, so that only the first
// send costs a failed system call.
import { publishFallback } from '../observe/diagnostics.js';

const known = new WeakSet<ArrayBufferLike>();
/** Whether there is any: a property, as every write asks. */
export const unpinnable = { any: false };

/** Whether a zero-copy send of this memory failed before. Costs next to nothing while none did. */
export function isUnpinnable(view: Uint8Array): boolean {
  return unpinnable.any && known.has(view.buffer);
}

/** A zero-copy send of this memory failed, and a copying one did not. */
export function foundUnpinnable(socket: object, { buffer }: Uint8Array): void {
  unpinnable.any = true;
  known.add(buffer);
  publishFallback(socket, 'unpinnable-memory');
}
