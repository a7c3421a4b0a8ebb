// The kinds of chunks that the addon distinguishes (native/kernel/stream_sender.h:ChunkKind).

/** Goes without copying where it can. */
export const LARGE = 0;
/** Is copied: beside a large chunk into the addon's memory, otherwise by the kernel. */
export const SMALL = 1;
/** options.source does not allow its memory. */
export const DENIED = 2;
/** The kernel can read its memory and cannot pin it. */
export const UNPINNABLE = 3;
