// What a stream hands to its engine: one write, in order, with the choice for each of its pieces. An engine
// answers twice for each job: *accepted* (the kernel has the bytes) and *released* (their memory may change
// again), in the same call or in a later turn. Nothing above may assume which, and no user code runs in submit().
import type { MutationWatch } from '../memory/mutation.js';
import type { Lease } from '../memory/staging.js';
import type { Reason } from '../names.js';
import type { SendTracker } from '../observe/report.js';

/** Consecutive pieces of a job that are sent the same way. */
export interface Segment {
  readonly zeroCopy: boolean;
  readonly pieces: readonly Uint8Array[];
  readonly bytes: number;
  /** Who wants to know about each piece; undefined when nobody does. */
  readonly trackers: readonly (SendTracker | undefined)[] | undefined;
  /** For segments that are copied: why. */
  readonly reason: Reason | undefined;
}

/** One write of the stream: all its bytes, in order. */
export interface Job {
  readonly segments: readonly Segment[];
  readonly bytes: number;
  /** Holds what was staged of it. */
  readonly lease?: Lease | undefined;
  /** Looks whether its buffers change before they are released. */
  readonly watch?: MutationWatch | undefined;
  /** Called once: the kernel accepted every byte, or the write failed. */
  readonly accepted: (error?: Error) => void;
}
