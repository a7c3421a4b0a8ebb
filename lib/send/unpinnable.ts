// Memory that the kernel can read and cannot pin: memfd_secret(2), mappings of devices. A zero-copy send
// of it fails with EFAULT where a copying one goes. Whose it is, is remembered by the ArrayBuffer, so
// that it costs a failed system call once and not with every chunk.
import { tellFallback } from '../observe/diagnostics.js';
import type { Reason } from '../names.js';
import type { EngineHost } from './engines/engine-host.js';
import type { JobCursor } from './engines/job-cursor.js';

const known = new WeakSet<ArrayBufferLike>();
let any = false;

/** Whether a zero-copy send of this memory failed before. Costs next to nothing while none did. */
export function isUnpinnable(view: Uint8Array): boolean {
  return any && known.has(view.buffer);
}

/** Who sends, is told of it, and counts it. */
export type UnpinnableSender = Pick<EngineHost, 'socket'> & {
  readonly counters: { unpinnableSends: number };
};

/** A zero-copy send of this memory failed, and a copying one did not. */
export function foundUnpinnable(
  { socket, counters }: UnpinnableSender,
  { buffer }: Uint8Array,
): void {
  any = true;
  known.add(buffer);
  counters.unpinnableSends++;
  tellFallback(socket, 'unpinnable-memory');
}

/** Why what the cursor stands at is copied, although its segment may go without. Counts. */
export function whyCopied(host: EngineHost, cursor: JobCursor): Reason | undefined {
  const refused = host.refusal();
  if (refused !== undefined || !any) return refused;
  if (!isUnpinnable(cursor.nextLarge(host.minimumChunk))) return undefined;
  host.counters.unpinnableSends++;
  return 'unpinnable-memory';
}

/**
 * How many bytes of the present segment the next send takes, so that all of them can be pinned, or none.
 * @param large pieces of fewer bytes are heads that were staged in memory of ours
 */
export function alikeBytes(cursor: JobCursor, large: number): number {
  if (!any) return cursor.left;
  const { segment, piece: first, offset, left } = cursor;
  if (segment === undefined) return left;
  let bytes = 0;
  let total = -offset;
  let way: boolean | undefined;
  for (let i = first; i < segment.pieces.length; i++) {
    const piece = segment.pieces[i] as Uint8Array;
    total += piece.length;
    if (piece.length < large) continue;
    const is = isUnpinnable(piece);
    if (way !== undefined && is !== way) return bytes;
    way = is;
    bytes = total;
  }
  return left;
}
