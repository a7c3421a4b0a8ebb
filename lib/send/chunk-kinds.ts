// What the addon is told of each chunk of a write (native/kernel/stream_sender.h:ChunkKind).

/** Goes without copying where it can. */
export const LARGE = 0;
/** Is copied: beside a large one into memory of this package's, else by the kernel. */
export const SMALL = 1;
/** options.source does not allow its memory. */
export const DENIED = 2;
/** The kernel can read its memory and cannot pin it. */
export const UNPINNABLE = 3;
