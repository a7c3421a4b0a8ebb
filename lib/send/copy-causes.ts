// Why the addon copied bytes of a write, by its number (native/kernel/stream_sender.h:CopyCause).
import type { Reason } from '../names.js';

export const COPY_CAUSES: readonly (Reason | undefined)[] = [
  undefined,
  'below-threshold',
  'source',
  'unpinnable-memory',
  'budget',
  'enobufs',
  'limit-too-low',
  'kernel-unsupported',
  'send-failed',
  'io_uring-refused',
];

/** A cause that the caller of the addon knows. */
export const ELSEWHERE = COPY_CAUSES.length;
