// The words of one stream that the addon keeps and JavaScript reads without a call
// (native/kernel/stream_sender.h:StreamWord), the kinds of a write's chunks, and its results.
import type { Reason } from '../names.js';
import type { Counters } from '../observe/counters.js';

export const NEXT_ID = 0;
/** Every id below this one is released. */
export const RELEASED_BELOW = 1;
export const PENDING_BYTES = 2;
export const PENDING_SENDS = 3;
/** Bytes of the present write that the kernel accepted. */
export const ACCEPTED = 4;
/** Events of the last write. */
export const EVENTS = 5;
/** With EVENT_UNPINNABLE: which chunk. */
export const SUSPECT = 6;
/** Sends whose copied flag is reliable, and those of them that the kernel copied. */
export const KNOWN_SENDS = 7;
export const KNOWN_COPIES = 8;
/** How the last probe went: 0 no answer yet, 1 not copied, 2 copied. */
export const PROBE = 9;
/** From here on: counters. */
const COUNTERS = 10;

/** The counters, in the order of their words. */
const COUNTER_NAMES = [
  'zeroCopySends',
  'zeroCopyBytes',
  'registeredSends',
  'kernelCopiedSends',
  'unknownSends',
  'copiedBytes',
  'notifications',
  'enobufs',
  'budgetCopies',
  'unpinnableSends',
  'partialSends',
  'strayNotifications',
  'lostNotifications',
  'lateCopies',
] as const;

/** No room for one more send beside those in flight. */
export const EVENT_ENOBUFS = 1;
/** No room for one send, with nothing in flight. */
export const EVENT_LIMIT = 2;
/** The kernel does not send this connection's bytes without copying. */
export const EVENT_REFUSED = 4;
/** A chunk's memory can be read and not pinned. */
export const EVENT_UNPINNABLE = 8;
/** The process changed its user, so it no longer uses the ring. */
export const EVENT_RING_LOST = 16;

/** Characters of a header that writeAnswer() takes: MOST_TEXT of the addon (test/unit/stream-words.test.ts). */
export const MOST_HEADER = 4096;

// The kinds of chunks that the addon distinguishes (native/kernel/stream_write.h:ChunkKind).

/** Goes without copying where it can. */
export const LARGE = 0;
/** Is copied: beside a large chunk into the addon's memory, otherwise by the kernel. */
export const SMALL = 1;
/** options.source does not allow its memory. */
export const DENIED = 2;
/** The kernel can read its memory and cannot pin it. */
export const UNPINNABLE = 3;

/** Why the addon copied bytes of a write, by its number (native/kernel/stream_write.h:CopyCause). */
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

/** What a write answers, beside -errno. */
export const DONE = 0;
/** It waits for space in the send buffer. */
export const WAITING = 1;
/** The caller must call again at once. */
export const AGAIN = 2;

/** Adds the counters of a stream that the addon keeps. @param at where its words begin */
export function addWords(counters: Counters, words: Float64Array, at: number): void {
  let place = at + COUNTERS;
  for (const name of COUNTER_NAMES) counters[name] += words[place++] as number;
}
