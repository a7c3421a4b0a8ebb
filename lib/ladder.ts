// The ladder of engines of a TCP socket: the best that is to be had.
import type { Reason } from './engine.js';
import type { ResolvedOptions } from './options.js';
import { getReactor, Reactor } from './reactor.js';
import { getSubmitRing, SubmitRing } from './submit-ring.js';

/** What the choice depends on beside the option. */
export interface Standing {
  /**
   * The connection answers its peer, or its memory is registered. One that only writes costs less by
   * MSG_ZEROCOPY: there is nobody to share a system call with (docs/performance.md).
   */
  readonly mayBatch: boolean;
  /** The kernel does not send this connection's bytes by the ring. */
  readonly ringRefused: boolean;
}

/** What to send by: the ring, the reactor for MSG_ZEROCOPY; or why to copy. */
export function firstOfLadder(
  engine: ResolvedOptions['engine'],
  { mayBatch, ringRefused }: Standing,
): SubmitRing | Reactor | Reason {
  if (engine === 'copy') return 'disabled';
  const ringWanted = engine === 'io_uring' || (engine === 'auto' && mayBatch);
  if (ringWanted && !ringRefused) {
    const ring = getSubmitRing();
    if (ring instanceof SubmitRing) return ring;
  }
  const reactor = getReactor();
  if (!(reactor instanceof Reactor)) return reactor.reason;
  if (engine === 'io_uring') return ringRefused ? 'kernel-unsupported' : 'io_uring-refused';
  return reactor;
}
